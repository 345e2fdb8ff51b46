"""scripts/cluster with a stand-in for cairnd: that the right processes start, end and start again,
and that nothing else is ended."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Says that it is healthy, and writes down how it was started.
STAND_IN = '''#!/usr/bin/env python3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
if "fail" in flags:
    sys.exit("cannot start")
print("started", flags["name"], flags["initial-cluster"], flags.get("log-level"), flush=True)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"health":"true","reason":""}')

    def log_message(self, *arguments):
        pass

host, port = flags["listen-client-urls"].removeprefix("http://").split(":")
HTTPServer((host, int(port)), Handler).serve_forever()
'''


def free_base_port() -> int:
    """The first of six free ports in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            base = probe.getsockname()[1]
        if base + 6 < 65536 and all(is_free(base + offset) for offset in range(6)):
            return base


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class ClusterScriptTest(unittest.TestCase):
    """Each test has a folder and ports of its own."""

    def setUp(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="cairn-cluster-")
        self.folder = Path(self.scratch.name) / "cluster"
        programs = Path(self.scratch.name) / "bin"
        programs.mkdir()
        (programs / "cairnd").write_text(STAND_IN)
        (programs / "cairnd").chmod(0o755)
        self.environment = {**os.environ, "CAIRN_BIN_DIR": str(programs)}

    def tearDown(self) -> None:
        if self.folder.exists():
            self.cluster("wipe")
        self.scratch.cleanup()

    def cluster(self, *arguments: str, code: int = 0) -> str:
        words = list(arguments)
        at = words.index("--") if "--" in words else len(words)
        words[at:at] = ["--dir", str(self.folder)]
        done = subprocess.run([str(ROOT / "scripts" / "cluster"), *words], text=True, timeout=60,
                              capture_output=True, check=False, env=self.environment)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"pid (\d+), serves", self.cluster_status())]

    def cluster_status(self) -> str:
        done = subprocess.run([str(ROOT / "scripts" / "cluster"), "status", "--dir",
                               str(self.folder)], text=True, timeout=60, capture_output=True,
                              check=False, env=self.environment)
        return done.stdout

    def test_life_of_a_cluster(self) -> None:
        base = free_base_port()
        text = self.cluster("start", "--base-port", str(base), "--", "--log-level=warn")
        self.assertIn(f"127.0.0.1:{base},127.0.0.1:{base + 2},127.0.0.1:{base + 4}", text)
        first = self.pids()
        self.assertEqual(len(set(first)), 3)
        members = ",".join(f"n{i + 1}=http://127.0.0.1:{base + 2 * i + 1}" for i in range(3))
        self.assertEqual((self.folder / "n2.log").read_text(), f"started n2 {members} warn\n")

        self.assertIn("node 2 killed", self.cluster("kill", "2"))
        self.assertEqual(self.pids(), [first[0], first[2]])
        self.assertIn("not running", self.cluster("kill", "2"))
        self.assertIn("node 2 serves", self.cluster("restart", "2"))
        second = self.pids()
        self.assertEqual([second[0], second[2]], [first[0], first[2]])
        self.assertNotEqual(second[1], first[1])
        # A start of what runs changes nothing.
        self.cluster("start")
        self.assertEqual(self.pids(), second)
        self.cluster("start", "--nodes", "2", code=1)

        self.cluster("stop")
        self.assertEqual(self.pids(), [])
        self.assertTrue((self.folder / "cluster.json").exists())
        self.cluster("start")
        self.assertEqual(len(self.pids()), 3)
        self.cluster("wipe")
        self.assertFalse(self.folder.exists())
        self.cluster("status", code=1)

    def test_a_node_that_cannot_start(self) -> None:
        text = self.cluster("start", "--nodes", "1", "--base-port", str(free_base_port()), "--",
                            "--fail=1", code=1)
        self.assertIn("node 1 ended with code 1", text)
        self.assertIn("cannot start", text)

    def test_a_pid_that_another_process_has_now(self) -> None:
        self.cluster("start", "--nodes", "1", "--base-port", str(free_base_port()))
        pid_file = self.folder / "n1.pid"
        real = pid_file.read_text()
        pid_file.write_text(f"{os.getpid()}\n")
        self.assertIn("stopped", self.cluster("status", code=1))
        self.assertIn("not running", self.cluster("kill", "1"))
        pid_file.write_text(real)

    def test_node_numbers(self) -> None:
        self.cluster("start", "--nodes", "1", "--base-port", str(free_base_port()))
        self.assertIn("say which node", self.cluster("kill", code=1))
        self.assertIn("say which node", self.cluster("kill", "2", code=1))
        self.cluster("start", "--nodes", "9", code=1)


if __name__ == "__main__":
    unittest.main()
