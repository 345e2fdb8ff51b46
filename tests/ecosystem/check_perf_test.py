"""`etcdctl check perf --load=s` on three cairnd nodes, to its end: a minute of 150 puts a second,
then a delete of all of them, a compaction and a defragmentation of each node. What it measures is
printed and not judged: that is the machine's. With the argument "fetched": a 3.5 etcdctl."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest

from etcdctl_test import COMPACTED, ENVIRONMENT, TOOL
from nodes import Cluster

MINUTE_AND_REST_SECONDS = 150
PREFIX = "/etcdctl-check-perf/"


class CheckPerf(unittest.TestCase):
    def run_tool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([TOOL, "--endpoints", self.cluster.endpoints, *arguments], text=True,
                              capture_output=True, check=False, env=ENVIRONMENT,
                              timeout=MINUTE_AND_REST_SECONDS)

    def setUp(self) -> None:
        self.cluster = self.enterContext(Cluster(3))

    def test_small_load(self) -> None:
        done = self.run_tool("check", "perf", "--load=s", "--auto-compact", "--auto-defrag")
        lines = [line for line in re.split("[\r\n]+", done.stdout)
                 if line and not re.match(r" *\d+ / \d+", line)]  # the progress bar
        print("\n".join(lines))

        verdict = lines[-1]
        self.assertIn((verdict, done.returncode), [("PASS", 0), ("FAIL", 1)], done.stderr)
        self.assertNotIn("ERROR", done.stdout)
        figures = dict(re.findall(r"(Throughput|Slowest|Stddev)\D+(\d+(?:\.\d+)?)", done.stdout))
        self.assertEqual(figures.keys(), {"Throughput", "Slowest", "Stddev"})
        self.assertGreater(float(figures["Throughput"]), 0)

        # What it did besides measuring.
        at = int(self.line_after("Compacted with revision ", lines)[0])
        self.assertGreater(at, 1000)
        self.assertEqual(sorted(self.line_after("Defragmented ", lines)),
                         sorted(f'"{node.endpoint}"' for node in self.cluster.nodes))
        left = json.loads(self.run_tool("get", PREFIX, "--prefix", "-w", "json").stdout)
        self.assertNotIn("kvs", left)
        self.assertEqual(left["header"]["revision"], at)
        old = self.run_tool("get", PREFIX, "--prefix", f"--rev={at - 1}")
        self.assertIn(COMPACTED, old.stderr)

    @staticmethod
    def line_after(words: str, lines: list[str]) -> list[str]:
        return [line.removeprefix(words) for line in lines if line.startswith(words)]


if __name__ == "__main__":
    if not TOOL:
        print("no such etcdctl: skipped")
        sys.exit(77)
    unittest.main()
