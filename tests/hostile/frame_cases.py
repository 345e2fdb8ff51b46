"""Bytes that are no calls: wrong prefaces, frames, header blocks, and HTTP/1.1."""

from __future__ import annotations

import os
import random

import h2
from h2 import END_HEADERS, END_STREAM
from subject import PUT_PATH, SANITIZED, Case, Subject, one_put

SEED = int(os.environ.get("CAIRN_SEED", "20261126"))
GARBAGE_CONNECTIONS = 400 if SANITIZED else 2000
PUT = h2.put(b"k", b"v")
OPEN_CALL = h2.headers_frame(h2.request())
CLOSED = "closed"
CHUNKED = b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


# Where RFC 9113 wants a GOAWAY, gRPC's Go server often closes without one, or looks away.
AS_ETCD = "closed|nothing|(GOAWAY|RST_STREAM) .*"


def after_hello(name: str, sent: bytes, expect: str, etcd: str | None = AS_ETCD) -> Case:
    """`sent` on a connection that began as it should."""

    def act(subject: Subject) -> str:
        with subject.connect() as connection:
            connection.send(sent)
            return connection.outcome()

    return Case(name, act, expect, etcd=etcd)


def raw(name: str, sent: bytes, expect: str, etcd: str | None = None) -> Case:
    """`sent` and nothing else; the answer is text."""

    def act(subject: Subject) -> str:
        with subject.connect(b"") as connection:
            connection.http2 = False
            connection.send(sent)
            connection.wait_closed()
            first_line = connection.raw.split(b"\r\n")[0].decode(errors="replace")
            return "; ".join([word for word in (first_line, *connection.ending()) if word])

    return Case(name, act, expect, etcd=etcd)


def garbage(subject: Subject) -> str:
    """Seeded noise: frames of any kind and length, half of them with sensible heads."""
    for i in range(GARBAGE_CONNECTIONS):
        dice = random.Random(SEED + i)
        noise = b"".join(noise_frame(dice) for _ in range(dice.randrange(1, 30)))
        hello = h2.HELLO if dice.random() < 0.9 else h2.PREFACE
        if dice.random() < 0.05:
            hello = dice.randbytes(24)
        with subject.connect(hello) as connection:
            connection.send(noise)
            if dice.random() < 0.2:
                connection.read_until(lambda: False, 0.005)
    with subject.connect() as connection:
        reason = one_put(connection, 1, b"after", b"garbage")
    return f"{GARBAGE_CONNECTIONS} connections, then {reason or 'a put went through'}"


def noise_frame(dice: random.Random) -> bytes:
    kind = dice.choice((h2.DATA, h2.HEADERS, h2.HEADERS, h2.RST_STREAM, h2.SETTINGS, h2.PING,
                        h2.GOAWAY, h2.WINDOW_UPDATE, h2.CONTINUATION, dice.randrange(256)))
    flags = dice.choice((0, END_STREAM, END_HEADERS, END_HEADERS | END_STREAM,
                         dice.randrange(256)))
    stream = dice.choice((0, 1, 3, 5, dice.randrange(1 << 31)))
    payload = dice.choice((b"", dice.randbytes(4), dice.randbytes(8),
                           h2.block(h2.request()), h2.message(PUT),
                           dice.randbytes(dice.randrange(200))))
    length = len(payload) if dice.random() < 0.9 else dice.randrange(1 << 24)
    return h2.frame(kind, flags, stream, payload, length)


def window_update(stream: int, value: int) -> bytes:
    return h2.frame(h2.WINDOW_UPDATE, 0, stream, h2.u32(value))


PREFACE_CASES = [
    raw("wrong end of the preface", h2.PREFACE[:18] + b"XX\r\n\r\n", CLOSED),
    raw("binary noise", bytes(range(256)), CLOSED),
    raw("a TLS hello on the plain port",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160), CLOSED, ""),
    raw("HTTP/1.1 without a host", b"GET /health HTTP/1.1\r\n\r\n",
        "HTTP/1.1 400 Bad Request; closed",
        "HTTP/1.1 400 Bad Request: missing required Host header; closed"),
    raw("HTTP/1.1 with a broken header", b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        "HTTP/1.1 400 Bad Request; closed"),
    raw("HTTP/1.1 with 2 MB of headers",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"y" * 2_000_000 + b"\r\n\r\n",
        "HTTP/1.1 431 Request Header Fields Too Large; closed"),
    raw("HTTP/1.1 with a body of 1 GB",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + bytes(1 << 20),
        "HTTP/1.1 405 Method Not Allowed; closed"),
    raw("HTTP/1.1 with two lengths",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 400 Bad Request; closed"),
    raw("HTTP/1.1 with an endless chunk",
        CHUNKED + b"f" * 16 + b"\r\n",
        "HTTP/1.1 405 Method Not Allowed; closed", ""),
    raw("HTTP/1.1 to a gRPC path",
        b"POST /etcdserverpb.KV/Put HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\n"
        b"Content-Length: 5\r\nConnection: close\r\n\r\n" + bytes(5),
        "HTTP/1.1 404 Not Found; closed"),
    Case("no SETTINGS first",
         lambda subject: subject.connect(h2.PREFACE + OPEN_CALL).outcome(),
         "GOAWAY PROTOCOL_ERROR .*; closed", etcd=AS_ETCD),
    Case("a server's SETTINGS ack first",
         lambda subject: subject.connect(h2.PREFACE + h2.frame(h2.SETTINGS, h2.ACK)).outcome(),
         "GOAWAY PROTOCOL_ERROR .*; closed", etcd=AS_ETCD),
]

