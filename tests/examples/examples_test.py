"""Runs the programs of client/examples against one cairnd, as docs/client.md shows them."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

from nodes import Cluster, free_ports

EXAMPLES = Path(os.environ["EXAMPLES"])
RUN_SECONDS = 60


class ExamplesTest(unittest.TestCase):
    """Each as a user would start it."""

    cluster: Cluster
    endpoint: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.cluster = cls.enterClassContext(Cluster(1))
        cls.endpoint = cls.cluster.nodes[0].endpoint

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([str(EXAMPLES / f"example_{name}"), *arguments], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def output(self, process: subprocess.Popen[str], code: int = 0) -> str:
        """What it printed: on stdout if it succeeded, else on stderr."""
        out, err = process.communicate(timeout=RUN_SECONDS)
        self.assertEqual(process.returncode, code, err)
        return err if code else out

    def test_blocking(self) -> None:
        self.assertEqual(self.output(self.start("blocking", self.endpoint)),
                         "example/fruit/apple is ripe\nexample/fruit/pear is ripe\n"
                         "example/fruit/plum is ripe\n3 deleted\n")

    def test_blocking_passes_over_a_dead_endpoint(self) -> None:
        dead = f"127.0.0.1:{free_ports(1)[0]}"
        self.assertTrue(self.output(self.start("blocking", dead, self.endpoint))
                        .endswith("3 deleted\n"))

    def test_blocking_with_a_bad_endpoint(self) -> None:
        self.assertIn("must be host:port", self.output(self.start("blocking", "nowhere"), 1))

    def test_coroutine(self) -> None:
        self.assertEqual(self.output(self.start("coroutine", self.endpoint)),
                         "10 writers were here\n")

    def test_counter_counts_each_once(self) -> None:
        arguments = ("example/counter", "50", self.endpoint)
        racing = [self.start("counter", *arguments) for _ in range(4)]
        last = [int(self.output(process)) for process in racing]
        self.assertEqual(max(last), 200)
        self.assertEqual(self.output(self.start("counter", "example/counter", "1", self.endpoint)),
                         "201\n")


if __name__ == "__main__":
    unittest.main(verbosity=1)
