#!/usr/bin/env python3
"""Writes a golden data directory: tests/golden/make.py v2 makes v2.tar.xz and v2.json beside this
script, with the newest cairnd and cairn below build/ (or $CAIRND and $CAIRN).

A new one is written when the format of the data directory changes; the old ones stay for ever. It
has keys put, put again, deleted and put once more, transactions, values inline and not, keys of odd
bytes, a compaction that is collected and one that is not yet; a log whose floor has risen, of two
segments, the newer in a recycled file; and, as the process was killed, an end that only the log
has.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from lone_member import WAIT_SECONDS, LoneMember

HERE = Path(__file__).resolve().parent
LARGE = b"large value " * (100 * 1024)  # 1.2 MB, which xz makes very small
ARCHIVE_BYTES_MAX = 200_000


def write_small(member: LoneMember, folder: str) -> None:
    """Some dozens of changes below `folder`, of every kind."""
    for i in range(24):
        member.put(f"{folder}/{i:02}", b"value %d" % i)
    for i in range(0, 24, 3):
        member.put(f"{folder}/{i:02}", b"second value %d" % i)
    for i in range(0, 24, 4):
        member.cairn("del", f"{folder}/{i:02}")
    member.put(f"{folder}/00", b"a second life")
    member.put(f"{folder}/empty", b"\n")  # the CLI keeps what standard input has
    member.put(f"{folder}/inline", b"i" * 256)
    member.put(f"{folder}/latest", b"l" * 257)
    member.put(f"{folder}/binary", bytes(range(256)))
    member.cairn("txn", given=(
        f'mod("{folder}/01") > "0"\n\n'
        f'put "{folder}/txn a" "1"\ndel {folder}/02\nput {folder}/01 "in a txn"\n'
        f'get {folder}/01\n\nput {folder}/never "0"\n\n').encode())
    member.cairn("txn", given=(
        f'ver("{folder}/none") > "0"\n\nput {folder}/never "0"\n\n'
        f'put "{folder}/\\x00\\xff\\x00" "odd"\ndel {folder}/2 --prefix\n\n').encode())


def write_large(member: LoneMember, done) -> None:
    """Until the log is where it should be."""
    until = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > until:
            raise RuntimeError("the log does not come to where it should be")
        member.put("large", LARGE)


def segments(data: Path) -> list[int]:
    return sorted(int(path.stem, 16) for path in (data / "wal").glob("*.seg"))


def fill(data: Path, log: Path) -> dict:
    """Leaves a data directory without a process; returns what must be found in it."""
    with LoneMember(data, log) as member:
        write_small(member, "a")
        member.run("compaction", str(member.revision() - 20), "--physical")
        # 64 MiB of log bring a flush, then the floor rises, and segment 1 is free.
        write_large(member, lambda: segments(data) == [2])
        write_small(member, "b")
        assert member.stop() == 0
    # Less than a flush is due for in each of two runs, more than a segment together.
    with LoneMember(data, log) as member:
        for _ in range(20):
            member.put("large", LARGE)
        assert member.stop() == 0
    with LoneMember(data, log) as member:
        write_large(member, lambda: segments(data) == [2, 3])
        write_small(member, "c")
        compacted = member.revision() - 60
        member.run("compaction", str(compacted))
        last = member.put("end", b"of the log")
        return {
            **member.identity(),
            "revision": last,
            "compacted": compacted,
            "segments": segments(data),
            "pairs": {revision: member.pairs(revision)
                      for revision in (compacted, compacted + 20, compacted + 50, last - 1, last)},
            "hash_kv": {revision: member.hash_kv(revision)
                        for revision in (compacted, compacted + 50, last)},
        }


def pack(data: Path, archive: Path) -> None:
    """Without what tells of this machine: owners, times, RocksDB's own log."""
    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(info.name).name.startswith("LOG"):
            return None
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        info.mode = 0o700 if info.isdir() else 0o600
        return info
    with tarfile.open(archive, "w:xz", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(data, arcname="data", filter=plain)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    name = sys.argv[1]
    archive = HERE / f"{name}.tar.xz"
    with tempfile.TemporaryDirectory(prefix="cairn-golden-") as scratch:
        data = Path(scratch) / "data"
        expected = fill(data, Path(scratch) / "log")
        assert expected["segments"] == [2, 3], expected["segments"]
        pack(data, archive)
    if archive.stat().st_size > ARCHIVE_BYTES_MAX:
        print(f"{archive}: {archive.stat().st_size} bytes, too large to keep", file=sys.stderr)
        return 1
    (HERE / f"{name}.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{archive.name}: {archive.stat().st_size} bytes, revision {expected['revision']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
