"""HTTP/2 by hand: frames as they are wanted, right or wrong, and what a server answers to them."""

from __future__ import annotations

import ctypes
import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
NO_ERROR, CANCEL = 0, 8
ERROR_NAMES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR",
               "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL",
               "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM")
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
ANSWER_SECONDS = 6.0
CLOSE_SECONDS = 2.0

Headers = list[tuple[str, str]]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"",
          length: int | None = None) -> bytes:
    """`length`: what the frame's head says when it lies."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + u32(stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(name.to_bytes(2, "big") + u32(value)
                                            for name, value in pairs))


def integer(value: int, prefix_bits: int, first: int = 0) -> bytes:
    """RFC 7541 §5.1."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((first | value,))
    out = bytearray((first | limit,))
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return integer(len(raw), 7) + raw


def literal(name: str | bytes, value: str | bytes, first: int = 0) -> bytes:
    """`first`: 0 without indexing, 0x40 into the dynamic table."""
    return bytes((first,)) + text(name) + text(value)


def block(headers: Headers) -> bytes:
    return b"".join(literal(name, value) for name, value in headers)


def request(path: str | None = "/etcdserverpb.KV/Put", method: str = "POST",
            kind: str | None = "application/grpc", te: str | None = "trailers") -> Headers:
    """What a gRPC client sends; None leaves a header out."""
    pairs = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test"),
             ("content-type", kind), ("te", te)]
    return [(name, value) for name, value in pairs if value is not None]


def headers_frame(headers: Headers | bytes, stream: int = 1, end: bool = False) -> bytes:
    payload = headers if isinstance(headers, bytes) else block(headers)
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, payload)


def message(payload: bytes, flag: int = 0, length: int | None = None) -> bytes:
    """`length`: what the gRPC prefix says when it lies."""
    return bytes((flag,)) + u32(len(payload) if length is None else length) + payload


def data_frames(payload: bytes, stream: int = 1, end: bool = True) -> bytes:
    pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)] or [b""]
    return b"".join(frame(DATA, END_STREAM if end and i == len(pieces) - 1 else 0, stream, piece)
                    for i, piece in enumerate(pieces))


