"""Strangers at the peer port, and members that lie (docs/formats/peer.md)."""

from __future__ import annotations

import ctypes
import random
import re
import socket
import time

import h2
from flood_cases import is_closed
from frame_cases import SEED, noise_frame
from nodes import Cluster, Node, wait_until
from subject import MIB, RANGE_PATH, SANITIZED, Case, Subject

LIBRARY = ctypes.CDLL("libxxhash.so.0")
LIBRARY.XXH3_64bits.restype = ctypes.c_uint64
LIBRARY.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

PROTOCOL = 1
HEADER_BYTES = 8
FRAME_BYTES_MAX = 64 * MIB
NUMBER_MAX = 1 << 61  # the largest term or index that is believed
CLOSE_SECONDS = 3.0  # greetings that do not come are waited for 2 s
OPEN_SECONDS = 0.5  # what is not closed by then is left alone
STRANGERS = 400  # more than the peer port keeps


def frame(payload: bytes, length: int | None = None, checksum: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    check = LIBRARY.XXH3_64bits(payload, len(payload)) & 0xFFFFFFFF
    return size.to_bytes(4, "little") + (check if checksum is None else checksum).to_bytes(
        4, "little") + payload


def fixed64(number: int, value: int) -> bytes:
    return h2.varint(number << 3 | 1) + value.to_bytes(8, "little")


def hello(cluster: int, sender: int, receiver: int, protocol: int = PROTOCOL) -> bytes:
    return frame(h2.field(1, protocol) + fixed64(2, cluster) + fixed64(3, sender) +
                 fixed64(4, receiver) + h2.field(5, b"0.0.0"))


def fields(encoded: bytes) -> dict[int, int | bytes]:
    """Of a message of varints and byte strings."""
    found: dict[int, int | bytes] = {}
    while encoded:
        key, encoded = take_varint(encoded)
        value, encoded = take_varint(encoded)
        if key & 7 == 2:
            found[key >> 3], encoded = encoded[:value], encoded[value:]
        else:
            found[key >> 3] = value
    return found


def take_varint(encoded: bytes) -> tuple[int, bytes]:
    value = 0
    for i, byte in enumerate(encoded):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, encoded[i + 1:]
    raise AssertionError("a varint without end")


def identity(port: int) -> tuple[int, int]:
    """The cluster's and the member's id, as a response header says them."""
    with h2.Connection(port) as connection:
        connection.send(h2.call(RANGE_PATH, h2.field(1, b"k") + h2.field(7, 1)))
        assert connection.outcome() == "grpc 0"
        header = fields(fields(connection.body_of(1)[5:])[1])
        return header[1], header[2]


class Peers:
    """A cluster of three whose first member is attacked."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.node = cluster.nodes[0]
        ids = [identity(node.client_port) for node in cluster.nodes]
        self.id = ids[0][0]
        self.members = [member for _, member in ids]

    def greeting(self) -> bytes:
        return hello(self.id, self.members[1], self.members[0])

    def say(self, sent: bytes, then: bytes = b"", seconds: float = CLOSE_SECONDS) -> str:
        """What the peer port answers to these bytes, and to the others after its answer."""
        with h2.Connection(self.node.peer_port, b"") as connection:
            connection.http2 = False
            connection.send(sent)
            if then:
                connection.read_until(lambda: len(connection.raw) > HEADER_BYTES, CLOSE_SECONDS)
                connection.send(then)
            connection.wait_closed(seconds)
            words = [reply_of(connection.raw)] if len(connection.raw) > HEADER_BYTES else []
            return "; ".join([*words, "closed" if connection.closed else "open"])

    def of(self, name: str, sent: bytes, expect: str) -> Case:
        return Case(name, lambda _: self.say(sent), expect)

    def greeted(self, name: str, sent: bytes, expect: str = "accepted; closed",
                growth_mib: int = 8) -> Case:
        """From somebody who greets as the second member."""
        seconds = OPEN_SECONDS if expect.endswith("open") else CLOSE_SECONDS
        return Case(name, lambda _: self.say(self.greeting(), sent, seconds), expect, growth_mib)

    def stranger_cases(self) -> list[Case]:
        first, second = self.members[:2]
        good = self.greeting()
        return [
            self.of("HTTP/2 at the peer port", h2.HELLO + h2.headers_frame(h2.request()), "closed"),
            self.of("HTTP/1.1 at the peer port", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
                    "closed"),
            self.of("nothing at the peer port", b"", "closed"),
            self.of("a hello and more, unasked", good + good, "closed"),
            self.of("half a hello", good[:-3], "closed"),
            self.of("hello of 4 GiB", frame(b"", 0xFFFFFFFF) + bytes(1 << 20), "closed"),
            self.of("hello a byte too long", frame(bytes(1025)), "closed"),
            self.of("hello with a wrong checksum", frame(good[8:], checksum=1), "closed"),
            self.of("hello that does not parse", frame(b"\x0a\xff\xff"), "closed"),
            self.of("empty hello", frame(b""), "closed"),
            self.of("another cluster", hello(self.id + 1, second, first),
                    "refused: cluster id .* of the peer is not this cluster's .*; closed"),
            self.of("another protocol", hello(self.id, second, first, 77),
                    "refused: peer protocol 77, this member speaks 1 and 2; closed"),
            self.of("for another member", hello(self.id, first, second),
                    "refused: the peer wants member .*, this is .*; closed"),
            self.of("from nobody", hello(self.id, 12345, first),
                    "refused: 3039 is not another member of this cluster; closed"),
            self.of("from the member itself", hello(self.id, first, first),
                    "refused: .* is not another member of this cluster; closed"),
            Case("garbage at the peer port", self.garbage, r"\d+ connections, all closed", 16),
            Case("peer bytes at the client port", self.at_the_client_port, "closed"),
            Case("a member comes back among strangers", self.member_among_strangers, "let in", 24),
        ]

    def liar_cases(self) -> list[Case]:
        """While the second member stands still: it would come back and take its liar's place."""
        first, second, third = self.members
        own = fixed64(1, second) + fixed64(2, first)
        return [
            self.greeted("member: noise", random.Random(SEED).randbytes(4000)),
            self.greeted("member: frame of 4 GiB", frame(b"", 0xFFFFFFFF)),
            self.greeted("member: wrong checksum", frame(own, checksum=7)),
            self.greeted("member: empty message", frame(b"")),
            self.greeted("member: no body", frame(own)),
            self.greeted("member: does not parse", frame(own + b"\x72\xff\xff\xff\x7f")),
            self.greeted("member: in another's name",
                         frame(fixed64(1, third) + fixed64(2, first) + h2.field(16, b""))),
            self.greeted("member: for another",
                         frame(fixed64(1, second) + fixed64(2, third) + h2.field(16, b""))),
            *(self.greeted(f"member: index {index}, not believed",
                           frame(own + h2.field(14, h2.field(1, h2.field(2, index)))))
              for index in (NUMBER_MAX + 1, (1 << 63) + 1, (1 << 64) - 1)),
            self.greeted("member: a term that is not believed",
                         frame(own + h2.field(14, h2.field(1, h2.field(1, NUMBER_MAX + 1))))),
            # A heartbeat that knows of a later commit than this log's end is left alone.
            self.greeted("member: the largest commit that is believed",
                         frame(own + h2.field(16, h2.field(1, NUMBER_MAX))), "accepted; open"),
            self.greeted("member: a commit that is not believed",
                         frame(own + h2.field(16, h2.field(1, NUMBER_MAX + 1)))),
            self.greeted("member: 64 MiB announced, half sent",
                         frame(bytes(FRAME_BYTES_MAX // 2), FRAME_BYTES_MAX), "accepted; open", 96),
            self.greeted("member: a byte over 64 MiB", frame(b"", FRAME_BYTES_MAX + 1)),
        ]

    def garbage(self, _: Subject) -> str:
        count = 100 if SANITIZED else 500
        connections = []
        for i in range(count):
            dice = random.Random(SEED + i)
            noise = dice.choice((dice.randbytes(dice.randrange(300)), noise_frame(dice),
                                 frame(dice.randbytes(dice.randrange(64))),
                                 self.greeting()[:dice.randrange(40)]))
            connection = socket.create_connection(("127.0.0.1", self.node.peer_port))
            try:
                connection.sendall(noise)
            except OSError:
                pass
            connections.append(connection)
        wait_until(lambda: all(map(is_closed, connections)), CLOSE_SECONDS, "all are closed")
        for connection in connections:
            connection.close()
        return f"{count} connections, all closed"

    def at_the_client_port(self, _: Subject) -> str:
        with h2.Connection(self.node.client_port, self.greeting()) as connection:
            connection.wait_closed()
            return "; ".join(connection.ending())

    def member_among_strangers(self, _: Subject) -> str:
        """Strangers take all places of the peer port, again and again, while a member restarts."""
        # A leader that is stopped hands over, and a put at that moment fails for this alone.
        other = next(node for node in self.cluster.nodes[1:] if not leads(node))
        other.end()
        seen = len(other.log().splitlines())
        strangers = [self.stranger() for _ in range(STRANGERS)]
        other.start()
        end = time.monotonic() + 20
        while time.monotonic() < end and not self.is_back(other, seen):
            strangers = [one if not is_closed(one) else self.stranger() for one in strangers]
        back = self.is_back(other, seen)
        for one in strangers:
            one.close()
        other.wait_until_it_serves()
        return "let in" if back else "kept out"

    def stranger(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.node.peer_port))

    def is_back(self, other: Node, seen: int) -> bool:
        """The other member's log says that the first let it in."""
        lines = other.log().splitlines()[seen:]
        return any(f"{self.members[0]:x}" in line and re.search(r"\bconnected\b", line)
                   for line in lines)


def leads(node: Node) -> bool:
    return re.search(r"^etcd_server_is_leader 1$", node.get("/metrics")[2], re.M) is not None


def reply_of(raw: bytes) -> str:
    """A HelloReply, accepted or with its reason."""
    size = int.from_bytes(raw[:4], "little")
    payload = raw[8:8 + size]
    if payload[:2] == b"\x08\x01":
        return "accepted"
    key, rest = take_varint(payload)
    assert key == 2 << 3 | 2
    length, rest = take_varint(rest)
    return f"refused: {rest[:length].decode()}"
