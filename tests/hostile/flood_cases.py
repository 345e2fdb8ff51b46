"""Too much of what is allowed once: floods, bombs, and clients that are slow or never read."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable

import h2
from frame_cases import AS_ETCD
from h2 import END_HEADERS
from nodes import wait_until
from subject import PUT_PATH, RANGE_PATH, Case, Subject

FLOOD = 20_000
STREAMS_MAX = 65_536  # of one connection
CALM = r"GOAWAY ENHANCE_YOUR_CALM {}; closed"
# A close throws away what has not left yet, where the client has not made room for it.
CALM_OR_CLOSED = r"(GOAWAY ENHANCE_YOUR_CALM .*; )?closed"
PUT = h2.put(b"k", b"v")
IDLE_CONNECTIONS = 2000
SNIFF_SECONDS = 10  # within which a connection must say what it is
TRICKLE_SECONDS = SNIFF_SECONDS + 1.5
UNREAD_VALUE = 256 * 1024


def flood(name: str, frames: Callable[[int], bytes], expect: str, reading: bool = True) -> Case:
    """frames(0), frames(1), … as fast as the server takes them, or as its socket does when nobody
    reads what it answers. etcd endures most of them."""

    def act(subject: Subject) -> str:
        with subject.connect() as connection:
            connection.send(b"".join(map(frames, range(FLOOD))), reading, seconds=5.0)
            connection.send(h2.frame(h2.PING, 0, 0, b"the last"), reading, seconds=1.0)
            connection.read_until(lambda: connection.goaway() is not None or
                                  heard_the_last(connection), 5.0)
            if connection.goaway() is None and not connection.closed:
                return "endured" if heard_the_last(connection) else "no answer to the last PING"
            connection.wait_closed()
            return "; ".join(connection.ending())

    return Case(name, act, expect, 8, AS_ETCD + "|endured")


def heard_the_last(connection: h2.Connection) -> bool:
    return any(one.kind == h2.PING and one.payload == b"the last" for one in connection.frames)


def stream_of(number: int) -> int:
    return 2 * number + 1


def reset(stream: int) -> bytes:
    return h2.frame(h2.RST_STREAM, 0, stream, h2.u32(h2.CANCEL))


def opened_once(frames: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Call 1 is opened before the first of the frames."""
    return lambda i: (h2.headers_frame(h2.request()) if i == 0 else b"") + frames(i)


RAPID_RESET = h2.block(h2.request())
FLOOD_CASES = [
    flood("rapid reset", lambda i: h2.headers_frame(RAPID_RESET, stream_of(i)) +
          reset(stream_of(i)), CALM.format("too_many_resets")),
    flood("rapid reset of whole puts", lambda i: h2.call(PUT_PATH, PUT, stream_of(i)) +
          reset(stream_of(i)), CALM.format("too_many_resets")),
    flood("made to reset", lambda i: h2.headers_frame(RAPID_RESET, stream_of(i)) +
          h2.frame(h2.WINDOW_UPDATE, 0, stream_of(i), h2.u32(0x7FFFFFFF)),
          CALM.format("too_many_resets")),
    flood("calls that are refused", lambda i: h2.headers_frame(
        h2.block(h2.request("/no.Such/Call")), stream_of(i), end=True), "endured"),
    flood("PING", lambda i: h2.frame(h2.PING, 0, 0, bytes(8)), CALM_OR_CLOSED),
    flood("PING, answers not read", lambda i: h2.frame(h2.PING, 0, 0, bytes(8)),
          CALM_OR_CLOSED, reading=False),
    flood("PING answers that nobody asked for", lambda i: h2.frame(h2.PING, h2.ACK, 0, bytes(8)),
          CALM.format("too_many_idle_frames")),
    flood("SETTINGS", lambda i: h2.settings((h2.INITIAL_WINDOW_SIZE, 65535 + i % 2)),
          CALM_OR_CLOSED),
    flood("SETTINGS, answers not read", lambda i: h2.settings(), CALM_OR_CLOSED, reading=False),
    flood("SETTINGS answers that nobody asked for", lambda i: h2.frame(h2.SETTINGS, h2.ACK),
          "GOAWAY PROTOCOL_ERROR.*; closed"),
    flood("CONTINUATION without end", lambda i: h2.frame(
        h2.HEADERS if i == 0 else h2.CONTINUATION, 0, 1, h2.literal("x", "y" * 100)),
          "GOAWAY .*; closed"),
    flood("CONTINUATION of nothing", lambda i: h2.frame(
        h2.HEADERS if i == 0 else h2.CONTINUATION, 0, 1, b""), "GOAWAY .*; closed"),
    flood("empty DATA", opened_once(lambda i: h2.frame(h2.DATA, 0, 1)),
          CALM.format("too_many_idle_frames")),
    flood("DATA of nothing but padding", opened_once(
        lambda i: h2.frame(h2.DATA, h2.PADDED, 1, b"\xff" + bytes(255))), "endured"),
    flood("DATA of one byte", opened_once(lambda i: h2.frame(
        h2.DATA, 0, 1, h2.message(b"", length=FLOOD)[:1] if i == 0 else b"\0")), "endured"),
    flood("WINDOW_UPDATE of the connection",
          lambda i: h2.frame(h2.WINDOW_UPDATE, 0, 0, h2.u32(1)),
          CALM.format("too_many_idle_frames")),
    flood("WINDOW_UPDATE of a stream",
          opened_once(lambda i: h2.frame(h2.WINDOW_UPDATE, 0, 1, h2.u32(1))),
          CALM.format("too_many_idle_frames")),
    flood("PRIORITY", lambda i: h2.frame(h2.PRIORITY, 0, stream_of(i), h2.u32(0) + b"\x10"),
          CALM.format("too_many_idle_frames")),
    flood("GOAWAY", lambda i: h2.frame(h2.GOAWAY, 0, 0, bytes(8) + b"x" * 200),
          "(GOAWAY .*; )?closed"),
    flood("frames of an unknown kind", lambda i: h2.frame(0xBE, 0, 0, bytes(100)), "endured"),
    flood("trailers again and again", opened_once(lambda i: h2.headers_frame(b"\x00\x01x\x01y")),
          CALM.format("too_many_idle_frames")),
]


