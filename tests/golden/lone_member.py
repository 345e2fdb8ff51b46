"""One cairnd on free ports over a given data directory, and the CLI to ask it: for make.py and the
test of what make.py wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path


def find_program(variable: str, place: str) -> str:
    """What the environment names, else the newest that was built here."""
    root = Path(__file__).resolve().parents[2]
    built = sorted(root.glob(f"build/*/{place}"), key=lambda path: path.stat().st_mtime)
    return os.environ.get(variable) or str(built[-1] if built else place)


CAIRND = find_program("CAIRND", "server/cairnd")
CAIRN = find_program("CAIRN", "client/ctl/cairn")
NAME = "golden"
WAIT_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LoneMember:
    """Serves when constructed; ended by stop(), kill() or the end of a with block."""

    def __init__(self, data: Path, log: Path):
        self.log = log
        self.endpoint = f"127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [CAIRND, f"--name={NAME}", f"--data-dir={data}",
                 f"--listen-client-urls=http://{self.endpoint}",
                 f"--advertise-client-urls=http://{self.endpoint}",
                 f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                 f"--initial-cluster={NAME}={peer}"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.endpoint}/health", timeout=2) as answer:
                    if json.loads(answer.read())["health"] == "true":
                        return
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError("cairnd does not serve:\n" + self.log.read_text()[-3000:])
            time.sleep(0.05)

    def __enter__(self) -> LoneMember:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self.end(signal.SIGTERM)

    def kill(self) -> int:
        return self.end(signal.SIGKILL)

    def end(self, how: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def try_cairn(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess:
        return subprocess.run([CAIRN, "--endpoints", self.endpoint, *arguments], input=given,
                              capture_output=True, check=False, timeout=WAIT_SECONDS)

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        done = self.try_cairn(*arguments, given=given)
        if done.returncode != 0:
            raise RuntimeError(f"cairn {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout

    def cairn(self, *arguments: str, given: bytes = b"") -> dict:
        """What the CLI answers, as JSON."""
        answer = json.loads(self.run("-w", "json", *arguments, given=given))
        return answer[0] if isinstance(answer, list) else answer

    def put(self, key: str, value: bytes) -> int:
        """The revision. The value comes through standard input, so it may be anything."""
        return self.cairn("put", key, given=value)["header"]["revision"]

    def pairs(self, revision: int) -> list[str]:
        """Every key at that revision, with its attributes and what its value is."""
        answer = self.cairn("get", "", "--from-key", f"--rev={revision}")
        return [describe(pair) for pair in answer.get("kvs", [])]

    def hash_kv(self, revision: int) -> int:
        return self.cairn("endpoint", "hashkv", f"--rev={revision}")["HashKV"]["hash"]

    def identity(self) -> dict[str, int | str]:
        answer = self.cairn("member", "list")
        return {"cluster_id": answer["header"]["cluster_id"],
                "member_id": answer["members"][0]["ID"], "name": answer["members"][0]["name"]}

    def revision(self) -> int:
        return self.cairn("get", "x")["header"]["revision"]


def describe(pair: dict) -> str:
    key = base64.b64decode(pair["key"])
    value = base64.b64decode(pair.get("value", ""))
    return (f"{key!r} create {pair['create_revision']} mod {pair['mod_revision']} "
            f"version {pair['version']} lease {pair.get('lease', 0)} "
            f"value {len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}")
