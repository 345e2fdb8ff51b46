"""Calls that are wrong in one way each."""

from __future__ import annotations

import re

import h2
from h2 import END_HEADERS, END_STREAM
from nodes import wait_until
from subject import MIB, PUT_PATH, RANGE_PATH, Case, Subject

MESSAGE_MAX = 1_572_864 + 524_288  # --max-request-bytes and the room for gRPC
FRAME_MAX = 16384
PUT = h2.put(b"k", b"v")
OVERSIZED = rf"grpc 8 grpc: received message larger than max \(\d+ vs\. {MESSAGE_MAX}\)"


def of(name: str, sent: bytes, expect: str, etcd: str | None = None, growth_mib: int = 8) -> Case:
    """The case that sends this on stream 1 of a new connection."""

    def act(subject: Subject) -> str:
        with subject.connect() as connection:
            connection.send(sent)
            return connection.outcome()

    return Case(name, act, expect, growth_mib, etcd)


def call_of(headers: h2.Headers, payload: bytes = PUT) -> bytes:
    return h2.headers_frame(headers) + h2.data_frames(h2.message(payload))


def put_of(body: bytes) -> bytes:
    """`body`: gRPC messages as they stand on the wire."""
    return h2.headers_frame(h2.request()) + h2.data_frames(body)


def with_header(name: str, value: str) -> bytes:
    return call_of(h2.request() + [(name, value)])


def split_call(headers: h2.Headers) -> bytes:
    """A call whose headers need CONTINUATION frames."""
    rest = h2.block(headers)
    out = h2.frame(h2.HEADERS, END_STREAM, 1, rest[:FRAME_MAX])
    while len(rest) > FRAME_MAX:
        rest = rest[FRAME_MAX:]
        out += h2.frame(h2.CONTINUATION, END_HEADERS if len(rest) <= FRAME_MAX else 0, 1,
                        rest[:FRAME_MAX])
    return out


def cancelled_puts(subject: Subject) -> int:
    """There is no such line before the first of them."""
    found = re.search(r'^grpc_server_handled_total\{grpc_code="Canceled",[^}]*"Put".*\} (\d+)$',
                      subject.node.get("/metrics")[2], re.MULTILINE)
    return int(found.group(1)) if found else 0


def forgotten(subject: Subject) -> str:
    """A call that the server resets, by a client that is silent from then on."""
    before = cancelled_puts(subject)
    with subject.connect() as connection:
        connection.send(h2.headers_frame(h2.request()) + h2.headers_frame(h2.block([("x", "y")])))
        outcome = connection.outcome()
        wait_until(lambda: cancelled_puts(subject) > before, 5, "the call is over")
        return outcome


HEAD_CASES = [
    of("unknown service", call_of(h2.request("/no.Such/Put")),
       r"grpc 12 unknown service no\.Such"),
    of("unknown method", call_of(h2.request("/etcdserverpb.KV/Steal")),
       r"grpc 12 unknown method Steal for service etcdserverpb\.KV"),
    of("path without a slash", call_of(h2.request("Put")),
       'grpc 12 malformed method name: "Put"'),
    of("path of one name", call_of(h2.request("/Put")), 'grpc 12 malformed method name: "/Put"'),
    of("path of 16,000 bytes", call_of(h2.request("/" + "x" * 16_000 + "/y")),
       r"grpc 12 unknown service x{256}"),
    of("no path", call_of(h2.request(None)), "RST_STREAM PROTOCOL_ERROR",
       'grpc 12 malformed method name: ""'),
    of("no content-type", call_of(h2.request(kind=None)),
       'http 415; grpc 3 invalid gRPC request content-type ""'),
    of("wrong content-type", call_of(h2.request(kind="application/json")),
       'http 415; grpc 3 invalid gRPC request content-type "application/json"'),
    of("GET", call_of(h2.request(method="GET")),
       'http 405; grpc 13 Received a HEADERS frame with :method "GET" which should be POST'),
    # gRPC's server does not ask for it either.
    of("no te", call_of(h2.request(te=None)), "grpc 0"),
    of("wrong grpc-timeout", with_header("grpc-timeout", "soon"),
       'http 400; grpc 13 malformed grpc-timeout: .*'),
    of("unknown grpc-encoding", with_header("grpc-encoding", "rot13"),
       'grpc 12 grpc: Decompressor is not installed for grpc-encoding "rot13"'),
    of("header of one connection", with_header("connection", "close"),
       "RST_STREAM PROTOCOL_ERROR"),
    of("upper-case header name", with_header("X-Upper", "x"), "RST_STREAM PROTOCOL_ERROR"),
    of("line feed in a header", with_header("x", "a\nb"), "RST_STREAM PROTOCOL_ERROR"),
    of("unknown pseudo-header", with_header(":status", "200"), "RST_STREAM PROTOCOL_ERROR"),
    of("headers of 100,000 bytes", split_call(h2.request() + [(f"x-{i}", "y" * 900)
                                                              for i in range(100)]),
       "RST_STREAM FRAME_SIZE_ERROR"),
]

