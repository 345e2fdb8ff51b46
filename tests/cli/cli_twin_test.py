"""Runs `cairn` and `etcdctl` with the same arguments and compares, byte for byte, what they print,
and their exit codes: in every output format against a real etcd, and once more against cairnd. Each
program has a server of its own that gets the same commands, so that revisions agree; ids agree as
all servers advertise the same peer URL. What differs by nature is masked: the endpoint, times,
raft's counters and sizes of files, and etcdctl's own log lines and help."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAIRN = os.environ.get("CAIRN", "")
CAIRND = os.environ.get("CAIRND", "")

# A command line, and what it gets on its standard input.
Row = tuple[list[str], bytes]


def rows(text: str) -> list[Row]:
    """One row from each line, in a shell's words."""
    return [(shlex.split(line), b"") for line in text.strip().split("\n")]


# In each of the formats that show any answer.
FORMATS = ("simple", "json", "fields", "protobuf")
ROWS: list[Row] = rows("""
    put foo bar
    put foo baz --prev-kv
    put foo2 'a b'
    put foo3 'quote" back\\slash and more' --prev-kv
    put bin '\udcff\udc80\x01\x7f'
    put bin '\udcff' --prev-kv
    put --prev-kv bin '\x02\t'
    put uml\u00e4ut '\u20ac\u2028<&>'
    put -- -key -value
    put dash -- --value
    put put get
    put empty ''
    put empty '' --prev-kv
    put foo --ignore-value
    put nokey --ignore-value
    put nokey v --ignore-lease
    put foo v --ignore-lease --prev-kv
    put foo v --lease 0
    put foo v --lease 1234
    put foo v --lease -1
    put foo v --lease +a
    put a b c
    put '' v
    get foo
    get put
    get nokey
    get empty
    get bin
    get uml\u00e4ut
    get ''
    get '' --prefix
    get '' --from-key --keys-only
    get foo --prefix
    get foo --prefix=false
    get foo --prefix=T
    get foo foo3
    get foo foo
    get foo3 foo
    get foo ''
    get -- foo
    get foo -- foo3
    get -- -key
    get foo2 --from-key
    get foo --prefix --keys-only
    get foo --prefix --limit 2
    get foo --prefix --limit -1
    get foo --prefix --limit=1 --order DESCEND
    get foo --prefix --order=ascend --sort-by value
    get foo --prefix --sort-by=modify --order=descend
    get foo --prefix --sort-by CREATE
    get foo --prefix --sort-by version --order descend
    get foo --prefix --sort-by key
    get foo --consistency s
    get foo --rev 2
    get foo --rev 0x2
    get foo --rev -1
    get foo --rev 100000
    get foo --hex
    get bin --hex
    get empty --hex
    get foo --hex --prefix --keys-only
    get foo --prefix --print-value-only
    get foo --keys-only --print-value-only
    get foo --count-only
    get '' --prefix --count-only
    get foo --prefix --limit 1 --count-only
    get a b c
    del foo2
    del nokey --prev-kv
    del foo3 --prev-kv
    del bin --prev-kv --hex
    del ''
    del '' --prefix=false
    del a b --range
    put p/1 x
    put p/2 y
    del p/1 --from-key=false
    del p/ --prefix --prev-kv
    put zz/1 x
    put zz/2 y
    del zz/ zz0 --range --prev-kv
    put zzz 1
    del zzz --from-key
    member list
    member list --hex
    member list more
    endpoint status
    endpoint status --hex
    endpoint status --cluster
    endpoint --cluster status
    endpoint status more
    endpoint health
    endpoint health --cluster
    endpoint hashkv
    endpoint hashkv --hex
    endpoint hashkv --cluster
    endpoint hashkv --rev 3
    endpoint hashkv --rev -1
    alarm list
    alarm list --hex
    compaction 100000
    compaction 3
    compaction 3
    compaction --physical 4
    compaction -- -5
    compaction 0
    get foo --rev 2
""") + [
    (["put", "stdin"], b"several\nlines\n\x00\xff"),
    (["put", "stdin"], b"\n"),
    (["put", "stdin", "--prev-kv"], b"x" * 100_000),
    (["put", "stdin"], b"x" * 2_000_000),
    (["get", "stdin"], b""),
    (["txn"], b'mod("foo") > "0"\n\nput t 1\nget t\ndel t1 --prev-kv\nget foo --prefix --keys-only'
              b'\n\nget x\n\n'),
    (["txn"], b'value("foo") = "no"\n\nput t 1\n\nput t "two words" --prev-kv\nget t\n\n'),
    # Not lease("t"): etcdctl 3.5 panics on it.
    (["txn"], b'c("t") = "0"\nver("t") != "7"\n\n\nget nokey\n\n'),
    (["txn"], b'm("t") < "9"\nval("t") > "a"\ncreate("t") > "1"\nversion("t") > "0"\n\n'
              b"get t\n\nget t --prefix\n\n"),
    (["txn"], b'value(`t`) = `x`\n\n\nget t\n\n'),
    (["txn"], b'\nput "a\\x41\\u00e4\\101\\"" "b\\n\\\\"\nget aA --prefix\n\n\n'),
    (["txn"], b"\nput 'b \"c' d\nget b --from-key --limit 1\n\n\n"),
    (["txn"], b'\n  put   a   b  \r\nput "c"d\n\r\n\n'),
    (["txn"], b'\nput -- -a -b\nget -- -a\ndel nokey --prefix\n\n\n'),
    (["txn"], b'\np a ""\ng a --count-only\nget a --order descend --sort-by modify\n\n\n'),
    (["txn", "--interactive"], b'\nput i j\n\n\n'),
    (["txn", "-i"], b'\n\n\n'),
]

