"""Each golden data directory (NAME.tar.xz) opens in this build, holds exactly what NAME.json says,
and takes new writes."""

from __future__ import annotations

import json
import tarfile
import tempfile
import unittest
from pathlib import Path

from lone_member import LoneMember

HERE = Path(__file__).resolve().parent
ARCHIVES = sorted(HERE.glob("*.tar.xz"))


class GoldenDirectoryTest(unittest.TestCase):
    """A member starts on a copy, is asked, ends, and starts again."""

    maxDiff = None

    def test_there_is_one_for_each_format(self) -> None:
        self.assertIn("v1.tar.xz", [path.name for path in ARCHIVES])

    def test_directories(self) -> None:
        for archive in ARCHIVES:
            expected = json.loads(archive.with_suffix("").with_suffix(".json").read_text())
            with self.subTest(archive=archive.name), \
                    tempfile.TemporaryDirectory(prefix="cairn-golden-") as scratch:
                with tarfile.open(archive) as tar:
                    tar.extractall(scratch)
                self.check(Path(scratch) / "data", Path(scratch) / "log", expected)

    def check(self, data: Path, log: Path, expected: dict) -> None:
        # Else it would not show what it is kept for.
        segments = sorted(int(path.stem, 16) for path in (data / "wal").glob("*.seg"))
        self.assertEqual(segments, expected["segments"])
        with LoneMember(data, log) as member:
            self.check_content(member, expected)
            self.check_compaction(member, expected)
            self.assertEqual(member.put("new", b"value"), expected["revision"] + 1)
            self.assertEqual(member.stop(), 0)
        with LoneMember(data, log) as member:
            self.check_content(member, expected)
            self.assertEqual(member.revision(), expected["revision"] + 1)
            newest = member.pairs(0)
            self.assertEqual(len(newest), len(expected["pairs"][str(expected["revision"])]) + 1)
            self.assertIn(f"b'new' create {expected['revision'] + 1} ", "".join(newest))
            self.assertEqual(member.stop(), 0)

    def check_content(self, member: LoneMember, expected: dict) -> None:
        self.assertEqual(member.identity(),
                         {key: expected[key] for key in ("cluster_id", "member_id", "name")})
        for revision, pairs in expected["pairs"].items():
            self.assertEqual(member.pairs(int(revision)), pairs, f"at revision {revision}")
        for revision, value in expected["hash_kv"].items():
            self.assertEqual(member.hash_kv(int(revision)), value, f"at revision {revision}")

    def check_compaction(self, member: LoneMember, expected: dict) -> None:
        self.assertEqual(member.revision(), expected["revision"])
        below = member.try_cairn("get", "x", f"--rev={expected['compacted'] - 1}")
        self.assertNotEqual(below.returncode, 0)
        self.assertIn(b"required revision has been compacted", below.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=1)
