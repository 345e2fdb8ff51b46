"""Who may include whom: the layer table, longest prefix first, and the checks that read it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tidylib.source import Finding, Source

_GENERATED = ("proto/etcd/", "proto/cairn/", "proto/grpc/")
_EVERY_FOLDER = ("base/", "raft/", "proto/", "storage/", "server/", "client/")
_NO_AMBIENT = frozenset({"thread", "chrono", "random", "fstream", "iostream", "future", "ctime",
                         "time.h", "sys/time.h"})


@dataclass(frozen=True)
class Layer:
    """`ours` and `third` are prefixes (or whole names) a folder may include; `banned` are
    standard headers it may not."""

    ours: tuple[str, ...]
    third: tuple[str, ...] = ()
    banned: frozenset[str] = frozenset()
    denied: tuple[str, ...] = ()


_PURE_DENIED = ("base/log.h",)
# What the log and the state machine see of the core: what is persisted, nothing about messages.
_PERSISTED = ("raft/types.h", "raft/persist.h", "raft/conf_change.h")
_ENGINES = ("storage/rocks_engine.h", "storage/posix_fs.h")

# A key is a folder (ending in /) or a file; the longest that fits a path decides.
LAYERS: dict[str, Layer] = {
    "base/": Layer(("base/",), ("fmt/",)),
    "base/find_host.h": Layer(("base/",), ("boost/asio", "fmt/")),
    "base/result.h": Layer(("base/",), ("boost/outcome",)),
    "base/log.cc": Layer(("base/",), ("fmt/", "spdlog/")),
    "base/checksum.h": Layer(("base/",), ("xxhash.h",)),
    "base/checksum.cc": Layer(("base/",), ("xxhash.h",)),
    "raft/": Layer(
        ("base/", "raft/"),
        (),
        _NO_AMBIENT | {"mutex", "shared_mutex", "condition_variable", "atomic"},
        _PURE_DENIED,
    ),
    "raft/describe.cc": Layer(("base/", "raft/"), ("fmt/",), _NO_AMBIENT, _PURE_DENIED),
    "proto/wire/": Layer(
        ("base/", "proto/wire/", *_GENERATED),
        ("fmt/", "google/protobuf/", "nghttp2/"),
        _NO_AMBIENT,
        _PURE_DENIED,
    ),
    "proto/wire/gzip.cc": Layer(("base/", "proto/wire/"), ("zlib.h",), _NO_AMBIENT),
    "storage/": Layer(
        ("base/", "storage/", *_PERSISTED, *_GENERATED),
        ("fmt/", "google/protobuf/", "xxhash.h"),
        _NO_AMBIENT,
        _PURE_DENIED,
    ),
    "storage/sha256.cc": Layer(("base/", "storage/"), ("openssl/",), _NO_AMBIENT, _PURE_DENIED),
    "storage/rocks/": Layer(("storage/rocks/",), ("rocksdb/",), _NO_AMBIENT),
    "storage/rocks_engine.cc": Layer(
        ("base/", "storage/", *_PERSISTED, *_GENERATED),
        ("fmt/", "rocksdb/", "xxhash.h"),
        _NO_AMBIENT,
    ),
    "storage/posix_fs.cc": Layer(
        ("base/", "storage/"), ("fmt/",), _NO_AMBIENT
    ),
    "server/replica/": Layer(
        ("base/", "raft/", "storage/", "server/replica/", *_GENERATED),
        ("fmt/", "google/protobuf/"),
        _NO_AMBIENT,
        _PURE_DENIED + _ENGINES,
    ),
    "server/api/": Layer(
        (
            "base/",
            "proto/wire/",
            "server/api/",
            "server/replica/intent.h",
            "server/replica/completion.h",
            "server/replica/view.h",
            *_GENERATED,
        ),
        ("fmt/", "google/protobuf/"),
        _NO_AMBIENT,
        _PURE_DENIED,
    ),
    "server/api/member_id.cc": Layer(("base/", "server/api/"), ("openssl/",), _NO_AMBIENT),
    "server/peer/": Layer(
        ("base/", "raft/types.h", "raft/message.h", "server/peer/",
         "server/replica/snapshot_message.h", *_GENERATED),
        ("fmt/", "google/protobuf/"),
        _NO_AMBIENT,
        _PURE_DENIED,
    ),
    "server/net/": Layer(
        ("base/", "raft/", "proto/", "storage/", "server/replica/", "server/api/",
         "server/peer/", "server/net/"),
        ("boost/asio", "boost/beast", "boost/system", "fmt/", "google/protobuf/", "openssl/",
         "prometheus/"),
        frozenset({"random", "iostream"}),
    ),
    "server/": Layer(
        _EVERY_FOLDER[:-1],
        ("CLI/", "boost/asio", "boost/system", "boost/version.hpp", "fmt/", "google/protobuf/",
         "openssl/", "prometheus/", "rocksdb/version.h", "yaml-cpp/", "nghttp2/nghttp2ver.h"),
    ),
    "client/": Layer(
        ("base/", "client/", "proto/"),
        ("CLI/", "boost/asio", "boost/system", "fmt/", "google/protobuf/", "openssl/"),
    ),
    # Works on a member's files, without a server.
    "client/ctl/snapshot.cc": Layer(
        ("base/", "client/", "proto/", "server/config.h", "server/restore.h",
         "storage/posix_fs.h", "storage/rocks_engine.h", "storage/saved_snapshot.h",
         "storage/sha256.h", "storage/snapshot_status.h"),
        ("fmt/",),
    ),
    "tests/": Layer(("",), ("",)),
    "scripts/": Layer(("",), ("",)),
    "examples/": Layer(("client/", "base/"), ("",)),
}

_C_HEADER = re.compile(
    r"^((sys|netinet|arpa|linux|net)/[\w/]+|assert|crypt|ctype|dirent|errno|fcntl|float|grp"
    r"|inttypes|limits|locale|malloc|math|netdb|poll|pthread|pwd|sched|setjmp|signal|stdarg|stddef"
    r"|stdint|stdio|stdlib|string|strings|syslog|termios|time|unistd|wchar)\.h$"
)
_STD_HEADER = re.compile(r"^[a-z0-9_]+$")


def layer_of(path: str) -> Layer | None:
    """The table's row for a file: the longest key that is the path or a folder above it."""
    fitting = [key for key in LAYERS if path == key or (key.endswith("/") and path.startswith(key))]
    return LAYERS[max(fitting, key=len)] if fitting else None