BODY_CASES = [
    Case("trailers that are not the last", forgotten, "RST_STREAM PROTOCOL_ERROR", 8,
         ".*"),
    of("truncated protobuf", put_of(h2.message(PUT[:-1])), "grpc 13 .*unmarshal.*"),
    of("protobuf of random bytes", put_of(h2.message(bytes(range(255, 200, -1)))),
       "grpc 13 .*unmarshal.*"),
    of("field longer than its message", put_of(h2.message(b"\x0a\xff\xff\xff\xff\x07abc")),
       "grpc 13 .*unmarshal.*"),
    of("no message", h2.headers_frame(h2.request(), end=True),
       "grpc 13 a unary call takes one message, none came", "nothing"),
    # etcd's gRPC answers the first and does not look further.
    of("two messages", put_of(h2.message(PUT) * 2),
       "grpc 13 a unary call takes one message, two came", "grpc 0"),
    of("prefix cut off", put_of(b"\0\0\0"), "grpc 2 EOF"),
    of("message cut off", put_of(h2.message(PUT, length=len(PUT) + 1)), "grpc 2 unexpected EOF"),
    of("prefix shorter than the message", put_of(h2.message(PUT, length=len(PUT) - 1)),
       "grpc 2 EOF", "grpc 13 .*unmarshal.*"),
    of("prefix of 4 GiB", put_of(h2.message(PUT, length=0xFFFFFFFF)), OVERSIZED),
    of("message a byte too large", put_of(h2.message(b"", length=MESSAGE_MAX + 1)), OVERSIZED),
    of("announced and never sent", h2.headers_frame(h2.request()) +
       h2.data_frames(h2.message(b"x", length=MESSAGE_MAX), end=False) +
       h2.frame(h2.RST_STREAM, 0, 1, h2.u32(h2.CANCEL)) +
       h2.call(PUT_PATH, PUT, 3) + h2.frame(h2.GOAWAY, 0, 0, bytes(8)), "closed",
       "nothing"),
    of("request over max-request-bytes", put_of(h2.message(h2.put(b"k", bytes(1_600_000)))),
       "grpc 3 etcdserver: request is too large", growth_mib=24),
    of("message of 8 MiB, all sent", put_of(h2.message(bytes(8 * MIB))), OVERSIZED),
    of("flag of no kind", put_of(h2.message(PUT, flag=7)),
       "grpc 13 grpc: received unexpected payload format 7"),
    of("compressed without encoding", put_of(h2.message(PUT, flag=1)),
       "grpc 13 grpc: compressed flag set with identity or empty encoding"),
    of("gzip that is none", h2.headers_frame(h2.request() + [("grpc-encoding", "gzip")]) +
       h2.data_frames(h2.message(PUT, flag=1)), "grpc 13 .*"),
    of("empty key", call_of(h2.request(), b""), "grpc 3 etcdserver: key is not provided"),
    of("range with no key", call_of(h2.request(RANGE_PATH), b""),
       "grpc 3 etcdserver: key is not provided"),
]