def open_streams(subject: Subject) -> str:
    """Calls that never send their message, as many as 20 connections may have."""
    connections = [subject.connect() for _ in range(20)]
    head = h2.block(h2.request())
    for connection in connections:
        connection.send(b"".join(h2.headers_frame(head, stream_of(i)) for i in range(20_000)))
    last = h2.frame(h2.PING, 0, 0, b"the last")
    settled = all(connection.send(last) for connection in connections)
    for connection in connections:
        connection.read_until(lambda: connection.count(h2.PING) > 0 or connection.closed)
    refused = sum(connection.count(h2.RST_STREAM) for connection in connections)
    for connection in connections:
        connection.socket.close()
    return f"{'some' if refused else 'none'} refused, {'all' if settled else 'not all'} kept"


def refused_streams(subject: Subject) -> str:
    """As many calls as a connection may have open, then on and on more of them in nine bytes each,
    and not a word about the server's SETTINGS, nor a look at what it answers."""
    head = h2.block(h2.request())
    with subject.connect() as connection:
        connection.send(b"".join(h2.headers_frame(head, stream_of(i)) for i in range(STREAMS_MAX)),
                        reading=False, seconds=10.0)
        connection.send(b"".join(h2.headers_frame(b"", stream_of(STREAMS_MAX + i))
                                 for i in range(10 * FLOOD)), reading=False, seconds=5.0)
        connection.wait_closed()
        return "; ".join(connection.ending())


def unfinished_messages(subject: Subject) -> str:
    """Each of 10 connections begins 30 messages of 2 MB and ends none."""
    whole = h2.message(bytes(2_000_000), length=2_000_001)
    ended = 0
    connections = [subject.connect() for _ in range(10)]
    for stream in range(1, 61, 2):
        for connection in connections:
            connection.send(h2.headers_frame(h2.request(), stream) +
                            h2.data_frames(whole, stream, end=False), seconds=2.0)
    for connection in connections:
        connection.send(h2.frame(h2.PING, 0, 0, b"the last"), seconds=1.0)
        connection.read_until(lambda: connection.count(h2.PING) > 0, 2.0)
        ended += sum(connection.headers_of(stream).get("grpc-status") == "8"
                     for stream in range(1, 61, 2))
        connection.socket.close()
    return f"{'some' if ended else 'none'} ended with ResourceExhausted"


def taken_back(subject: Subject) -> str:
    """Of 50 calls of one connection each sends 2 MB of its message and is then reset, and not
    before the last of them is the next one begun."""
    part = h2.message(bytes(2_000_000), length=2_000_001)
    with subject.connect() as connection:
        connection.send(b"".join(h2.headers_frame(h2.request(), stream_of(i)) for i in range(51)))
        for i in range(50):
            connection.send(h2.data_frames(part, stream_of(i), end=False) + reset(stream_of(i)))
        connection.send(h2.data_frames(h2.message(PUT), stream_of(50)))
        return connection.outcome(stream_of(50))


