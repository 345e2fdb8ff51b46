"""A project outside of the tree builds and runs with cairn::client: found by find_package after
`cmake --install`, and as a folder by add_subdirectory. Both run against an installed cairnd."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import nodes

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ["CAIRN_BUILD_DIR"]
CMAKE = os.environ["CMAKE"]
BUILD_SECONDS = 800
PUBLIC_HEADERS = {
    "base/assert.h", "base/bytes.h", "client/async.h", "client/client.h", "client/core.h",
    "client/endpoint.h", "client/result.h", "client/snapshot.h", "client/txn.h", "client/types.h",
    "proto/wire/grpc_status.h"}


class ConsumerTest(unittest.TestCase):
    """One prefix, installed to once; the project is copied, so that nothing near it helps."""

    scratch: Path
    prefix: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = Path(cls.enterClassContext(
            tempfile.TemporaryDirectory(prefix="cairn-consumer-")))
        cls.prefix = cls.scratch / "prefix"
        for component in ("client", "programs"):
            cls.run_to_end(CMAKE, "--install", BUILD, "--prefix", str(cls.prefix),
                           "--component", component)
        nodes.CAIRND = str(cls.prefix / "bin" / "cairnd")
        cls.cluster = cls.enterClassContext(nodes.Cluster(1))

    @classmethod
    def run_to_end(cls, *command: str) -> str:
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=BUILD_SECONDS, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}")
        return done.stdout

    def build_and_run(self, name: str, *settings: str) -> None:
        source, build = self.scratch / name, self.scratch / f"{name}-build"
        shutil.copytree(ROOT / "tests" / "consumer" / "app", source)
        self.run_to_end(CMAKE, "-G", "Ninja", "-S", str(source), "-B", str(build),
                        "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-DCONSUMER_OUTSIDE",
                        *settings)
        self.run_to_end(CMAKE, "--build", str(build), "--target", "app")
        self.assertEqual(self.run_to_end(str(build / "app"), self.cluster.endpoints),
                         "outside of the tree\n")

    def test_find_package(self) -> None:
        self.build_and_run("found", f"-DCMAKE_PREFIX_PATH={self.prefix}")

    def test_add_subdirectory(self) -> None:
        self.build_and_run("folder", f"-DCAIRN_SOURCE={ROOT}")

    def test_what_is_installed(self) -> None:
        include = self.prefix / "include" / "cairn"
        self.assertEqual({str(path.relative_to(include)) for path in include.rglob("*.h")},
                         PUBLIC_HEADERS)
        for program in ("cairnd", "cairn"):
            self.assertTrue(os.access(self.prefix / "bin" / program, os.X_OK), program)
        for path in self.prefix.rglob("*.cmake"):
            self.assertNotIn(str(ROOT), path.read_text(), "a package knows where it was built")


if __name__ == "__main__":
    unittest.main(verbosity=1)