FRAME_CASES = [
    after_hello("frame over SETTINGS_MAX_FRAME_SIZE",
                OPEN_CALL + h2.frame(h2.DATA, 0, 1, bytes(16385)),
                "GOAWAY FRAME_SIZE_ERROR.*; closed"),
    after_hello("frame that lies about 16 MB",
                OPEN_CALL + h2.frame(h2.DATA, 0, 1, b"x", (1 << 24) - 1),
                "GOAWAY FRAME_SIZE_ERROR.*; closed"),
    after_hello("even stream id", h2.headers_frame(h2.request(), 2),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    # Skipped: 3 might have been open before 5 (RFC 9113 §5.1.1 asks for an error).
    after_hello("stream id that falls",
                h2.headers_frame(h2.request(), 5) + h2.headers_frame(h2.request(), 3) +
                h2.frame(h2.GOAWAY, 0, 0, bytes(8)) + h2.frame(h2.RST_STREAM, 0, 5, h2.u32(8)),
                "closed"),
    after_hello("HEADERS on stream 0", h2.headers_frame(h2.request(), 0),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("DATA on stream 0", h2.frame(h2.DATA, 0, 0, b"x"),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("DATA on an idle stream", h2.frame(h2.DATA, 0, 1, b"x"),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("padding longer than the frame",
                OPEN_CALL + h2.frame(h2.DATA, h2.PADDED, 1, b"\xffabc"),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("PUSH_PROMISE from a client",
                h2.frame(h2.PUSH_PROMISE, END_HEADERS, 1, h2.u32(2) + h2.block(h2.request())),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("CONTINUATION of nothing", h2.frame(h2.CONTINUATION, END_HEADERS, 1, b""),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("another frame inside of headers",
                h2.frame(h2.HEADERS, 0, 1, h2.block(h2.request())) +
                h2.frame(h2.PING, 0, 0, bytes(8)),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("PING of 7 bytes", h2.frame(h2.PING, 0, 0, bytes(7)),
                "GOAWAY FRAME_SIZE_ERROR.*; closed"),
    after_hello("SETTINGS of 5 bytes", h2.frame(h2.SETTINGS, 0, 0, bytes(5)),
                "GOAWAY FRAME_SIZE_ERROR.*; closed"),
    after_hello("SETTINGS of a window of 2^31", h2.settings((h2.INITIAL_WINDOW_SIZE, 1 << 31)),
                "GOAWAY FLOW_CONTROL_ERROR .*; closed"),
    after_hello("SETTINGS of a frame size of 1", h2.settings((h2.MAX_FRAME_SIZE, 1)),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("RST_STREAM of an idle stream", h2.frame(h2.RST_STREAM, 0, 9, h2.u32(8)),
                "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("WINDOW_UPDATE of 0", window_update(0, 0), "GOAWAY PROTOCOL_ERROR .*; closed"),
    after_hello("connection window over 2^31",
                window_update(0, 0x7FFFFFFF), "GOAWAY FLOW_CONTROL_ERROR.*; closed"),
    after_hello("stream window over 2^31", OPEN_CALL + window_update(1, 0x7FFFFFFF),
                "RST_STREAM FLOW_CONTROL_ERROR"),
    after_hello("DATA after the end",
                h2.call(PUT_PATH, PUT) + h2.frame(h2.DATA, 0, 1, b"x"), ".*STREAM_CLOSED.*"),
    after_hello("a client's GOAWAY", h2.frame(h2.GOAWAY, 0, 0, bytes(8)), "closed"),
]

HPACK_CASES = [
    after_hello("index of nothing", h2.headers_frame(b"\xff\xff\x7f"),
                "GOAWAY COMPRESSION_ERROR.*; closed"),
    after_hello("index 0", h2.headers_frame(b"\x80"), "GOAWAY COMPRESSION_ERROR.*; closed"),
    after_hello("integer without end", h2.headers_frame(b"\xff" + b"\x80" * 100 + b"\x01"),
                "GOAWAY COMPRESSION_ERROR.*; closed"),
    after_hello("name of 2 GiB", h2.headers_frame(b"\x00" + h2.integer(1 << 31, 7) + b"x"),
                "GOAWAY COMPRESSION_ERROR.*; closed"),
    after_hello("block cut off", h2.headers_frame(b"\x00\x05abc"),
                "GOAWAY COMPRESSION_ERROR.*; closed"),
    after_hello("wrong Huffman padding", h2.headers_frame(b"\x00\x81\x00\x01x"),
                "GOAWAY COMPRESSION_ERROR.*; closed"),
    after_hello("table of 1 GiB", h2.headers_frame(h2.integer(1 << 30, 5, 0x20)),
                "GOAWAY COMPRESSION_ERROR.*; closed"),
    # One entry of 3.9 KiB, named 12,000 times: 47 MB of headers in one frame.
    after_hello("HPACK bomb", h2.headers_frame(
        h2.block(h2.request()) + h2.literal("x", "y" * 3900, 0x40) + b"\xbe" * 12_000, end=True),
                "RST_STREAM FRAME_SIZE_ERROR"),
]

GARBAGE_CASES = [Case("garbage frames", garbage, r"\d+ connections, then a put went through", 24)]