def _allowed(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or (not prefix.endswith(".h") and name.startswith(prefix))
               for prefix in prefixes)


def check_layers(source: Source) -> Iterable[Finding]:
    """Every include is one that the layer table grants to this folder."""
    layer = layer_of(source.path)
    if layer is None:
        yield source.finding(0, "layer", "no row of the layer table fits this folder")
        return
    for include in source.includes:
        name = include.name
        if include.quoted:
            if name in layer.denied or not _allowed(name, layer.ours):
                yield source.finding(
                    include.line, "layer", f"{source.folder}/ may not include \"{name}\"")
        elif _C_HEADER.match(name) or _STD_HEADER.match(name):
            if name in layer.banned:
                yield source.finding(
                    include.line, "layer", f"{source.folder}/ may not include <{name}>")
        elif not _allowed(name, layer.third):
            yield source.finding(
                include.line, "layer", f"{source.folder}/ may not include <{name}>")


def check_single_users(sources: Iterable[Source]) -> Iterable[Finding]:
    """nghttp2 stays behind one file: its types must not leak through proto/wire."""
    users = [(source, include) for source in sources for include in source.includes
             if include.name == "nghttp2/nghttp2.h" and source.path.startswith("proto/wire/")]
    for source, include in users:
        if source.is_header:
            yield source.finding(include.line, "layer", "nghttp2 may not appear in a header")
    files = sorted({source.path for source, _ in users if not source.is_header})
    for source, include in users:
        if source.path in files[1:]:
            yield source.finding(include.line, "layer", f"nghttp2 is already used by {files[0]}")


def check_include_order(source: Source) -> Iterable[Finding]:
    """x.cc and x_test.cc include x.h first, which also proves that x.h stands alone."""
    if source.is_header or not source.includes:
        return
    path = source.path.removesuffix(".cc") + ".h"
    spellings = {path, path.removeprefix("tests/"), path.rpartition("/")[2]}
    own = spellings & {include.name for include in source.includes if include.quoted}
    if own and source.includes[0].name not in own:
        yield source.finding(source.includes[0].line, "own-header-first",
                             f'"{own.pop()}" comes first')