# In the format table as well.
TABLE_ROWS: list[Row] = rows("""
    get foo
    del nokey
    get foo --rev x
    member list
    member list --hex
    endpoint status
    endpoint status --cluster
    endpoint health
    endpoint hashkv
    endpoint hashkv --rev 3
    alarm list
""")

# Changes of members, in the formats that show their answers. SELF and LEARNER stand for ids, of
# which the second depends on the second in which the learner was added.
MEMBER_FORMATS = ("simple", "json")
MEMBER_ROWS: list[Row] = rows("""
    member add n2 --learner --peer-urls http://127.0.0.1:1
    member list
    member add n3 --learner --peer-urls http://127.0.0.1:2
    member add n2 --peer-urls http://127.0.0.1:1
    member promote LEARNER
    move-leader LEARNER
    member remove SELF
    member remove LEARNER
    member remove LEARNER
    member promote LEARNER
    member promote SELF
""")
SELF_ROWS: list[Row] = rows("""
    member update SELF --peer-urls http://127.0.0.1:12381,http://127.0.0.1:12382
    member list
    member update SELF --peer-urls http://127.0.0.1:12380
    move-leader SELF
""")

# Where no format is reached, or the command line itself is what is tried.
ONCE: list[Row] = rows("""
    put
    put ''
    put foo v --lease zz
    put foo v --lease ''
    put foo v --lease 0x1
    put foo v --lease ffffffffffffffffff
    put foo v --ignore-value
    put foo -v
    put foo -w
    put foo --value
    get
    get --prefix
    get foo --prefix --from-key
    get foo bar --prefix
    get foo bar --from-key
    get foo --sort-by x
    get foo --order x
    get foo --consistency x
    get foo --consistency ''
    get foo --keys-only --count-only
    get foo --rev abc
    get foo --rev=
    get foo --rev 99999999999999999999
    get foo --rev
    get foo --limit 1.5
    get foo --limit 1 --limit 2
    get foo --prefix=x
    get foo --prefix --prefix=false
    get foo --nope
    get foo --nope=1
    get foo -z
    get foo --write-out
    get foo -w
    get foo -w nope
    get foo -w ''
    get foo -w JSON
    get foo -wjson
    get foo -w=json
    get foo --write-out=json -w simple
    get foo --hex=maybe
    get foo --count-only -w table
    get foo --print-value-only -w json
    del
    del a b c
    del a b --prefix
    del a --prefix --from-key
    compaction
    compaction x
    compaction 0x3
    compaction 3 4
    compaction -1
    compaction 99999999999999999999
    compact 3
    ge foo
    g foo --prefix
    en health
    endpoint heal
    mem l
    alarm list more
    txn more
    txn -i=x
    nope
    --nope
    --hex get foo
    -w json get foo
    --command-timeout abc get foo
    --command-timeout 5 get foo
    --command-timeout 5x get foo
    --command-timeout '' get foo
    --command-timeout 1ns get foo
    --command-timeout 0s get foo
    --command-timeout -1s put foo bar
    --dial-timeout 3s --keepalive-time 1s --keepalive-timeout 1s get foo
    member add
    member add n2
    member add n2 n3 --peer-urls http://127.0.0.1:1
    member add n2 n3 http://127.0.0.1:1 HTTP://b
    member add n2 --peer-urls ''
    member add n2 --peer-urls nonsense
    member add n2 --peer-urls ftp://1.1.1.1:1
    member add n2 --peer-urls http://1.1.1.1:1/x
    member add n2 --peer-urls http://1.1.1.1
    member add n2 --peer-urls http://1.1.1.1:1,
    member add n2 --peer-urls http://127.0.0.1:12380
    member add n2 --learner=x --peer-urls http://1.1.1.1:1
    member remove
    member remove zz
    member remove ''
    member remove 0
    member remove 1234
    member remove 1 2
    member remove 10000000000000000
    member remove -1
    member update
    member update 1234
    member update zz
    member update 1234 --peer-urls http://127.0.0.1:1
    member update 1234 --peer-urls nonsense
    member promote
    member promote zz
    member promote 1234
    move-leader
    move-leader zz
    move-leader 0
    move-leader 1234
    move-leader 1 2
    --insecure-transport=true --insecure-discovery --insecure-skip-tls-verify get foo
    --discovery-srv-name x get foo
    --debug=false get foo
    --endpoints= get foo
    --endpoints ' ' get foo
    endpoint hashkv --rev 100000
    endpoint hashkv --rev 100000 -w json
    endpoint hashkv --rev 100000 -w fields
""") + [
    (["put", "stdin"], b""),
    (["txn"], b""),
    (["txn"], b"\n"),
    (["txn"], b"\nput a b\n\n"),
    (["txn"], b'mod("a") > "0"\n'),
    (["txn"], b'modx("foo") > "0"\n'),
    (["txn"], b'mod("foo") > "x"\n'),
    (["txn"], b'mod("foo") > "0x1"\n'),
    (["txn"], b'mod("foo") > "99999999999999999999"\n'),
    (["txn"], b"mod foo\n"),
    (["txn"], b'mod(foo) = "0"\n'),
    (["txn"], b"\nputt a b\n\n\n"),
    (["txn"], b"\nget\n\n\n"),
    (["txn"], b"\nwatch a\n\n\n"),
    (["txn"], b"\nput a\n\n\n"),
    (["txn"], b"\ndel a b c\n\n\n"),
    (["txn"], b"\nget a --consistency x\n\n\n"),
    (["txn"], b"\nget a --order x\n\n\n"),
    (["txn"], b"\nget a --prefix --from-key\n\n\n"),
    (["txn"], b"\nput a b --lease zz\n\n\n"),
    (["txn"], b"\nput a b\nput a c\n\n\n"),
    (["txn"], b'\nput "" b\n\n\n'),
    (["txn"], b"\nget a --rev 100000\n\n\n"),
]

