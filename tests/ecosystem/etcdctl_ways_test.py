"""etcdctl's KV and endpoint commands in all their ways: what tests/process/etcdctl_test.py does
through a list of all nodes, through each node alone and through another one for each command; each
output format; and with nodes down. With the argument "fetched": a 3.5 etcdctl."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import unittest
from collections.abc import Iterator

import etcdctl_test
from nodes import ROOT, Node

setUpModule = etcdctl_test.setUpModule


def nodes() -> list[Node]:
    return etcdctl_test.CLUSTER.nodes


def let_all_catch_up() -> None:
    """A node that serves has all that was written before."""
    for node in nodes():
        node.wait_until_it_serves()


class Commands(etcdctl_test.Etcdctl):
    """Those of etcdctl_test, through `endpoints`."""

    def endpoints(self) -> str:
        return etcdctl_test.CLUSTER.endpoints

    def run_tool(self, arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([etcdctl_test.TOOL, "--endpoints", self.endpoints(), *arguments],
                              input=stdin, text=True, capture_output=True, check=False, timeout=60,
                              env=etcdctl_test.ENVIRONMENT)


class ThroughFirst(Commands):
    """Two of the three do not lead and pass on what they get."""

    number = 0

    def endpoints(self) -> str:
        return nodes()[self.number].endpoint

    def test_endpoint_status(self) -> None:
        line = self.check(["endpoint", "status"], None)
        self.assertRegex(line, rf"^{self.endpoints()}, [0-9a-f]+, 3\.5\.30, [^,]+, (true|false), "
                               r"false, \d+, \d+, \d+, \n$")
        rows = self.table(self.check(["endpoint", "status", "--cluster", "-w", "table"], None))
        self.assertEqual({(row[1], row[0]) for row in rows[1:]},
                         {(id, client) for id, _, _, client in self.by_id()})

    def test_endpoint_hashkv(self) -> None:
        self.fill()
        let_all_catch_up()
        address, own = self.check(["endpoint", "hashkv"], None).strip().split(", ")
        self.assertEqual(address, self.endpoints())
        lines = self.check(["endpoint", "hashkv", "--cluster"], None).splitlines()
        self.assertEqual(sorted(lines), sorted(f"http://{node.endpoint}, {own}"
                                               for node in nodes()))


class ThroughSecond(ThroughFirst):
    number = 1


class ThroughThird(ThroughFirst):
    number = 2


class InTurn(Commands):
    """What one node wrote the next one has."""

    turn = 0

    def endpoints(self) -> str:
        InTurn.turn += 1
        return nodes()[self.turn % 3].endpoint

    # They look at all nodes, or at the one that is asked.
    test_endpoint_status = None
    test_endpoint_hashkv = None


class Further(Commands):
    """With the means of etcdctl_test, but without its tests."""


for inherited in unittest.defaultTestLoader.getTestCaseNames(Commands):
    setattr(Further, inherited, None)


class Formats(Further):
    """What etcdctl_test leaves out: each command in each format that it has."""

    ONE = {"key": "enovaw==", "value": "MQ=="}  # zz/k, 1

    def key_value(self, **other: object) -> dict[str, object]:
        return self.ONE | {"create_revision": self.first + 1, "mod_revision": self.first + 1,
                           "version": 1} | other

    def test_json(self) -> None:
        self.check_json(["put", "zz/k", "1"], {})
        self.check_json(["put", "zz/k", "2", "--prev-kv"], {"prev_kv": self.key_value()})
        self.check_json(["del", "zz/none"], {})
        self.check_json(["del", "zz/k", "--prev-kv"], {"deleted": 1, "prev_kvs": [
            self.key_value(value="Mg==", version=2, mod_revision=self.first + 2)]})
        text = self.check(["txn", "-w", "json"], None,
                          'ver("zz/k") = "0"\n\nput zz/k 1\nget zz/k\ndel zz/no\n\nget zz/k\n\n')
        answer = json.loads(text)
        self.assertTrue(answer["succeeded"])
        # One of a kind has a name that differs between the versions.
        parts = [next(iter(part["Response"].values())) for part in answer["responses"]]
        inside = {"header": {"revision": self.first + 4}}
        at = {"create_revision": self.first + 4, "mod_revision": self.first + 4}
        self.assertEqual(parts, [inside, inside | {"count": 1, "kvs": [self.key_value(**at)]},
                                 inside])

    def test_fields(self) -> None:
        def check(arguments: list[str], expected: str, stdin: str = "") -> None:
            fields = self.check([*arguments, "-w", "fields"], None, stdin)
            self.assertEqual(self.without_ids(fields), expected)

        def key_value(version: int, value: str, prefix: str = "Prev") -> str:
            return (f'"{prefix}Key" : "zz/k"\n"{prefix}CreateRevision" : {self.first + 1}\n'
                    f'"{prefix}ModRevision" : {self.first + version}\n'
                    f'"{prefix}Version" : {version}\n"{prefix}Value" : "{value}"\n'
                    f'"{prefix}Lease" : 0\n')

        check(["put", "zz/k", "1"], f'"Revision" : {self.first + 1}\n')
        check(["put", "zz/k", "2", "--prev-kv"],
              f'"Revision" : {self.first + 2}\n{key_value(1, "1")}')
        inside = (f'"ClusterID" : 0\n"MemberID" : 0\n"Revision" : {self.first + 3}\n'
                  '"RaftTerm" : 0\n')
        check(["txn"], f'"Revision" : {self.first + 3}\n"Succeeded" : true\n{inside}'
                       f'{inside}{key_value(3, "3", "")}"More" : false\n"Count" : 1\n',
              'ver("zz/k") > "0"\n\nput zz/k 3\nget zz/k\n\n\n')
        check(["del", "zz/k", "--prev-kv"],
              f'"Revision" : {self.first + 4}\n"Deleted" : 1\n{key_value(3, "3")}')

    def test_protobuf(self) -> None:
        """As protoc reads it."""
        self.check(["put", "zz/k", "1"], "OK\n")
        one = '{ key: "zz/k" create_revision: N mod_revision: N version: N value: "1" }'
        for arguments, message, expected in (
                (["get", "zz/k"], "RangeResponse", f"kvs {one} count: N"),
                (["put", "zz/k", "2", "--prev-kv"], "PutResponse", f"prev_kv {one}"),
                (["del", "zz/k"], "DeleteRangeResponse", "deleted: N")):
            done = subprocess.run(
                [etcdctl_test.TOOL, "--endpoints", self.endpoints(), *arguments, "-w", "protobuf"],
                check=True, capture_output=True, timeout=60, env=etcdctl_test.ENVIRONMENT)
            text = subprocess.run(
                ["protoc", f"--proto_path={ROOT}", f"--decode=etcdserverpb.{message}",
                 f"{ROOT}/proto/etcd/rpc_kv.proto"],
                input=done.stdout, check=True, capture_output=True).stdout.decode()
            header, _, rest = re.sub(r"\s+", " ", text).partition(" } ")
            self.assertRegex(header, r"^header { cluster_id: \d+ member_id: \d+ revision: \d+ "
                                     r"raft_term: \d+$")
            self.assertEqual(re.sub(r": \d+", ": N", rest).strip(), expected)

    def test_interactive_txn(self) -> None:
        self.check(["txn", "-i"], """\
