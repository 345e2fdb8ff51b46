"""etcd's own command line against three cairnd nodes: what it prints, to the byte, and its exit
codes. The etcdctl is Debian's, or with the argument "fetched" a 3.5 one; skipped without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unittest

from nodes import ROOT, Cluster, clean_environment

COMPACTED = "Error: etcdserver: mvcc: required revision has been compacted"
FUTURE = "Error: etcdserver: mvcc: required revision is a future revision"


def find_tool() -> str:
    """The installed one, or with the argument "fetched" the one that scripts/fetch-etcd has."""
    folder = "/usr/bin"
    if sys.argv[1:2] == ["fetched"]:
        sys.argv.pop(1)
        folder = subprocess.run([ROOT / "scripts" / "fetch-etcd", "--cached"], text=True,
                                check=False, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout.strip()
    path = f"{folder}/etcdctl"
    return path if os.access(path, os.X_OK) else ""


def minor_version() -> str:
    """3.4, 3.5"""
    text = subprocess.run([TOOL, "version"], text=True, check=True, capture_output=True,
                          env=ENVIRONMENT).stdout
    return re.findall(r"version: (\d+\.\d+)", text)[0]


TOOL = find_tool()
ENVIRONMENT = clean_environment() | {"ETCDCTL_API": "3"}
CLUSTER: Cluster


def setUpModule() -> None:
    global CLUSTER
    CLUSTER = Cluster(3)
    unittest.addModuleCleanup(CLUSTER.__exit__)
    CLUSTER.__enter__()


class Etcdctl(unittest.TestCase):
    """Each test begins and ends without any key."""

    def setUp(self) -> None:
        self.first = self.revision()
        self.addCleanup(self.check, ["del", "", "--prefix"], None)

    @staticmethod
    def run_tool(arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([TOOL, "--endpoints", CLUSTER.endpoints, *arguments], input=stdin,
                              text=True, capture_output=True, check=False, timeout=60,
                              env=ENVIRONMENT)

    def check(self, arguments: list[str], output: str | None, stdin: str = "") -> str:
        done = self.run_tool(arguments, stdin)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        if output is not None:
            self.assertEqual(done.stdout, output, str(arguments))
        return done.stdout

    def check_error(self, arguments: list[str], error: str, code: int = 1) -> None:
        done = self.run_tool(arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), str(arguments))
        # Beside the error there are etcdctl's own log lines.
        self.assertIn(error, done.stderr.splitlines(), str(arguments))

    def check_json(self, arguments: list[str], expected: object) -> None:
        answer = json.loads(self.check([*arguments, "-w", "json"], None))
        header = answer.pop("header")
        self.assertEqual(set(header), {"cluster_id", "member_id", "revision", "raft_term"})
        self.assertEqual(answer, expected, str(arguments))

    def revision(self) -> int:
        return json.loads(self.check(["get", "x", "-w", "json"], None))["header"]["revision"]

    def fill(self) -> None:
        """zz/a is changed twice; the order by key, value, and revision of change differs."""
        for key, value in (("a", "3"), ("b", "2"), ("c", "1"), ("a", "4")):
            self.check(["put", f"zz/{key}", value], "OK\n")

    # --- put

    def test_put(self) -> None:
        self.check(["put", "zz/k", "one"], "OK\n")
        self.check(["put", "zz/k", "two words", "--prev-kv"], "OK\nzz/k\none\n")
        self.check(["put", "zz/k", "--ignore-value"], "OK\n")
        self.check(["get", "zz/k"], "zz/k\ntwo words\n")
        self.check(["put", "zz/k"], "OK\n", stdin="several\nlines\n")
        self.check(["get", "zz/k", "--print-value-only"], "several\nlines\n\n")
        self.check(["put", "--", "zz/-", "-dash"], "OK\n")
        self.check(["get", "zz/-"], "zz/-\n-dash\n")
        self.check_json(["get", "zz/k"], {"count": 1, "kvs": [{
            "key": "enovaw==", "value": "c2V2ZXJhbApsaW5lcwo=", "version": 4,
            "create_revision": self.first + 1, "mod_revision": self.first + 4}]})

    def test_put_errors(self) -> None:
        self.check_error(["put", "", "v"], "Error: etcdserver: key is not provided")
        self.check_error(["put", "zz/none", "--ignore-value"], "Error: etcdserver: key not found")
        self.check_error(["put", "zz/none", "v", "--lease=1234"],
                         "Error: etcdserver: requested lease not found")
        self.assertEqual(self.revision(), self.first)

    # --- get

    def test_get(self) -> None:
        self.fill()
        for check in (self.check_intervals, self.check_order, self.check_old_revisions,
                      self.check_forms, self.check_count_only):
            with self.subTest(check.__name__):
                check()

    def check_intervals(self) -> None:
        self.check(["get", "zz/none"], "")
        self.check(["get", "zz/b"], "zz/b\n2\n")
        self.check(["get", "zz/a", "zz/c"], "zz/a\n4\nzz/b\n2\n")
        self.check(["get", "zz/", "--prefix"], "zz/a\n4\nzz/b\n2\nzz/c\n1\n")
        self.check(["get", "zz/b", "--from-key"], "zz/b\n2\nzz/c\n1\n")
        self.check(["get", "zz/", "--prefix", "--consistency=s"], "zz/a\n4\nzz/b\n2\nzz/c\n1\n")
        self.check(["get", "zz/", "--prefix", "--limit=2"], "zz/a\n4\nzz/b\n2\n")

    def check_order(self) -> None:
        keys = ["get", "zz/", "--prefix", "--keys-only"]
        for flags, expected in (
                (["--order=ASCEND"], "abc"),
                (["--order=DESCEND"], "cba"),
                (["--sort-by=KEY", "--order=DESCEND"], "cba"),
                (["--sort-by=CREATE"], "abc"),
                (["--sort-by=MODIFY"], "bca"),
                (["--sort-by=MODIFY", "--order=DESCEND"], "acb"),
                (["--sort-by=VALUE"], "cba"),
                (["--sort-by=VERSION", "--order=DESCEND", "--limit=1"], "a")):
            self.check([*keys, *flags], "".join(f"zz/{key}\n\n" for key in expected))

    def check_old_revisions(self) -> None:
        self.check(["get", "zz/", "--prefix", f"--rev={self.first + 2}"], "zz/a\n3\nzz/b\n2\n")
        self.check(["get", "zz/a", f"--rev={self.first}"], "")
        self.check(["get", "zz/a", f"--rev={self.first + 4}"], "zz/a\n4\n")
        self.check_error(["get", "zz/a", f"--rev={self.first + 5}"], FUTURE)

    def check_forms(self) -> None:
        self.check(["get", "zz/", "--prefix", "--keys-only"], "zz/a\n\nzz/b\n\nzz/c\n\n")
        self.check(["get", "zz/", "--prefix", "--print-value-only"], "4\n2\n1\n")
        self.check(["get", "zz/a", "--hex"], "\\x7a\\x7a\\x2f\\x61\n\\x34\n")
        self.check_json(["get", "zz/", "--prefix", "--limit=1"], {
            "more": True, "count": 3, "kvs": [{
                "key": "enovYQ==", "value": "NA==", "version": 2,
                "create_revision": self.first + 1, "mod_revision": self.first + 4}]})
        self.check_json(["get", "zz/b", "--keys-only"], {
            "count": 1, "kvs": [{"key": "enovYg==", "version": 1,
                                 "create_revision": self.first + 2,
                                 "mod_revision": self.first + 2}]})
        fields = self.check(["get", "zz/a", "-w", "fields"], None)
        self.assertEqual(self.without_ids(fields), f'''"Revision" : {self.first + 4}
"Key" : "zz/a"
"CreateRevision" : {self.first + 1}
"ModRevision" : {self.first + 4}
"Version" : 2
"Value" : "4"
"Lease" : 0
"More" : false
"Count" : 1
''')

    @staticmethod
    def without_ids(fields: str) -> str:
        return re.sub(r'"(ClusterID|MemberID|RaftTerm)" : [1-9]\d*\n', "", fields)

    def check_count_only(self) -> None:
        if minor_version() == "3.4":
            return  # it has no --count-only
        fields = self.check(["get", "zz/", "--prefix", "--count-only", "-w", "fields"], None)
        self.assertEqual(self.without_ids(fields),
                         f'"Revision" : {self.first + 4}\n"More" : false\n"Count" : 3\n')

    # --- del

    def test_del(self) -> None:
        self.fill()
        self.check(["del", "zz/none"], "0\n")
        self.assertEqual(self.revision(), self.first + 4)
        self.check(["del", "zz/a", "--prev-kv"], "1\nzz/a\n4\n")
        self.check(["del", "zz/", "--prefix", "--prev-kv"], "2\nzz/b\n2\nzz/c\n1\n")
        self.assertEqual(self.revision(), self.first + 6)
        self.fill()
        self.check(["del", "zz/a", "zz/b"], "1\n")
        self.check(["del", "zz/b", "--from-key"], "2\n")
        self.check(["get", "zz/", "--prefix"], "")
        self.check_error(["del", ""], "Error: etcdserver: key is not provided")

    # --- txn

    def test_txn(self) -> None:
        self.fill()
        self.check(["txn"], "SUCCESS\n\nOK\n\nzz/n\n1\n\n1\nzz/b\n2\n", stdin='''\
value("zz/a") = "4"
mod("zz/b") > "0"
ver("zz/a") = "2"

put zz/n 1
get zz/n
del zz/b --prev-kv

get zz/a

''')
        self.assertEqual(self.revision(), self.first + 5)
        self.check(["txn"], "FAILURE\n\nzz/a\n4\n\nOK\n", stdin='''\
create("zz/a") = "0"

put zz/n 2

get zz/a
put zz/n "3 4"

''')
        self.check(["get", "zz/n"], "zz/n\n3 4\n")

    def test_txn_errors(self) -> None:
        done = self.run_tool(["txn"], '\nput zz/a 1\nput zz/a 2\n\n\n')
        self.assertEqual(done.returncode, 1)
        self.assertIn("Error: etcdserver: duplicate key given in txn request",
                      done.stderr.splitlines())
        self.assertEqual(self.revision(), self.first)

    # --- compaction

    def test_compact(self) -> None:
        self.fill()
        at = self.first + 3
        self.check(["compact", str(at)], f"compacted revision {at}\n")
        self.check_error(["get", "zz/a", f"--rev={at - 1}"], COMPACTED)
        self.check(["get", "zz/a", f"--rev={at}"], "zz/a\n3\n")
        self.check_error(["compact", str(at)], COMPACTED)
        self.check_error(["compact", str(at + 100)], FUTURE)
        self.check(["compaction", str(at + 1), "--physical"], f"compacted revision {at + 1}\n")
        self.check_error(["get", "zz/a", f"--rev={at}"], COMPACTED)
        self.check(["get", "zz/", "--prefix"], "zz/a\n4\nzz/b\n2\nzz/c\n1\n")

    # --- members and endpoints

    def members(self) -> list[dict[str, object]]:
        answer = json.loads(self.check(["member", "list", "-w", "json"], None))
        return answer["members"]

    def by_id(self) -> list[tuple[str, str, str, str]]:
        """id, name, peer URL, client URL as etcdctl orders them: by id."""
        nodes = {node.name: node for node in CLUSTER.nodes}
        members = sorted(self.members(), key=lambda member: member["ID"])
        return [(f"{member['ID']:x}", member["name"], nodes[member["name"]].peer_url,
                 f"http://{nodes[member['name']].endpoint}") for member in members]

    def test_member_list(self) -> None:
        for member in self.members():
            node = next(node for node in CLUSTER.nodes if node.name == member["name"])
            self.assertEqual(member, {"ID": member["ID"], "name": node.name,
                                      "peerURLs": [node.peer_url],
                                      "clientURLs": [f"http://{node.endpoint}"]})
        rows = self.by_id()
        self.assertEqual({row[1] for row in rows}, {"n1", "n2", "n3"})
        self.check(["member", "list"], "".join(
            f"{id}, started, {name}, {peer}, {client}, false\n" for id, name, peer, client in rows))
        cells = self.table(self.check(["member", "list", "-w", "table"], None))
        self.assertEqual(cells, [
            ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"],
            *([id, "started", name, peer, client, "false"] for id, name, peer, client in rows)])

    @staticmethod
    def table(text: str) -> list[list[str]]:
        return [[cell.strip() for cell in re.split("[|│]", line)[1:-1]]
                for line in text.splitlines() if line[0] in "|│"]

    def test_endpoint_status(self) -> None:
        rows = self.table(self.check(["endpoint", "status", "--cluster", "-w", "table"], None))
        self.assertEqual(rows[0], ["ENDPOINT", "ID", "VERSION", "DB SIZE", "IS LEADER",
                                   "IS LEARNER", "RAFT TERM", "RAFT INDEX", "RAFT APPLIED INDEX",
                                   "ERRORS"])
        self.assertEqual({(row[1], row[0]) for row in rows[1:]},
                         {(id, client) for id, _, _, client in self.by_id()})
        self.assertEqual(sorted(row[4] for row in rows[1:]), ["false", "false", "true"])
        for row in rows[1:]:
            self.assertEqual((row[2], row[5], row[9]), ("3.5.30", "false", ""))
            self.assertGreaterEqual(int(row[7]), int(row[8]))
        for text in self.check(["endpoint", "status"], None).splitlines():
            self.assertRegex(text, r"^127\.0\.0\.1:\d+, [0-9a-f]+, 3\.5\.30, [^,]+, (true|false), "
                                   r"false, \d+, \d+, \d+, $")
        statuses = json.loads(self.check(["endpoint", "status", "-w", "json"], None))
        self.assertEqual([status["Endpoint"] for status in statuses],
                         [node.endpoint for node in CLUSTER.nodes])
        self.assertEqual(len({status["Status"]["leader"] for status in statuses}), 1)

    def test_endpoint_health(self) -> None:
        done = self.run_tool(["endpoint", "health", "--cluster"])
        self.assertEqual(done.returncode, 0)
        # 3.4 prints it where errors go.
        lines = sorted(re.sub(r"took = \S+", "took = T", line)
                       for line in (done.stdout + done.stderr).splitlines())
        self.assertEqual(lines, sorted(
            f"http://{node.endpoint} is healthy: successfully committed proposal: took = T"
            for node in CLUSTER.nodes))

    def test_endpoint_hashkv(self) -> None:
        self.fill()
        for more, shape in (([], "{}"), (["--cluster"], "http://{}")):
            lines = self.check(["endpoint", "hashkv", *more], None).splitlines()
            hashes = dict(line.split(", ") for line in lines)
            self.assertEqual(set(hashes), {shape.format(node.endpoint) for node in CLUSTER.nodes})
            self.assertEqual(len(set(hashes.values())), 1)
        at_revision = self.check(["endpoint", "hashkv", f"--rev={self.first + 4}"], None)
        self.assertEqual(sorted(at_revision.splitlines()), sorted(
            f"{node.endpoint}, {next(iter(hashes.values()))}" for node in CLUSTER.nodes))
        done = self.run_tool(["endpoint", "hashkv", f"--rev={self.first + 1000}"])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("etcdserver: mvcc: required revision is a future revision", done.stderr)

    def test_alarm_list(self) -> None:
        self.check(["alarm", "list"], "")

    def test_what_comes_later(self) -> None:
        done = self.run_tool(["lease", "grant", "10"])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Unimplemented", done.stderr)


if __name__ == "__main__":
    if not TOOL:
        print("no such etcdctl: skipped")
        sys.exit(77)
    unittest.main()