def untaken_messages(subject: Subject) -> str:
    """On each of 20 connections a call that is refused, with seven messages of 2 MB in 14 KB
    behind its head. Then silence."""
    bomb = h2.message(gzip.compress(bytes(2_000_000)), flag=1)
    head = h2.headers_frame(h2.request("/no.Such/Call") + [("grpc-encoding", "gzip")])
    connections = [subject.connect() for _ in range(20)]
    for connection in connections:
        connection.send(head + h2.data_frames(7 * bomb, end=False))
    outcomes = {connection.outcome() for connection in connections}
    for connection in connections:
        connection.socket.close()
    return ", ".join(sorted(outcomes))


def fill_unread(subject: Subject) -> None:
    if subject.has_unread:
        return
    subject.has_unread = True
    with subject.connect() as connection:
        connection.send(h2.call(PUT_PATH, h2.put(b"unread", bytes(UNREAD_VALUE))))
        assert connection.outcome() == "grpc 0"


def zero_window(subject: Subject) -> str:
    """Asks for 16 × 200 × 256 KiB and gives no window to send it in. That the answers were there
    shows in one that is let through at the end."""
    fill_unread(subject)
    hello = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0))
    connections = [subject.connect(hello) for _ in range(16)]
    asked = b"".join(h2.call(RANGE_PATH, h2.field(1, b"unread"), stream_of(i)) for i in range(200))
    for connection in connections:
        connection.send(asked)
    time.sleep(1.0)
    for connection in connections:
        connection.receive()
    got = sum(connection.count(h2.DATA) for connection in connections)
    outcomes = {let_through(connection) for connection in connections}
    return f"{got} DATA frames, then {', '.join(sorted(outcomes))}"


def let_through(connection: h2.Connection) -> str:
    """What becomes of the first of the answers that waited."""
    room = h2.u32(2 * UNREAD_VALUE)
    connection.send(h2.frame(h2.WINDOW_UPDATE, 0, 1, room) +
                    h2.frame(h2.WINDOW_UPDATE, 0, 0, room))
    outcome = connection.outcome()
    whole = len(connection.body_of(1)) > UNREAD_VALUE
    connection.socket.close()
    return f"{'a whole answer' if whole else 'no answer'}, {outcome}"


def unread_socket(subject: Subject) -> str:
    """A window without end, and nobody reads the socket. What waits in it is an answer."""
    fill_unread(subject)
    hello = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0x7FFFFFFF)) + h2.frame(
        h2.WINDOW_UPDATE, 0, 0, h2.u32(0x7FFF0000 - 65535))
    connections = [subject.connect(hello) for _ in range(16)]
    asked = b"".join(h2.call(RANGE_PATH, h2.field(1, b"unread"), stream_of(i)) for i in range(200))
    for connection in connections:
        connection.send(asked, reading=False, seconds=2.0)
    time.sleep(1.0)
    answered = 0
    for connection in connections:
        connection.read_until(lambda one=connection: one.count(h2.DATA) > 0)
        answered += connection.count(h2.DATA) > 0
        connection.socket.close()
    return f"{answered} of {len(connections)} answered"


def idle_after_answers(subject: Subject) -> str:
    """200 clients that got a large answer each, one after the other, and stay."""
    fill_unread(subject)
    hello = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0x7FFFFFFF)) + h2.frame(
        h2.WINDOW_UPDATE, 0, 0, h2.u32(1 << 24))
    connections = []
    outcomes = set()
    for _ in range(200):
        connection = subject.connect(hello)
        connections.append(connection)
        connection.send(h2.call(RANGE_PATH, h2.field(1, b"unread")))
        outcomes.add(connection.outcome())
        connection.frames.clear()
    for connection in connections:
        connection.socket.close()
    return ", ".join(sorted(outcomes))