compares:
success requests (get, put, del):
failure requests (get, put, del):
SUCCESS

OK
""", 'ver("zz/k") = "0"\n\nput zz/k 1\n\n\n')

    def test_endpoint_commands_as_json(self) -> None:
        self.fill()
        let_all_catch_up()
        addresses = [node.endpoint for node in nodes()]
        for command, name in ((["status"], "Status"), (["hashkv"], "HashKV")):
            answers = json.loads(self.check(["endpoint", *command, "-w", "json"], None))
            self.assertEqual([answer["Endpoint"] for answer in answers], addresses)
            heads = [answer[name]["header"] for answer in answers]
            self.assertEqual(len({head["member_id"] for head in heads}), 3)
            self.assertEqual({head["revision"] for head in heads}, {self.first + 4})
        hashes = {answer["HashKV"]["hash"] for answer in answers}
        self.assertEqual(len(hashes), 1)
        for line in self.check(["endpoint", "hashkv", "-w", "fields"], None).splitlines():
            if line.startswith('"Hash"'):
                self.assertEqual(line, f'"Hash" : {next(iter(hashes))}')
        health = json.loads(self.check(["endpoint", "health", "-w", "json"], None))
        self.assertEqual(sorted((one["endpoint"], one["health"]) for one in health),
                         sorted((address, True) for address in addresses))


class NodesDown(Further):
    """With one of three all goes on; with two nothing but what one node knows by itself."""

    def tearDown(self) -> None:
        let_all_catch_up()
        lines = self.check(["endpoint", "hashkv"], None).splitlines()
        self.assertEqual(len({line.split(", ")[1] for line in lines}), 1, lines)

    @contextlib.contextmanager
    def down(self, *gone: Node) -> Iterator[None]:
        for node in gone:
            node.end()
        try:
            yield
        finally:
            for node in gone:
                node.start()
            let_all_catch_up()

    def check_failure(self, arguments: list[str], out: list[str], error: str) -> None:
        done = self.run_tool([*arguments, "--command-timeout=2s"])
        self.assertEqual(done.returncode, 1, done)
        for pattern in out:
            self.assertRegex(done.stdout + done.stderr, pattern)
        self.assertRegex(done.stderr, error)

    def leader(self) -> Node:
        rows = self.table(self.check(["endpoint", "status", "-w", "table"], None))
        return next(node for node, row in zip(nodes(), rows[1:]) if row[4] == "true")

    def test_the_leader_down(self) -> None:
        leader = self.leader()
        others = [node for node in nodes() if node is not leader]
        with self.down(leader):
            for node in others:
                node.wait_until_it_serves()
            self.check(["put", "zz/k", "1"], "OK\n")
            self.check(["get", "zz/k"], "zz/k\n1\n")
            self.check(["txn"], "SUCCESS\n\nOK\n", 'val("zz/k") = "1"\n\nput zz/k 2\n\n\n')
            self.check(["del", "zz/k", "--prev-kv"], "1\nzz/k\n2\n")
            there = [rf"(?m)^{node.endpoint}[, ]" for node in others]
            self.check_failure(["endpoint", "status"], there,
                               rf"Failed to get the status of endpoint {leader.endpoint} \(")
            self.check_failure(["endpoint", "hashkv"], there,
                               rf"Failed to get the hash of endpoint {leader.endpoint} \(")
            healthy = [rf"{node.endpoint} is healthy" for node in others]
            self.check_failure(["endpoint", "health"], healthy,
                               rf"(?s){leader.endpoint} is unhealthy: .*Error: unhealthy cluster")

    def test_two_down(self) -> None:
        self.check(["put", "zz/k", "1"], "OK\n")
        let_all_catch_up()
        left = nodes()[0]
        with self.down(*nodes()[1:]):
            for arguments in (["put", "zz/k", "2"], ["get", "zz/k"], ["del", "zz/k"],
                              ["endpoint", "health"]):
                self.check_failure(arguments, [], "Error: ")
            self.check(["get", "zz/k", "--consistency=s"], "zz/k\n1\n")
            self.check_failure(["endpoint", "status"],
                               [rf"(?m)^{left.endpoint}, .*, etcdserver: no leader$"],
                               "Failed to get the status of endpoint")


if __name__ == "__main__":
    if not etcdctl_test.TOOL:
        print("no such etcdctl: skipped")
        sys.exit(77)
    unittest.main()