# cairnd does not know etcd's Auth service, without which etcdctl goes no further.
ETCD_ONLY: list[Row] = rows("""
    --user u:p get foo
    --user u --password p get foo
""")

# Where cairn means to do otherwise; docs/compatibility.md. A row that agrees has no place here.
DIFFERENT: list[Row] = rows("""
    version
    help nope
    member nope
    endpoint nope
    --cluster endpoint status
    --cacert /nope get foo
    --insecure-transport=false get foo --command-timeout 300ms
    --nope get foo
    member list --consistency s
""") + [
    (["txn"], b'mod("foo")>0\n\nget foo\n\n\n'),
    (["txn"], b"\nget foo --rev x\n\n\n"),
    (["txn"], b'\nput "a\\q" b\n\n\n'),
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


class Server:
    """One etcd or cairnd on free ports, its data in a folder that goes with it."""

    def __init__(self, program: str):
        self.folder = tempfile.mkdtemp(prefix="cairn-twin-")
        self.endpoint = f"127.0.0.1:{free_port()}"
        # The ids come from what is advertised; alone, a member is never asked there.
        peer = "http://127.0.0.1:12380"
        with open(Path(self.folder) / "log", "wb") as log:
            self.process = subprocess.Popen(
                [program, "--data-dir", self.folder + "/data", "--log-level=error",
                 f"--listen-client-urls=http://{self.endpoint}",
                 f"--advertise-client-urls=http://{self.endpoint}",
                 f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
                 f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"],
                stdout=log, stderr=log)
        until = time.monotonic() + 20
        while True:
            ready = subprocess.run([CAIRN, "--endpoints", self.endpoint, "endpoint", "health"],
                                   capture_output=True, check=False, env={})
            if ready.returncode == 0:
                return
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(Path(self.folder, "log").read_text())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def masked(text: bytes, endpoint: str) -> bytes:
    """Without what differs between two servers and two runs."""
    text = text.replace(endpoint.encode(), b"ENDPOINT")
    text = re.sub(rb"took = \S+", b"took = TIME", text)
    text = re.sub(rb'"took":"[^"]+"', b'"took":"TIME"', text)
    text = re.sub(rb'"Took" : \S+', b'"Took" : TIME', text)
    # Raft's own counters and the size of the files go their own ways.
    text = re.sub(rb'("(?:raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":)\d+', rb"\1N", text)
    text = re.sub(rb'("(?:RaftIndex|RaftAppliedIndex|DBSize)" : )\d+', rb"\1N", text)
    text = re.sub(rb"[\d.]+ [kM]?B, (true|false), (true|false), (\d+), \d+, \d+,",
                  rb"SIZE, \1, \2, \3, N, N,", text)
    # A field of cairnd's answer that etcdctl 3.5 does not know; newer ones do.
    text = re.sub(rb',"hash_revision":\d+', b"", text)
    # Debian's etcdctl 3.5 draws with other lines; the words and their places are the same.
    for letter in "\u250c\u252c\u2510\u251c\u253c\u2524\u2514\u2534\u2518":
        text = text.replace(letter.encode(), b"+")
    text = text.replace("\u2500".encode(), b"-").replace("\u2502".encode(), b"|")
    return text


def masked_table(text: bytes) -> bytes:
    """The words of a table whose cells are times and sizes, with their columns' lines."""
    text = re.sub(rb"-+", b"-", re.sub(rb" +", b" ", text))
    text = re.sub(rb"\| [\d.]+(?:m|\xc2\xb5)?s \|", b"| TIME |", text)
    return re.sub(rb"\| [\d.]+ [kM]?B \|(.*\|) \d+ \| \d+ \| \|", rb"| SIZE |\1 N | N | |", text)


def errors_of(text: bytes, names: tuple[str, str]) -> list[bytes]:
    """Each error once, under cairn's name; not etcdctl's log, help and announcements, nor where
    cairn points to its help or guesses what was meant."""
    found: list[bytes] = []
    for line in text.replace(names[0].encode(), names[1].encode()).splitlines():
        if line.startswith((b"Error:", b"Failed")) or b" is unhealthy: " in line:
            found += [line] if line not in found else []
    return found


class Program:
    """One of the two programs with its own server."""

    def __init__(self, path: str, server: Server):
        self.path = path
        self.server = server
        self.ids: dict[str, str] = {}

    def learn_ids(self) -> None:
        done = subprocess.run([CAIRN, "--endpoints", self.server.endpoint, "member", "list", "-w",
                               "json"], capture_output=True, check=True, env={})
        for member in json.loads(done.stdout)["members"]:
            self.ids["SELF" if member.get("name") else "LEARNER"] = f"{member['ID']:x}"

    def run_about_members(self, arguments: list[str]) -> tuple[int, list[bytes], list[bytes]]:
        """The words of the output alone: their order depends on the ids."""
        self.learn_ids()
        code, out, errors = self.run([self.ids.get(word, word) for word in arguments], b"")
        self.learn_ids()
        # The id is made of the URLs and the second: whether it is the same is luck.
        errors = [line.replace(b"member ID already exist", b"Peer URLs already exists")
                  for line in errors]
        if "LEARNER" in self.ids:
            number = self.ids["LEARNER"]
            for text in (f"{number:>16}", number, str(int(number, 16))):
                out = out.replace(text.encode(), b"LEARNER")
        return code, sorted(re.split(rb"[\s,{}\[\]\"]+", out)), errors

    def run(self, arguments: list[str], given: bytes) -> tuple[int, bytes, list[bytes]]:
        command = [self.path, "--endpoints", self.server.endpoint, *arguments]
        done = subprocess.run([os.fsencode(part) for part in command], input=given, timeout=30,
                              capture_output=True, check=False, env={"ETCDCTL_API": "3"})
        out = masked(done.stdout, self.server.endpoint)
        if "table" in arguments:
            out = masked_table(out)
        shows_help = done.returncode != 0 and out.startswith(b"NAME:")
        errors = errors_of(masked(done.stderr, self.server.endpoint), ("etcdctl", "cairn"))
        return done.returncode, b"" if shows_help else out, errors


def with_format(row: Row, output: str) -> Row:
    return ["-w", output, *row[0]], row[1]


def command_of(arguments: list[str]) -> str:
    """ "endpoint status" from a row's words."""
    words = [word for word in arguments if not word.startswith("-")]
    return " ".join(words[:2]) if words[:1] in (["endpoint"], ["member"], ["alarm"]) else words[0]


# Flags of etcdctl that cairn does not have: its log lies with its data, which is no mapped file.
NO_SUCH_FLAGS = {"snapshot restore": {"--wal-dir", "--initial-memory-map-size"}}


class TwinTest(unittest.TestCase):
    """One sequence each: later commands see what earlier ones did."""

    etcd: Path

    def twins(self, server: str) -> tuple[Program, Program]:
        programs = []
        for path in (CAIRN, str(self.etcd / "etcdctl")):
            started = Server(server)
            self.addCleanup(started.close)
            programs.append(Program(path, started))
        return programs[0], programs[1]

    def run_both(self, server: str, sequence: list[Row]) -> list[tuple[Row, object, object]]:
        ours, theirs = self.twins(server)

        def run_all(program: Program) -> list[object]:
            return [program.run(arguments, given) for arguments, given in sequence]

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(run_all, (ours, theirs)))
        return list(zip(sequence, answers[0], answers[1]))

    def compare(self, server: str, sequence: list[Row]) -> None:
        for (arguments, given), ours, theirs in self.run_both(server, sequence):
            with self.subTest(server=Path(server).name, arguments=arguments, input=given[:80]):
                self.assertEqual(ours, theirs)

    def test_against_etcd(self) -> None:
        sequence = [with_format(row, output) for output in FORMATS for row in ROWS]
        sequence += [with_format(row, "table") for row in TABLE_ROWS]
        self.compare(str(self.etcd / "etcd"), sequence + ONCE + ETCD_ONLY)

    def test_against_cairnd(self) -> None:
        sequence = [with_format(row, FORMATS[i % len(FORMATS)]) for i, row in enumerate(ROWS)]
        self.compare(CAIRND, sequence + ONCE)

    def test_changes_of_members(self) -> None:
        sequence = [with_format(row, output)[0] for output in MEMBER_FORMATS for row in MEMBER_ROWS]
        sequence += [with_format(row, output)[0] for output in (*MEMBER_FORMATS, "protobuf")
                     for row in SELF_ROWS]
        for server in (str(self.etcd / "etcd"), CAIRND):
            ours, theirs = self.twins(server)
            for arguments in sequence:
                with self.subTest(server=Path(server).name, arguments=arguments):
                    self.assertEqual(ours.run_about_members(arguments),
                                     theirs.run_about_members(arguments))

    def test_what_differs(self) -> None:
        for row, ours, theirs in self.run_both(str(self.etcd / "etcd"), DIFFERENT):
            with self.subTest(row=row):
                self.assertNotEqual(ours, theirs)

    def test_every_command_and_flag_has_a_row(self) -> None:
        used: dict[str, set[str]] = {}
        for arguments, _ in ROWS + TABLE_ROWS + MEMBER_ROWS + SELF_ROWS:
            names = {word.split("=")[0] for word in arguments if word.startswith("-")}
            used.setdefault(command_of(arguments), set()).update(names)
        everywhere = {word.split("=")[0] for row, _ in ROWS + ONCE + ETCD_ONLY
                      for word in row}
        # Each row has the first two; the others want what is not there: TLS and discovery.
        everywhere |= {"--write-out", "--endpoints", "--cacert", "--cert", "--key",
                       "--discovery-srv"}
        theirs = self.help_of([])
        ours = subprocess.run([CAIRN, "help"], text=True, capture_output=True, check=True).stdout
        commands = {name for name in re.findall(r"^  ([\w-]+(?: \w+)?)  ", ours, re.M)
                    if re.search(rf"^\t{name}\t", theirs, re.M)}
        self.assertEqual(len(commands), 19, commands)
        # Files of cairn's own format, so nothing to compare (restore_test): the flags are there.
        snapshots = {command for command in commands if command.startswith("snapshot")}
        for command in snapshots:
            self.assertEqual(self.flags_of(self.help_of(command.split())) - self.flags_of(
                subprocess.run([CAIRN, *command.split(), "--help"], text=True, capture_output=True,
                               check=True).stdout), NO_SUCH_FLAGS.get(command, set()), command)
        for command in sorted(commands - snapshots):
            own, global_ones = self.help_of(command.split()).split("OPTIONS:")[1:]
            flags = set(re.findall(r"--[\w-]+", own)) - {"--help"}
            if command.startswith("endpoint"):
                flags.add("--cluster")
            self.assertEqual(flags - used.get(command, set()), set(), command)
            flags = set(re.findall(r"^ .*?(--[\w-]+)", global_ones, re.M)) - {"--cluster"}
            self.assertEqual(flags - everywhere, set())
            self.assertEqual(flags - set(re.findall(r"--[\w-]+", ours)), set())

    @staticmethod
    def flags_of(text: str) -> set[str]:
        return set(re.findall(r"--[\w-]+", text)) - {"--help"}

    def help_of(self, command: list[str]) -> str:
        done = subprocess.run([str(self.etcd / "etcdctl"), *command, "--help"], text=True,
                              capture_output=True, check=True, env={"ETCDCTL_API": "3"})
        return done.stdout


if __name__ == "__main__":
    etcd_folder = find_etcd()
    if etcd_folder is None:
        print("SKIPPED: no etcd here to compare with; scripts/fetch-etcd gets one", file=sys.stderr)
        sys.exit(77)
    if not os.access(CAIRN, os.X_OK) or not os.access(CAIRND, os.X_OK):
        sys.exit("set CAIRN and CAIRND to the programs to test")
    TwinTest.etcd = etcd_folder
    unittest.main(verbosity=1)
