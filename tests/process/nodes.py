"""cairnd processes for tests: ports and data of their own, and none left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAIRND = os.environ.get("CAIRND", "")
HTTP_SECONDS = 20  # longer than a member waits for a quorum
START_SECONDS = 60
END_SECONDS = 30
ELECTION_TIMEOUT = 1.0  # cairnd's default, in seconds


_CLAIMS: list[socket.socket] = []  # until this process ends


def claim_port(port: int) -> bool:
    """For this process, against other tests: a port is free before its node starts, and while it is
    down. The name of a socket in no folder; the C++ tests claim theirs by the same."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0cairn-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _CLAIMS.append(claim)
    return True


def free_ports(count: int) -> list[int]:
    """Below the range from which outgoing connections draw theirs, which could take the port of a
    node while it is down."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if claim_port(port):
            ports.add(port)
    return sorted(ports)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.02)


# A process that ends with this one. Not by preexec_fn: Python's own code between fork and exec may
# wait for a lock that a thread of the parent had, such as one of gRPC's.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("CAIRN", "ETCD"))}


def run_to_end(*flags: str, environment: dict[str, str] | None = None, cwd: str | None = None
               ) -> subprocess.CompletedProcess[str]:
    """cairnd that is expected to end by itself."""
    return subprocess.run([CAIRND, *flags], text=True, capture_output=True, check=False, cwd=cwd,
                          env=clean_environment() | (environment or {}), timeout=START_SECONDS)


class Node:
    """One process and where it listens. Flags: what this node has more than ports and data."""

    def __init__(self, folder: str, name: str, flags: list[str] | None = None):
        self.name = name
        self.client_port, self.peer_port = free_ports(2)
        self.data = f"{folder}/{name}.data"
        self.log_path = Path(f"{folder}/{name}.log")
        self.more = flags or []
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    def flags(self) -> list[str]:
        return [f"--name={self.name}", f"--data-dir={self.data}",
                f"--listen-client-urls=http://{self.endpoint}",
                f"--advertise-client-urls=http://{self.endpoint}",
                f"--listen-peer-urls={self.peer_url}",
                f"--initial-advertise-peer-urls={self.peer_url}", *self.more]

    def start(self) -> None:
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*DIE_WITH_PARENT, CAIRND, *self.flags()], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=clean_environment() | self.environment)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str, str]:
        """HTTP/1.1: status, content type, body."""
        try:
            url = f"http://{self.endpoint}{path}"
            with urllib.request.urlopen(url, timeout=HTTP_SECONDS) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()

    def serves(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
        try:
            return json.loads(self.get("/health")[2]).get("health") == "true"
        except (OSError, ValueError):
            return False

    def wait_until_it_serves(self) -> None:
        wait_until(self.serves, START_SECONDS, f"{self.name} serves")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(END_SECONDS)
        self.process = None
        return code


class Cluster:
    """Nodes n1, n2, … that know each other. A context manager: nothing is left at its end."""

    def __init__(self, size: int, flags: list[str] | None = None):
        self.scratch = tempfile.TemporaryDirectory(prefix="cairn-process-")
        self.nodes = [Node(self.scratch.name, f"n{i + 1}") for i in range(size)]
        members = ",".join(f"{node.name}={node.peer_url}" for node in self.nodes)
        for node in self.nodes:
            node.more = [f"--initial-cluster={members}", *(flags or [])]

    def __enter__(self) -> Cluster:
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_until_it_serves()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            if node.process is not None:
                node.end(signal.SIGKILL)
        self.scratch.cleanup()

    @property
    def endpoints(self) -> str:
        return ",".join(node.endpoint for node in self.nodes)
