"""Runs `cairn` and `etcdctl` with the same arguments against a real etcd and compares, byte for
byte, what they print, and their exit codes. Each program has an etcd of its own that gets the same
commands, so that revisions agree. What differs by nature is masked: ids of the running etcd, times,
and etcdctl's own log lines."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAIRN = os.environ.get("CAIRN", "")

# etcdctl's fields and json are 3.5's; its table is drawn as 3.4 and upstream 3.5 draw it.
PAIR_ARGUMENTS: list[list[str]] = [
    ["put", "foo", "bar"],
    ["put", "foo", "baz", "--prev-kv"],
    ["put", "foo2", "a b"],
    ["put", "foo3", 'quote" back\\slash \t tab', "--prev-kv"],
    ["put", "bin", "\udcff\udc80\x01"],
    ["put", "uml\u00e4ut", "\u20ac"],
    ["put", "--", "-key", "-value"],
    ["put", "put", "get"],
    ["put", "foo", "--ignore-value"],
    ["put", "nokey", "--ignore-value"],
    ["put", "nokey", "v", "--ignore-lease"],
    ["put", "foo", "v", "--lease", "1234"],
    ["put", "foo", "v", "--lease", "zz"],
    ["put", "foo", "v", "--ignore-value"],
    ["put", "a", "b", "c"],
    ["put", ""],
    ["put", "", "v"],
    ["put"],
    ["get"],
    ["get", "foo"],
    ["get", "put"],
    ["get", "nokey"],
    ["get", ""],
    ["get", "", "--prefix"],
    ["get", "", "--from-key", "--keys-only"],
    ["get", "foo", "--prefix"],
    ["get", "foo", "--prefix=false"],
    ["get", "foo", "foo3"],
    ["get", "foo2", "--from-key"],
    ["get", "foo", "--prefix", "--from-key"],
    ["get", "foo", "bar", "--prefix"],
    ["get", "foo", "--prefix", "--keys-only"],
    ["get", "foo", "--prefix", "--limit", "2"],
    ["get", "foo", "--prefix", "--limit=1", "--order", "DESCEND"],
    ["get", "foo", "--prefix", "--order=ascend", "--sort-by", "value"],
    ["get", "foo", "--prefix", "--sort-by=modify", "--order=descend"],
    ["get", "foo", "--prefix", "--sort-by", "CREATE"],
    ["get", "foo", "--prefix", "--sort-by", "version", "--order", "descend"],
    ["get", "foo", "--sort-by", "x"],
    ["get", "foo", "--order", "x"],
    ["get", "foo", "--consistency", "s"],
    ["get", "foo", "--consistency", "x"],
    ["get", "foo", "--rev", "2"],
    ["get", "foo", "--rev", "-1"],
    ["get", "foo", "--rev", "100000"],
    ["get", "foo", "--hex"],
    ["get", "bin", "--hex"],
    ["get", "foo", "--prefix", "--print-value-only"],
    ["get", "foo", "--keys-only", "--print-value-only"],
    ["get", "foo", "--count-only"],
    ["get", "foo", "--keys-only", "--count-only"],
    ["get", "a", "b", "c"],
    ["del", "foo2"],
    ["del", "nokey", "--prev-kv"],
    ["del", "foo3", "--prev-kv"],
    ["del"],
    ["del", "a", "b", "c"],
    ["del", "a", "b", "--prefix"],
    ["del", "a", "--prefix", "--from-key"],
    ["del", "a", "b", "--range"],
    ["put", "p/1", "x"],
    ["put", "p/2", "y"],
    ["del", "p/", "--prefix", "--prev-kv"],
    ["compaction"],
    ["compaction", "x"],
    ["compaction", "100000"],
    ["compaction", "3"],
    ["compaction", "3"],
    ["get", "foo", "--rev", "2"],
    ["member", "list"],
    ["member", "list", "--hex"],
    ["endpoint", "status"],
    ["endpoint", "status", "--cluster"],
    ["endpoint", "health"],
    ["endpoint", "health", "--cluster"],
    ["endpoint", "hashkv"],
    ["endpoint", "hashkv", "--rev", "100000"],
    ["alarm", "list"],
    ["-w", "foo", "get", "foo"],
]

# (arguments, standard input)
WITH_INPUT: list[tuple[list[str], bytes]] = [
    (["put", "stdin"], b"several\nlines\n\x00\xff"),
    (["put", "stdin"], b""),
    (["get", "stdin"], b""),
    (["txn"], b'mod("foo") > "0"\n\nput t 1\nget t\ndel t --prev-kv\nget foo --prefix --keys-only'
              b'\n\nget x\n\n'),
    (["txn"], b'value("foo") = "no"\n\nput t 1\n\nput t "two words" --prev-kv\nget t\n\n'),
    # Not lease("t"): etcdctl 3.5 panics on it.
    (["txn"], b'c("t") = "0"\nver("t") != "7"\n\n\nget nokey\n\n'),
    (["txn"], b'modx("foo") > "0"\n\n\n\n'),
    (["txn"], b'mod("foo") > "x"\n\n\n\n'),
    (["txn"], b'\nputt a b\n\n\n'),
    (["txn"], b'\nput a\n\n\n'),
    (["txn"], b'\nput a b\n\n'),
    (["txn"], b'\nput a b\nput a c\n\n\n'),
    (["txn", "--interactive"], b'\nput i j\n\n\n'),
]


def find_etcd() -> Path | None:
    """The folder of a real etcd 3.5, if scripts/fetch-etcd has one at hand."""
    found = subprocess.run([str(ROOT / "scripts" / "fetch-etcd"), "--cached"], text=True,
                           capture_output=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Etcd:
    """One etcd process on free ports, its data in a folder that goes with it."""

    def __init__(self, programs: Path):
        self.folder = tempfile.mkdtemp(prefix="cairn-twin-")
        self.endpoint = f"127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        with open(Path(self.folder) / "log", "wb") as log:
            self.process = subprocess.Popen(
                [str(programs / "etcd"), "--data-dir", self.folder + "/data", "--logger=zap",
                 "--log-level=error",
                 f"--listen-client-urls=http://{self.endpoint}",
                 f"--advertise-client-urls=http://{self.endpoint}",
                 f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                 f"--initial-cluster=default={peer}"],
                stdout=log, stderr=log)
        until = time.monotonic() + 20
        while True:
            ready = subprocess.run([str(programs / "etcdctl"), "--endpoints", self.endpoint,
                                    "endpoint", "health"], capture_output=True, check=False,
                                   env={"ETCDCTL_API": "3"})
            if ready.returncode == 0:
                return
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(Path(self.folder, "log").read_text())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def masked(text: bytes, endpoint: str) -> bytes:
    """Without what differs between two etcds and two runs."""
    text = text.replace(endpoint.encode(), b"ENDPOINT")
    text = re.sub(rb"http://127\.0\.0\.1:\d+", b"URL", text)
    text = re.sub(rb"took = \S+", b"took = TIME", text)
    text = re.sub(rb'"took":"[^"]+"', b'"took":"TIME"', text)
    text = re.sub(rb'"Took" : \S+', b'"Took" : TIME', text)
    text = re.sub(rb'("(?:cluster_id|member_id|leader|ID)":)(?:\d{9,}|"[0-9a-f]{12,16}")',
                  rb"\1N", text)
    text = re.sub(rb'("(?:ClusterID|MemberID|Leader|ID)" : )[1-9]\d{8,}', rb"\1N", text)
    text = re.sub(rb"\b[0-9a-f]{15,16}\b", b"N", text)
    # Raft's own counters and the size of the file go their own ways.
    text = re.sub(rb'("(?:raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|raft_term|raftTerm)":)\d+',
                  rb"\1N", text)
    text = re.sub(rb'("(?:RaftIndex|RaftAppliedIndex|DBSize|RaftTerm)" : )\d+', rb"\1N", text)
    text = re.sub(rb"\d+ kB, (true|false), (true|false), \d+, \d+, \d+,",
                  rb"N kB, \1, \2, N,", text)
    return text


def run(program: str, etcd: Etcd, arguments: list[str], given: bytes) -> tuple[int, bytes, bytes]:
    command = [program, "--endpoints", etcd.endpoint, *arguments]
    done = subprocess.run([os.fsencode(part) for part in command], input=given, timeout=30,
                          capture_output=True, check=False, env={"ETCDCTL_API": "3"})
    # etcdctl also logs, and shows help where cairn points to it.
    errors = [line for line in done.stderr.splitlines() if line.startswith((b"Error:", b"Failed"))]
    return (done.returncode, masked(done.stdout, etcd.endpoint),
            masked(b"\n".join(errors), etcd.endpoint))


class TwinTest(unittest.TestCase):
    """The comparison in each format, in one sequence: later commands see what earlier ones did."""

    programs: Path
    ours: Etcd
    theirs: Etcd

    @classmethod
    def setUpClass(cls) -> None:
        cls.ours = Etcd(cls.programs)
        cls.theirs = Etcd(cls.programs)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.ours.close()
        cls.theirs.close()

    def compare(self, arguments: list[str], given: bytes = b"") -> None:
        ours = run(CAIRN, self.ours, arguments, given)
        theirs = run(str(self.programs / "etcdctl"), self.theirs, arguments, given)
        with self.subTest(arguments=arguments, input=given):
            self.assertEqual(ours, theirs)

    def test_same_text_and_codes(self) -> None:
        for output in ("simple", "json", "fields"):
            for arguments in PAIR_ARGUMENTS:
                self.compare(["-w", output, *arguments] if "-w" not in arguments else arguments)
            for arguments, given in WITH_INPUT:
                self.compare(["-w", output, *arguments], given)
        self.compare(["get", "foo", "--prefix", "--count-only", "-w", "fields"])
        self.compare(["get", "foo", "--print-value-only", "-w", "json"])

    def test_same_tables(self) -> None:
        """Debian's etcdctl 3.5 draws with other lines; the words and their places are the same."""
        lines = str.maketrans("\u250c\u252c\u2510\u251c\u253c\u2524\u2514\u2534\u2518\u2500\u2502",
                              "+++++++++-|")
        for arguments in (["member", "list"], ["endpoint", "status"], ["endpoint", "hashkv"]):
            drawn = []
            for program in (CAIRN, str(self.programs / "etcdctl")):
                command = [program, "--endpoints", self.ours.endpoint, "-w", "table", *arguments]
                done = subprocess.run(command, capture_output=True, check=True, timeout=30,
                                      env={"ETCDCTL_API": "3"})
                drawn.append(done.stdout.decode().translate(lines))
            self.assertEqual(drawn[0], drawn[1])


if __name__ == "__main__":
    etcd_folder = find_etcd()
    if etcd_folder is None:
        print("SKIPPED: no etcd here to compare with; scripts/fetch-etcd gets one", file=sys.stderr)
        sys.exit(77)
    if not os.access(CAIRN, os.X_OK):
        sys.exit("set CAIRN to the program to test")
    TwinTest.programs = etcd_folder
    unittest.main(verbosity=1)
