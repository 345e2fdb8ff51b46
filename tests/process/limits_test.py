"""cairnd with few file descriptors: clients cannot take those that the member itself needs."""

from __future__ import annotations

import os
import resource
import select
import socket
import stat
import unittest
from pathlib import Path

from nodes import Cluster, wait_until

DESCRIPTORS = 128
CLIENTS_MAX = 72  # what server/net/descriptors.cc makes of it
REFUSED_TEXT = "too many client connections"


def is_closed(connection: socket.socket) -> bool:
    if not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


class FewDescriptors(unittest.TestCase):
    def test_idle_clients_are_bounded(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The children get both; a soft limit alone they would raise.
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, min(hard, DESCRIPTORS)))
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            connections = [socket.create_connection(("127.0.0.1", node.client_port))
                           for _ in range(CLIENTS_MAX + 12)]
            wait_until(lambda: sum(map(is_closed, connections)) >= 12, 5, "12 are closed")
            self.assertLessEqual(sum(map(is_closed, connections)), 13)  # one was wait_until's
            self.assertFalse(is_closed(connections[0]))
            for connection in connections:
                connection.close()
            wait_until(node.serves, 5, "the node serves again")
            page = node.get("/metrics")[2]
            refused = [line for line in page.splitlines()
                       if line.startswith("cairn_connections_refused_total ")]
            self.assertGreaterEqual(float(refused[0].split()[1]), 12)
            self.assertIn(REFUSED_TEXT, node.log())
            self.assertLessEqual(node.log().count(REFUSED_TEXT), 6)  # once a second


class Permissions(unittest.TestCase):
    def test_all_files_are_the_owners_alone(self) -> None:
        with Cluster(1) as cluster:
            data = Path(cluster.nodes[0].data)
            for path in [data, *data.rglob("*")]:
                with self.subTest(path.name):
                    self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0)

    def test_a_directory_that_is_open_to_others_is_closed(self) -> None:
        cluster = Cluster(1)
        os.mkdir(cluster.nodes[0].data, 0o755)
        with cluster:
            self.assertEqual(stat.S_IMODE(os.stat(cluster.nodes[0].data).st_mode), 0o700)


if __name__ == "__main__":
    unittest.main()