def call(path: str, payload: bytes, stream: int = 1) -> bytes:
    return headers_frame(request(path), stream) + data_frames(message(payload), stream)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes | int) -> bytes:
    """One protobuf field: bytes, or a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def put(key: bytes, value: bytes) -> bytes:
    return field(1, key) + field(2, value)


class Inflater:
    """Header blocks, decoded by the library that the server uses too."""

    class Pair(ctypes.Structure):
        _fields_ = [("name", ctypes.c_void_p), ("value", ctypes.c_void_p),
                    ("name_bytes", ctypes.c_size_t), ("value_bytes", ctypes.c_size_t),
                    ("flags", ctypes.c_uint8)]

    FINAL, EMIT = 1, 2
    library = ctypes.CDLL("libnghttp2.so.14")
    library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
    library.nghttp2_hd_inflate_hd2.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
        ctypes.c_int]
    library.nghttp2_hd_inflate_end_headers.argtypes = [ctypes.c_void_p]
    library.nghttp2_hd_inflate_del.argtypes = [ctypes.c_void_p]

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        self.library.nghttp2_hd_inflate_new(ctypes.byref(self.handle))

    def __del__(self) -> None:
        self.library.nghttp2_hd_inflate_del(self.handle)

    def next(self, payload: bytes) -> tuple[int, int, str, str]:
        """Bytes used, flags, name and value."""
        pair, flags = self.Pair(), ctypes.c_int()
        used = self.library.nghttp2_hd_inflate_hd2(
            self.handle, ctypes.byref(pair), ctypes.byref(flags), payload, len(payload), 1)
        assert used >= 0, "the server sent a header block that does not decode"
        if not flags.value & self.EMIT:
            return used, flags.value, "", ""
        return (used, flags.value, ctypes.string_at(pair.name, pair.name_bytes).decode(),
                ctypes.string_at(pair.value, pair.value_bytes).decode())


def inflate(payload: bytes) -> dict[str, str]:
    """A block of a connection that has no dynamic table."""
    inflater = Inflater()
    headers: dict[str, str] = {}
    flags = 0
    while not flags & Inflater.FINAL:
        used, flags, name, value = inflater.next(payload)
        payload = payload[used:]
        if flags & Inflater.EMIT:
            headers[name] = value
    return headers


# Without a dynamic table each of the server's header blocks stands for itself.
HELLO = PREFACE + settings((HEADER_TABLE_SIZE, 0))


class Connection:
    """One connection to a server. Nothing is answered of itself, not even SETTINGS."""

    def __init__(self, port: int, hello: bytes = HELLO):
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.pending = b""
        self.raw = b""  # all that came, while it is not HTTP/2
        self.http2 = True
        self.frames: list[Frame] = []
        self.closed = False
        self.bytes_sent = 0
        self.send(hello)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, payload: bytes, reading: bool = True, seconds: float = ANSWER_SECONDS) -> bool:
        """Sends all of it, unless the server closes or `seconds` go by; reads meanwhile."""
        rest = memoryview(payload)
        end = time.monotonic() + seconds
        while rest and not self.closed and time.monotonic() < end:
            readable, writable, _ = select.select([self.socket] if reading else [], [self.socket],
                                                  [], 0.1)
            if readable:
                self.receive()
            if writable and not self.closed:
                try:
                    count = self.socket.send(rest[:1 << 20])
                    self.bytes_sent += count
                    rest = rest[count:]
                except BlockingIOError:
                    pass
                except OSError:
                    self.receive()
                    self.closed = True
        return not rest and not self.closed

    def receive(self) -> None:
        try:
            while not self.closed:
                got = self.socket.recv(1 << 18)
                self.closed = not got
                self.take(got)
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True

    def take(self, got: bytes) -> None:
        if not self.http2:
            self.raw += got
            return
        whole = self.pending + got
        begin = 0
        while len(whole) - begin >= 9:
            end = begin + 9 + int.from_bytes(whole[begin:begin + 3], "big")
            if len(whole) < end:
                break
            self.frames.append(Frame(whole[begin + 3], whole[begin + 4],
                                     int.from_bytes(whole[begin + 5:begin + 9], "big"),
                                     whole[begin + 9:end]))
            begin = end
        self.pending = whole[begin:]

    def read_until(self, done: Callable[[], bool], seconds: float = ANSWER_SECONDS) -> bool:
        end = time.monotonic() + seconds
        while not self.closed and not done():
            left = end - time.monotonic()
            if left <= 0:
                return False
            if select.select([self.socket], [], [], left)[0]:
                self.receive()
        return done() or self.closed

    def wait_closed(self, seconds: float = CLOSE_SECONDS) -> bool:
        return self.read_until(lambda: self.closed, seconds)

    def ended(self, stream: int) -> bool:
        return any(one.stream == stream and
                   (one.kind == RST_STREAM or
                    (one.kind in (HEADERS, DATA) and one.flags & END_STREAM))
                   for one in self.frames)

    def goaway(self) -> Frame | None:
        """The last one: a first with NO_ERROR may be a notice."""
        return next((one for one in reversed(self.frames) if one.kind == GOAWAY), None)

    def count(self, kind: int) -> int:
        return sum(one.kind == kind for one in self.frames)

    def headers_of(self, stream: int) -> dict[str, str]:
        """Headers and trailers together."""
        found: dict[str, str] = {}
        for one in self.frames:
            if one.kind == HEADERS and one.stream == stream:
                found |= inflate(one.payload)
        return found

    def body_of(self, stream: int) -> bytes:
        return b"".join(one.payload for one in self.frames
                        if one.kind == DATA and one.stream == stream)

    def outcome(self, stream: int = 1, seconds: float = ANSWER_SECONDS) -> str:
        """What came of a call, in a few words."""
        self.read_until(lambda: self.ended(stream) or self.goaway() is not None, seconds)
        if self.goaway() is not None:
            self.wait_closed()
        words = []
        headers = self.headers_of(stream)
        if headers.get(":status", "200") != "200":
            words.append(f"http {headers[':status']}")
        if "grpc-status" in headers:
            words.append(f"grpc {headers['grpc-status']} {headers.get('grpc-message', '')}".strip())
        words += [f"RST_STREAM {ERROR_NAMES[int.from_bytes(one.payload, 'big')]}"
                  for one in self.frames if one.kind == RST_STREAM and one.stream == stream
                  and any(one.payload)]
        return "; ".join(words + self.ending()) or "nothing"

    def ending(self) -> list[str]:
        words = []
        goaway = self.goaway()
        if goaway is not None:
            debug = goaway.payload[8:].decode(errors="replace")
            code = ERROR_NAMES[int.from_bytes(goaway.payload[4:8], "big")]
            words.append(f"GOAWAY {code} {debug}".strip())
        if self.closed:
            words.append("closed")
        return words
