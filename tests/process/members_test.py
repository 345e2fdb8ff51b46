"""Clusters that grow and shrink while they run: cairnd processes, changed by `cairn`, or with the
argument "debian" or "fetched" by etcd's own command line (skipped without one)."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from nodes import ELECTION_TIMEOUT, ROOT, Node, clean_environment, wait_until

CAIRN = os.environ.get("CAIRN", "")
REMOVED = "the member has been permanently removed from the cluster"
SECONDS = 30


def find_tool(which: str) -> str:
    if which == "cairn":
        return CAIRN
    folder = "/usr/bin"
    if which == "fetched":
        folder = subprocess.run([ROOT / "scripts" / "fetch-etcd", "--cached"], text=True,
                                check=False, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout.strip()
    path = f"{folder}/etcdctl"
    return path if os.access(path, os.X_OK) else ""


TOOL = find_tool(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-")
                 and sys.argv[1] in ("cairn", "debian", "fetched") else "cairn")


class Cluster:
    """Begins with one member; the others are added."""

    def __init__(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="cairn-members-")
        self.nodes: dict[str, Node] = {}
        first = self.make("n1", [])
        first.more = [f"--initial-cluster=n1={first.peer_url}"]
        first.start()
        first.wait_until_it_serves()
        self.wait_until_named(first, "n1")

    def close(self) -> None:
        for node in self.nodes.values():
            if node.process is not None:
                node.process.kill()
                node.process.wait()
        self.scratch.cleanup()

    def make(self, name: str, flags: list[str]) -> Node:
        self.nodes[name] = Node(self.scratch.name, name, flags)
        return self.nodes[name]

    def run(self, node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([TOOL, "--endpoints", node.endpoint, *arguments], text=True,
                              capture_output=True, check=False, timeout=60,
                              env=clean_environment() | {"ETCDCTL_API": "3"})

    def ask(self, node: Node, *arguments: str) -> str:
        done = self.run(node, *arguments)
        said = f"{done.stdout}{done.stderr}\n{node.log()[-3000:]}"
        assert done.returncode == 0, f"{arguments}: {said}"
        return done.stdout

    def members(self, node: Node) -> dict[str, dict[str, object]]:
        listed = json.loads(self.ask(node, "member", "list", "-w", "json"))["members"]
        return {member.get("name", ""): member for member in listed}

    def id_of(self, through: Node, name: str) -> str:
        return f"{self.members(through)[name]['ID']:x}"

    def add(self, through: Node, name: str, *flags: str) -> Node:
        return self.add_node(through, self.make(name, []), *flags)

    def add_node(self, through: Node, node: Node, *flags: str) -> Node:
        """Adds it, and starts it as the answer says."""
        answer = self.ask(through, "member", "add", node.name, f"--peer-urls={node.peer_url}",
                          *flags)
        cluster = re.findall(r'^ETCD_INITIAL_CLUSTER="(.*)"$', answer, re.M)[0]
        node.more = [f"--initial-cluster={cluster}", "--initial-cluster-state=existing"]
        node.start()
        return node

    def add_voter(self, through: Node, name: str) -> Node:
        node = self.add(through, name)
        node.wait_until_it_serves()
        self.wait_until_named(through, name)
        return node

    def wait_until_named(self, through: Node, name: str) -> None:
        wait_until(lambda: name in self.members(through), SECONDS, f"{name} said its name")

    def leader(self) -> Node:
        running = [node for node in self.nodes.values() if node.process is not None]
        found: list[Node] = []

        def look() -> bool:
            found.clear()
            for node in running:
                status = json.loads(self.ask(node, "endpoint", "status", "-w", "json"))[0]["Status"]
                if status["header"]["member_id"] == status.get("leader"):
                    found.append(node)
            return len(found) == 1
        wait_until(look, SECONDS, "one leader")
        return found[0]

    def wait_until_removed(self, node: Node) -> None:
        """It ends by itself, as etcd does: with a word, and without an error."""
        assert node.process is not None
        code = node.process.wait(SECONDS)
        node.process = None
        assert code == 0, f"{node.name} ended with {code}:\n{node.log()[-3000:]}"
        assert REMOVED in node.log(), node.log()[-3000:]


def metric(node: Node, name: str) -> float:
    return float(re.findall(rf"^{name} (\S+)$", node.get("/metrics")[2], re.M)[0])


def term_of(cluster: Cluster, node: Node) -> int:
    status = cluster.ask(node, "endpoint", "status", "-w", "json")
    return json.loads(status)[0]["Status"]["raftTerm"]


class Members(unittest.TestCase):
    def setUp(self) -> None:
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.n1 = self.cluster.nodes["n1"]

    def refused(self, node: Node, error: str, *arguments: str) -> None:
        done = self.cluster.run(node, *arguments)
        self.assertNotEqual(done.returncode, 0, arguments[:2])
        self.assertIn(f"Error: {error}", done.stderr.splitlines(), arguments[:2])

    def test_grow_and_shrink(self) -> None:
        for i in range(2, 6):
            through = self.cluster.nodes[f"n{i - 1}"]  # a follower, but for the first
            self.cluster.add_voter(through, f"n{i}")
            self.cluster.ask(through, "put", f"k{i}", f"v{i}")
        for node in self.cluster.nodes.values():
            self.assertEqual(len(self.cluster.members(node)), 5)
            self.assertEqual(self.cluster.ask(node, "get", "k3"), "k3\nv3\n")
            self.assertEqual(metric(node, "cairn_peers_known"), 4)
        for i in range(5, 1, -1):
            leaving = self.cluster.nodes[f"n{i}"]
            # Through itself, so that it answers for its own end.
            answer = self.cluster.ask(leaving, "member", "remove",
                                      self.cluster.id_of(leaving, f"n{i}"))
            self.assertRegex(answer, r"^Member +[0-9a-f]+ removed from cluster +[0-9a-f]+\n$")
            self.cluster.wait_until_removed(leaving)
            self.cluster.ask(self.n1, "put", f"after{i}", "x")
        self.assertEqual(list(self.cluster.members(self.n1)), ["n1"])
        self.assertEqual(self.cluster.ask(self.n1, "get", "k3"), "k3\nv3\n")
        self.assertEqual(metric(self.n1, "cairn_peers_known"), 0)

    def three(self) -> list[Node]:
        self.cluster.add_voter(self.n1, "n2")
        self.cluster.add_voter(self.n1, "n3")
        return list(self.cluster.nodes.values())

    def test_remove_the_leader(self) -> None:
        nodes = self.three()
        leader = self.cluster.leader()
        other = next(node for node in nodes if node is not leader)
        self.cluster.ask(other, "member", "remove", self.cluster.id_of(other, leader.name))
        # One that was on its way to the former leader may have been lost with it.
        wait_until(lambda: self.cluster.run(other, "put", "k", "v").returncode == 0, SECONDS,
                   "writes go on")
        self.cluster.wait_until_removed(leader)
        self.assertEqual(len(self.cluster.members(other)), 2)
        self.assertEqual(self.cluster.ask(other, "get", "k"), "k\nv\n")

    def test_removed_while_it_was_down(self) -> None:
        n2 = self.three()[1]
        self.assertEqual(n2.end(), 0)
        n3 = self.cluster.nodes["n3"]
        self.cluster.ask(n3, "member", "remove", self.cluster.id_of(n3, "n2"))
        term = term_of(self.cluster, n3)
        n2.start()
        self.cluster.wait_until_removed(n2)
        # And it has disturbed nobody.
        self.cluster.ask(n3, "put", "k", "v")
        self.assertEqual(term_of(self.cluster, n3), term)
        n2.start()
        self.cluster.wait_until_removed(n2)

    def test_a_voter_that_lost_its_data(self) -> None:
        n3 = self.three()[2]
        lost = self.cluster.id_of(self.n1, "n3")
        self.assertEqual(n3.end(), 0)
        shutil.rmtree(n3.data)
        # It has voted, and acknowledged what the others may need it for.
        for state in ("existing", "new"):
            with self.subTest(state=state):
                n3.more[1] = f"--initial-cluster-state={state}"
                n3.start()
                assert n3.process is not None
                self.assertEqual(n3.process.wait(SECONDS), 1)
                n3.process = None
                self.assertIn(f"member {lost} has already been bootstrapped",
                              n3.log().splitlines()[-1])
                self.assertFalse(Path(f"{n3.data}/IDENTITY").exists())
        # As the advice says, at the same place.
        self.cluster.ask(self.n1, "member", "remove", lost)
        self.cluster.add_node(self.n1, n3)
        n3.wait_until_it_serves()
        self.cluster.wait_until_named(self.n1, "n3")
        self.assertNotEqual(self.cluster.id_of(self.n1, "n3"), lost)

    def test_learner(self) -> None:
        learner = self.cluster.make("n2", [])
        self.cluster.ask(self.n1, "member", "add", "n2", "--learner",
                         f"--peer-urls={learner.peer_url}")
        unnamed = f"{self.cluster.members(self.n1)['']['ID']:x}"
        self.refused(self.n1, "etcdserver: can only promote a learner member which is in sync "
                              "with leader", "member", "promote", unnamed)
        self.refused(self.n1, "etcdserver: too many learner members in cluster", "member", "add",
                     "n3", "--learner", "--peer-urls=http://127.0.0.1:1")
        self.refused(self.n1, "etcdserver: bad leader transferee", "move-leader", unnamed)
        learner.more = [f"--initial-cluster=n1={self.n1.peer_url},n2={learner.peer_url}",
                        "--initial-cluster-state=existing"]
        learner.start()
        self.cluster.wait_until_named(self.n1, "n2")
        wait_until(lambda: metric(learner, "etcd_server_is_learner") == 1, SECONDS, "a learner")
        for call in (["put", "k", "v"], ["compaction", "1"], ["member", "promote", unnamed]):
            begin = time.monotonic()
            self.refused(learner, "etcdserver: rpc not supported for learner", *call)
            self.assertLess(time.monotonic() - begin, 3, call[0])  # the timeout is 5 s
        self.assertTrue(self.cluster.members(self.n1)["n2"]["isLearner"])
        wait_until(lambda: self.cluster.run(self.n1, "member", "promote", unnamed).returncode == 0,
                   SECONDS, "promoted")
        self.assertEqual(metric(self.n1, "etcd_server_learner_promote_successes"), 1)
        learner.wait_until_it_serves()
        self.assertEqual(metric(learner, "etcd_server_is_learner"), 0)
        self.refused(learner, "etcdserver: can only promote a learner member", "member", "promote",
                     unnamed)
        self.assertIn('etcd_server_learner_promote_failures{Reason="etcdserver: can only promote a '
                      'learner member"} 1', learner.get("/metrics")[2])
        self.cluster.ask(learner, "put", "k", "v")

    def test_the_same_place_again_and_again(self) -> None:
        # Several times a second: each is a member of its own.
        seen = set()
        for _ in range(8):
            self.cluster.ask(self.n1, "member", "add", "n2", "--learner",
                             "--peer-urls=http://127.0.0.1:1")
            added = f"{self.cluster.members(self.n1)['']['ID']:x}"
            self.cluster.ask(self.n1, "member", "remove", added)
            seen.add(added)
        self.assertEqual(len(seen), 8)

    def test_replace_a_dead_member(self) -> None:
        nodes = self.three()
        nodes[1].end(signal.SIGKILL)
        self.cluster.ask(nodes[2], "put", "k", "v")
        time.sleep(2 * ELECTION_TIMEOUT)
        self.refused(nodes[2], "etcdserver: unhealthy cluster", "member", "add", "n4",
                     "--peer-urls=http://127.0.0.1:1")
        self.cluster.ask(nodes[2], "member", "remove", self.cluster.id_of(nodes[2], "n2"))
        new = self.cluster.add_voter(nodes[2], "n4")
        self.assertEqual(self.cluster.ask(new, "get", "k"), "k\nv\n")
        nodes[0].end(signal.SIGKILL)
        wait_until(lambda: self.cluster.run(new, "put", "k2", "v2").returncode == 0, SECONDS,
                   "writes go on")

    def test_restarts_find_the_members_as_they_are(self) -> None:
        nodes = self.three()
        for node in nodes:
            self.assertEqual(node.end(), 0)
        # The flags of the first start know nothing of the others.
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_until_it_serves()
            self.assertEqual(len(self.cluster.members(node)), 3)

    def test_update_of_peer_urls(self) -> None:
        nodes = self.three()
        moved = self.cluster.make("moved", [])
        answer = self.cluster.ask(self.n1, "member", "update", self.cluster.id_of(self.n1, "n3"),
                                  f"--peer-urls={moved.peer_url}")
        self.assertRegex(answer, r"^Member +[0-9a-f]+ updated in cluster +[0-9a-f]+\n$")
        self.assertEqual(nodes[2].end(), 0)
        nodes[2].peer_port = moved.peer_port
        nodes[2].start()
        nodes[2].wait_until_it_serves()
        nodes[1].end(signal.SIGKILL)
        self.cluster.ask(nodes[2], "put", "k", "v")
        self.assertEqual(self.cluster.ask(self.n1, "get", "k"), "k\nv\n")

    def test_a_leader_that_has_moved(self) -> None:
        _, n2, n3 = self.three()
        own = self.cluster.id_of(self.n1, "n3")
        self.assertEqual(n2.end(), 0)
        moved = self.cluster.make("moved", [])
        self.cluster.ask(self.n1, "member", "update", own, f"--peer-urls={moved.peer_url}")
        self.assertEqual(n3.end(), 0)
        former = n3.peer_url
        n3.peer_port = moved.peer_port
        # The flag of its first start says the old place.
        n3.more.append(f"--initial-advertise-peer-urls={former}")
        n3.start()
        n3.wait_until_it_serves()

        def leads() -> bool:
            leader = self.cluster.leader()
            if leader is not n3:
                self.cluster.run(leader, "move-leader", own)
            return leader is n3
        wait_until(leads, SECONDS, "the moved one leads")
        # It knows of no change, and only the leader could tell it.
        n2.start()
        n2.wait_until_it_serves()
        self.n1.end(signal.SIGKILL)
        self.cluster.ask(n3, "put", "k", "v")
        self.assertEqual(self.cluster.ask(n2, "get", "k"), "k\nv\n")

    def test_move_leader(self) -> None:
        nodes = self.three()
        leader = self.cluster.leader()
        other = next(node for node in nodes if node is not leader)
        self.refused(other, f"no leader endpoint given at [{other.endpoint}]", "move-leader",
                     self.cluster.id_of(other, leader.name))
        self.refused(leader, "etcdserver: bad leader transferee", "move-leader", "1234")
        ids = [self.cluster.id_of(leader, node.name) for node in (leader, other)]
        self.assertEqual(self.cluster.ask(leader, "move-leader", ids[1]),
                         f"Leadership transferred from {ids[0]} to {ids[1]}\n")
        self.assertIs(self.cluster.leader(), other)

    def test_refusals(self) -> None:
        own = self.cluster.id_of(self.n1, "n1")
        lonely = "etcdserver: re-configuration failed due to not enough started members"
        taken = "etcdserver: Peer URLs already exists"
        free = "--peer-urls=http://127.0.0.1:1"
        many = "--peer-urls=" + ",".join(f"http://127.0.0.1:{i}" for i in range(10_000, 14_000))
        for error, arguments in (
                (lonely, ["remove", own]),
                ("etcdserver: member not found", ["remove", "1234"]),
                ("etcdserver: member not found", ["remove", "0"]),
                ("etcdserver: member not found", ["promote", "1234"]),
                ("etcdserver: can only promote a learner member", ["promote", own]),
                ("etcdserver: member not found", ["update", "1234", free]),
                (taken, ["add", "n2", f"--peer-urls={self.n1.peer_url}"]),
                ("etcdserver: given member URLs are invalid", ["add", "n2", many]),
                ("etcdserver: given member URLs are invalid", ["update", own, many])):
            self.refused(self.n1, error, "member", *arguments)
        # A second member may always come; a third only once that one runs.
        self.cluster.ask(self.n1, "member", "add", "n2", free)
        self.refused(self.n1, lonely, "member", "add", "n3", "--peer-urls=http://127.0.0.1:2")

    def test_joins_that_are_wrong(self) -> None:
        new = self.cluster.make("n2", [])
        self.cluster.ask(self.n1, "member", "add", "n2", "--learner", f"--peer-urls={new.peer_url}")
        first = f"n1={self.n1.peer_url}"
        for cluster, error in (
                (f"n2={new.peer_url}", "cannot fetch cluster info from peer urls: could not "
                                       "retrieve cluster information from the given URLs"),
                (f"{first},n2={new.peer_url},n3=http://127.0.0.1:1", "member count is unequal"),
                (f"{first},n2=http://127.0.0.1:1", "PeerURLs: no match found for existing member"),
                (f"{first},n3={new.peer_url}", 'couldn\'t find local name "n2" in the initial '
                                               'cluster configuration')):
            with self.subTest(cluster=cluster):
                new.more = [f"--initial-cluster={cluster}", "--initial-cluster-state=existing"]
                new.start()
                assert new.process is not None
                self.assertEqual(new.process.wait(SECONDS), 1)
                self.assertIn(error, new.log())
        new.more = [f"--initial-cluster={first},n2={new.peer_url}",
                    "--initial-cluster-state=existing"]
        new.start()
        self.cluster.wait_until_named(self.n1, "n2")

    def test_force_new_cluster(self) -> None:
        nodes = self.three()
        self.cluster.ask(nodes[2], "put", "k", "v")
        self.assertEqual(self.cluster.ask(nodes[1], "get", "k"), "k\nv\n")
        for node in nodes:
            node.end(signal.SIGKILL)
        nodes[1].more.append("--force-new-cluster")
        nodes[1].start()
        nodes[1].wait_until_it_serves()
        self.assertEqual(list(self.cluster.members(nodes[1])), ["n2"])
        self.assertEqual(self.cluster.ask(nodes[1], "get", "k"), "k\nv\n")
        # It grows again, and stays what it is without the flag.
        fourth = self.cluster.add_voter(nodes[1], "n4")
        self.assertEqual(self.cluster.ask(fourth, "get", "k"), "k\nv\n")
        nodes[1].end(signal.SIGKILL)
        nodes[1].more.pop()
        nodes[1].start()
        nodes[1].wait_until_it_serves()
        self.assertEqual(sorted(self.cluster.members(nodes[1])), ["n2", "n4"])
        # The others are told, should they come back with their data.
        for node in (nodes[0], nodes[2]):
            node.start()
        for node in (nodes[0], nodes[2]):
            self.cluster.wait_until_removed(node)
        self.assertEqual(sorted(self.cluster.members(nodes[1])), ["n2", "n4"])
        self.assertEqual(self.cluster.ask(fourth, "get", "k"), "k\nv\n")


if __name__ == "__main__":
    if not TOOL:
        print("SKIPPED: no etcdctl here", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=1)
