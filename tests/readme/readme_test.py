"""Runs README.md: its shell blocks in order in one shell, each compared with the text block behind
it if there is one, and the C++ example against the same cluster.

What is not as written: the ports, the folder of the cluster, the folder of the programs;
scripts/test, which runs this test, only says its help; etcdctl's lines are left out where there is
none.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from readme import Block, blocks

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CAIRN_BUILD_DIR", ROOT / "build" / "dev"))
EXAMPLE = os.environ.get("README_EXAMPLE", str(BUILD / "tests" / "readme" / "readme_example"))
MARK = "==== readme block "


def free_base_port() -> int:
    """The first of six free ports in a row, below those that the system gives to clients."""
    for base in range(20000 + os.getpid() % 1000 * 10, 32000, 10):
        sockets = [socket.socket() for _ in range(6)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise RuntimeError("no free ports")


def etcdctl_folder() -> str | None:
    found = shutil.which("etcdctl")
    if found:
        return os.path.dirname(found)
    cached = subprocess.run([str(ROOT / "scripts" / "fetch-etcd"), "--cached"], text=True,
                            capture_output=True, check=False)
    return cached.stdout.strip() if cached.returncode == 0 else None


class ReadmeTest(unittest.TestCase):
    """One cluster, started by the page's own first command."""

    maxDiff = None

    def setUp(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="cairn-readme-")
        self.folder = Path(self.scratch.name) / "cluster"
        self.base = free_base_port()
        self.environment = {
            **{name: value for name, value in os.environ.items()
               if not name.startswith(("CAIRN_", "ETCD"))},
            "CAIRN_BIN_DIR": str(BUILD / "server"),
            "CAIRN_QUICKSTART_DIR": str(self.folder),
            "CAIRN_QUICKSTART_PORT": str(self.base),
        }

    def tearDown(self) -> None:
        if self.folder.exists():
            subprocess.run([str(ROOT / "scripts" / "cluster"), "wipe", "--dir", str(self.folder)],
                           check=True, timeout=60, stdout=subprocess.DEVNULL)
        self.scratch.cleanup()

    def endpoint(self, node: int) -> str:
        return f"127.0.0.1:{self.base + 2 * (node - 1)}"

    def adapted(self, text: str, etcdctl: bool) -> str:
        """The commands as written, but for places."""
        for node, port in ((1, 2379), (2, 22379), (3, 32379)):
            text = re.sub(rf"127\.0\.0\.1:{port}\b", self.endpoint(node), text)
        text = text.replace("$PWD/build/release", str(BUILD))
        text = re.sub(r"^scripts/cluster ", f"scripts/cluster --dir {self.folder} ", text,
                      flags=re.MULTILINE)
        text = re.sub(r"^scripts/test$", "scripts/test --help", text, flags=re.MULTILINE)
        return text if etcdctl else re.sub(r"^.*etcdctl .*\n", "", text, flags=re.MULTILINE)

    def run_blocks(self, shell: list[Block]) -> list[str]:
        """The output of each."""
        folder = etcdctl_folder()
        if folder is None:
            print("no etcdctl here: its lines are left out", file=sys.stderr)
        script = "set -euo pipefail\n" + "".join(
            f"echo '{MARK}{block.line}'\n" + self.adapted(block.text, folder is not None)
            for block in shell)
        path = self.environment["PATH"] + (f":{folder}" if folder else "")
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, text=True, timeout=100,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False,
                              env={**self.environment, "PATH": path})
        self.assertEqual(done.returncode, 0, done.stdout)
        return re.split(rf"^{MARK}\d+\n", done.stdout, flags=re.MULTILINE)[1:]

    def test_commands_in_order(self) -> None:
        page = blocks((ROOT / "README.md").read_text())
        self.assertEqual({block.language for block in page}, {"sh", "text", "cmake", "cpp"})
        shell = [block for block in page if block.language == "sh"]
        outputs = dict(zip(shell, self.run_blocks(shell), strict=True))
        compared = 0
        for block, shown in zip(page, page[1:]):
            if shown.language == "text":
                self.assertEqual(outputs[block], shown.text, f"README.md:{block.line}")
                compared += 1
        self.assertGreaterEqual(compared, 3)
        self.assertIn("get greeting\ngreeting\nhello\n", outputs[shell[0]])
        self.check_example()

    def check_example(self) -> None:
        done = subprocess.run([EXAMPLE, self.endpoint(1), self.endpoint(2)], text=True, timeout=30,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^hello from C\+\+ at revision \d+\n$")

    def test_embedding(self) -> None:
        """The CMake block finds the library; the C++ block was compiled with the build."""
        page = blocks((ROOT / "README.md").read_text())
        cmake = next(block.text for block in page if block.language == "cmake")
        folder = Path(self.scratch.name) / "app"
        folder.mkdir()
        (folder / "app.cc").write_text("int main() {}\n")
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.22)\nproject(app CXX)\nadd_executable(app app.cc)\n"
            + cmake.replace("add_subdirectory(cairn ", f"add_subdirectory({ROOT} cairn "))
        done = subprocess.run(["cmake", "-G", "Ninja", "-DCAIRN_BUILD_TESTS=OFF", "-S", str(folder),
                               "-B", str(folder / "build")], text=True, timeout=100,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_links(self) -> None:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "README.md").read_text()):
            if "://" not in target:
                self.assertTrue((ROOT / target).exists(), target)

    def test_quickstart_explains_itself(self) -> None:
        done = subprocess.run([str(ROOT / "scripts" / "quickstart"), "--help"], text=True,
                              timeout=30, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Usage: scripts/quickstart", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