def one_byte_windows(subject: Subject) -> str:
    """An answer fetched byte by byte costs as many frames; the flood guard must not take it for
    work."""
    fill_unread(subject)
    hello = h2.PREFACE + h2.settings((h2.INITIAL_WINDOW_SIZE, 0))
    with subject.connect(hello) as connection:
        connection.send(h2.call(RANGE_PATH, h2.field(1, b"unread")))
        connection.send(b"".join(h2.frame(h2.WINDOW_UPDATE, 0, 1, h2.u32(1)) for _ in range(FLOOD)))
        connection.read_until(lambda: connection.count(h2.DATA) >= FLOOD, 3.0)
        got = len(connection.body_of(1))
        share = "nothing" if got == 0 else "a part" if got <= FLOOD else "more than asked for"
        return "; ".join([share, *connection.ending()])


MEMORY_CASES = [
    # 131,072 at 1 KiB.
    Case("400,000 open streams", open_streams, "some refused, .*", 192, ".*", alone=True),
    Case("200,000 streams that are refused", refused_streams, CALM_OR_CLOSED, 96, ".*",
         alone=True),
    # 256 MiB of requests.
    Case("600 MB of unfinished messages", unfinished_messages,
         "some ended with ResourceExhausted", 320, ".*", alone=True),
    # Two of them.
    Case("50 times 2 MB that is taken back", taken_back, "grpc 0", 16, alone=True),
    # What one read inflates to, once.
    Case("20 times 14 MB that nobody takes", untaken_messages,
         r"grpc 12 unknown service no\.Such", 64, ".*", alone=True),
    # For each of 16 connections 4 MiB of unread answers, and 16 reads under way.
    Case("zero window", zero_window, "0 DATA frames, then a whole answer, grpc 0", 192,
         alone=True),
    Case("unread socket", unread_socket, "16 of 16 answered", 192, alone=True),
    # As idle ones, and one answer.
    Case("idle after large answers", idle_after_answers, "grpc 0", 24, alone=True),
    Case("windows of one byte", one_byte_windows, "a part; " + CALM_OR_CLOSED),
]


class Trickle:
    """Many connections that say one thing, a byte at a time."""

    def __init__(self, port: int, count: int, at_once: bytes, slowly: bytes):
        self.rest = slowly
        self.connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for connection in self.connections:
            connection.sendall(at_once)

    def step(self) -> None:
        byte, self.rest = self.rest[:1], self.rest[1:]
        for connection in self.connections:
            try:
                connection.sendall(byte)
            except OSError:
                pass

    def open(self) -> int:
        return sum(not is_closed(connection) for connection in self.connections)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while True:
            if not connection.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def slowloris(subject: Subject) -> str:
    head = h2.block(h2.request())
    groups = {
        "preface": Trickle(subject.port, 50, b"", h2.PREFACE),
        "http1": Trickle(subject.port, 50, b"GET /health HTTP/1.1\r\n", b"Host: x\r\nX-Slow: " +
                         b"y" * 1000),
        "headers": Trickle(subject.port, 50, h2.HELLO + h2.frame(
            h2.HEADERS, END_HEADERS, 1, b"", len(head)), head),
        "body": Trickle(subject.port, 50, h2.HELLO + h2.headers_frame(h2.request()) +
                        h2.frame(h2.DATA, 0, 1, b"", 1000), bytes(1000)),
    }
    end = time.monotonic() + TRICKLE_SECONDS
    while time.monotonic() < end:
        for group in groups.values():
            group.step()
        time.sleep(0.5)
    found = ", ".join(f"{name} {group.open()} open" for name, group in groups.items())
    for group in groups.values():
        group.close()
    return found


def idle(subject: Subject) -> str:
    """Half of them have not even said what they speak."""
    before = subject.sockets()
    silent = [socket.create_connection(("127.0.0.1", subject.port))
              for _ in range(IDLE_CONNECTIONS // 2)]
    greeted = [socket.create_connection(("127.0.0.1", subject.port))
               for _ in range(IDLE_CONNECTIONS // 2)]
    for connection in greeted:
        connection.sendall(h2.HELLO)
    wait_until(lambda: subject.sockets() >= before + IDLE_CONNECTIONS, 10, "all are accepted")
    time.sleep(2.0)
    still = sum(not is_closed(connection) for connection in greeted)
    for connection in silent + greeted:
        connection.close()
    return f"{still} still served"


SLOW_CASES = [
    Case("slowloris", slowloris, "preface 0 open, http1 0 open, headers 50 open, body 50 open", 16,
         "preface 50 open, http1 50 open, headers 50 open, body 50 open", alone=True),
    # 16 KiB of buffer and 12 KiB of HTTP/2 session each.
    Case("2,000 idle connections", idle, f"{IDLE_CONNECTIONS // 2} still served", 96,
         alone=True),
]
