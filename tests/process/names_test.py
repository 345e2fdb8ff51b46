"""Members and endpoints that are names, and a name server that does not answer: nobody waits for it
who need not."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest
from collections.abc import Iterator

from nodes import Cluster, Node, clean_environment, wait_until

CAIRN = os.environ["CAIRN"]
SLOW_NAMES = os.environ["SLOW_NAMES"]
SLOW_SECONDS = 20
BLACK_HOLE = "127.0.0.2"


def slow(seconds: int) -> dict[str, str]:
    return {"LD_PRELOAD": SLOW_NAMES, "SLOW_NAMES_SECONDS": str(seconds)}


@contextlib.contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Whoever connects waits, since the one place of the queue is taken."""
    with socket.create_server((BLACK_HOLE, port), backlog=0), \
            socket.create_connection((BLACK_HOLE, port)):
        yield


class NamedNode(Node):
    @property
    def peer_url(self) -> str:
        return f"http://{self.name}.slow.test:{self.peer_port}"

    def flags(self) -> list[str]:
        listen = f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}"
        return [listen if flag.startswith("--listen-peer-urls=") else flag
                for flag in super().flags()]


class Names(unittest.TestCase):
    def setUp(self) -> None:
        """Three members; the name of the first may be slow to find."""
        self.cluster = Cluster(3)
        self.addCleanup(self.cluster.__exit__)
        first, *rest = self.cluster.nodes
        named = NamedNode(self.cluster.scratch.name, first.name)
        self.cluster.nodes = [named, *rest]
        members = ",".join(f"{node.name}={node.peer_url}" for node in self.cluster.nodes)
        for node in self.cluster.nodes:
            node.more = [f"--initial-cluster={members}"]
            node.environment = slow(0)
        self.cluster.__enter__()
        # Who has no name yet may start over: it has hardly begun.
        for node in self.cluster.nodes:
            wait_until(lambda node=node: "published this member's attributes" in node.log(), 30,
                       f"{node.name} is known")

    def test_who_lost_its_data_is_found_out(self) -> None:
        """The name of one member is not to be had, but another one answers."""
        lost = self.cluster.nodes[1]
        lost.end(signal.SIGKILL)
        shutil.rmtree(lost.data)
        lost.environment = slow(SLOW_SECONDS)
        begin = time.monotonic()
        lost.start()
        assert lost.process is not None
        self.assertEqual(lost.process.wait(SLOW_SECONDS - 5), 1)
        lost.process = None
        self.assertLess(time.monotonic() - begin, SLOW_SECONDS - 5)
        self.assertIn("has already been bootstrapped", lost.log())
        self.assertRegex(lost.log(), "failed to get cluster response address=n1.slow.test:.* "
                                     'error="lookup n1.slow.test: no answer in time"')

    def test_a_member_finds_the_others(self) -> None:
        node = self.cluster.nodes[1]
        self.assertEqual(node.end(), 0)
        node.environment = slow(SLOW_SECONDS)
        before = len(node.log())
        node.start()
        wait_until(lambda: "state=connected" in node.log()[before:], SLOW_SECONDS / 2,
                   "it is connected to one of them")
        wait_until(lambda: "lookup n1.slow.test: no answer in time" in node.log()[before:],
                   SLOW_SECONDS / 2, "it says that it does not find the other")
        # Nor is its end held up.
        begin = time.monotonic()
        self.assertEqual(node.end(), 0)
        self.assertLess(time.monotonic() - begin, SLOW_SECONDS / 2)

    def test_an_answer_that_takes_longer_than_a_dial_is_of_use(self) -> None:
        node = self.cluster.nodes[1]
        self.assertEqual(node.end(), 0)
        node.environment = slow(3)
        before = len(node.log())
        node.start()
        wait_until(lambda: node.log()[before:].count("state=connected") == 2, SLOW_SECONDS,
                   "it is connected to both")
        self.assertIn("lookup n1.slow.test: no answer in time", node.log()[before:])

    def test_a_member_is_dialled_at_all_addresses_of_its_name(self) -> None:
        first, node = self.cluster.nodes[:2]
        self.assertEqual(node.end(), 0)
        node.environment = slow(0) | {"SLOW_NAMES_FIRST": BLACK_HOLE}
        before = len(node.log())
        with black_hole(first.peer_port):
            node.start()
            wait_until(lambda: node.log()[before:].count("state=connected") == 2, 10,
                       "it is connected to both")

    def test_a_client_dials_all_addresses_of_a_name(self) -> None:
        port = self.cluster.nodes[0].client_port
        with black_hole(port):
            done = subprocess.run([CAIRN, "--endpoints", f"n1.slow.test:{port}", "put", "k", "v"],
                                  text=True, capture_output=True, check=False, timeout=60,
                                  env=clean_environment() | slow(0) |
                                  {"SLOW_NAMES_FIRST": BLACK_HOLE})
        self.assertEqual((done.returncode, done.stdout), (0, "OK\n"), done.stderr)

    def test_a_client_goes_on_to_the_next(self) -> None:
        begin = time.monotonic()
        endpoints = f"n1.slow.test:1,n2.slow.test:1,{self.cluster.nodes[2].endpoint}"
        done = subprocess.run([CAIRN, "--endpoints", endpoints, "put", "k", "v"], text=True,
                              capture_output=True, check=False, timeout=60,
                              env=clean_environment() | slow(SLOW_SECONDS))
        self.assertEqual((done.returncode, done.stdout), (0, "OK\n"), done.stderr)
        self.assertLess(time.monotonic() - begin, SLOW_SECONDS / 2)

    def test_who_joins_is_told_who_did_not_answer(self) -> None:
        node = Node(self.cluster.scratch.name, "n9")
        node.more = [f"--initial-cluster=n9={node.peer_url},n1=http://127.0.0.1:1",
                     "--initial-cluster-state=existing"]
        node.start()
        assert node.process is not None
        self.assertEqual(node.process.wait(30), 1)
        node.process = None
        wait_until(lambda: "failed to get cluster response" in node.log(), 5, "the cause")
        self.assertRegex(node.log(), "address=127.0.0.1:1 error=.*[Rr]efused")


if __name__ == "__main__":
    unittest.main()
