"""The server under attack: what it costs, whom it still serves, and the judgement on one case."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h2
from nodes import Node, clean_environment, wait_until

MIB = 1 << 20
SANITIZED = bool(os.environ.get("SANITIZED"))
# AddressSanitizer: redzones, shadow, and freed memory that it keeps for a while.
GROWTH_FACTOR, GROWTH_MORE = (2, 32) if SANITIZED else (1, 0)
SETTLE_SECONDS = 5.0
# An honest put while another client floods. Measured on two busy cores: below 0.3 s.
PUT_SECONDS_MAX = 10.0 if SANITIZED else 4.0
PUT_PAUSE = 0.004
PUT_PATH = "/etcdserverpb.KV/Put"
RANGE_PATH = "/etcdserverpb.KV/Range"


@dataclass(frozen=True)
class Case:
    """`act` does the harm and says what the server did, which must match `expect` whole."""

    name: str
    act: Callable[[Subject], str]
    expect: str
    growth_mib: int = 8  # the most that resident memory may grow meanwhile
    etcd: str | None = None  # what etcd does, where it is not the same
    # On a server of its own: memory that earlier cases left would hide its growth.
    alone: bool = False


@dataclass
class Row:
    case: Case
    outcome: str
    growth: int = 0
    kept: int = 0
    puts: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        return (f"{'FAIL' if self.problems else 'ok':4} {self.case.name:34} "
                f"{self.growth / MIB:6.1f} {self.kept / MIB:6.1f} {self.puts:5} "
                f"{self.slowest * 1000:6.0f} {self.seconds:5.1f}  {self.outcome}")


HEADING = (f"{'':4} {'case':34} {'peak':>6} {'kept':>6} {'puts':>5} {'ms max':>6} {'s':>5}  "
           "what the server did (peak, kept: growth of resident memory in MiB)")


class HonestClient:
    """A process of its own that puts, one after the other, on one connection."""

    def __init__(self, port: int):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=clean_environment() | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")})

    def report(self) -> dict[str, float | int | list[str]]:
        """Since the last report. Waits for the put under way."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PUT_SECONDS_MAX)[0]:
            return {"puts": 0, "slowest": PUT_SECONDS_MAX, "errors": ["a put without an answer"]}
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Subject:
    def __init__(self, node: Node):
        assert node.process is not None
        self.node = node
        self.port = node.client_port
        self.pid = node.process.pid
        self.has_unread = False  # the large value that nobody reads
        self.client = HonestClient(self.port)
        self.client.report()

    def end(self) -> None:
        self.client.end()

    def alive(self) -> bool:
        assert self.node.process is not None
        return self.node.process.poll() is None

    def memory(self, name: str) -> int:
        """VmRSS now, or VmHWM: the highest since forget_peak()."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found.group(1)) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def sockets(self) -> int:
        count = 0
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                count += os.readlink(entry.path).startswith("socket:")
            except FileNotFoundError:
                pass
        return count

    def metric(self, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", self.node.get("/metrics")[2], re.MULTILINE)
        assert found is not None, name
        return float(found.group(1))

    def connect(self, hello: bytes = h2.HELLO) -> h2.Connection:
        return h2.Connection(self.port, hello)

    def run(self, case: Case) -> Row:
        """One case, measured and judged."""
        sockets, before = self.sockets(), self.memory("VmRSS")
        self.forget_peak()
        begin = time.monotonic()
        row = Row(case, "")
        try:
            row.outcome = case.act(self)
        except (OSError, AssertionError) as error:
            row.problems.append(f"the case itself failed: {error!r}")
        row.seconds = time.monotonic() - begin
        if not self.alive():
            row.problems.append("the server ended")
            return row
        try:
            wait_until(lambda: self.sockets() <= sockets, SETTLE_SECONDS, "sockets are closed")
        except AssertionError:
            row.problems.append(f"{self.sockets() - sockets} sockets are still open")
        row.growth = self.memory("VmHWM") - before
        row.kept = self.memory("VmRSS") - before
        self.judge(row)
        return row

    def judge(self, row: Row) -> None:
        limit = (row.case.growth_mib * GROWTH_FACTOR + GROWTH_MORE) * MIB
        if row.growth > limit:
            row.problems.append(f"memory grew by {row.growth} bytes, limit {limit}")
        if not re.fullmatch(row.case.expect, row.outcome):
            row.problems.append(f"expected {row.case.expect!r}")
        honest = self.client.report()
        row.puts, row.slowest = honest["puts"], honest["slowest"]
        row.problems += honest["errors"]
        if row.puts == 0:
            row.problems.append("no put of the honest client went through")
        if row.slowest > PUT_SECONDS_MAX:
            row.problems.append(f"a put took {row.slowest:.1f} s")


def one_put(connection: h2.Connection, stream: int, key: bytes, value: bytes) -> str:
    """Puts and reads back; the reason when that did not work."""
    connection.send(h2.call(PUT_PATH, h2.put(key, value), stream))
    outcome = connection.outcome(stream, PUT_SECONDS_MAX)
    if outcome == "grpc 0":
        connection.send(h2.call(RANGE_PATH, h2.field(1, key), stream + 2))
        outcome = connection.outcome(stream + 2, PUT_SECONDS_MAX)
    if outcome != "grpc 0":
        return f"put: {outcome}"
    return "" if value in connection.body_of(stream + 2) else "another value was read"


def put_on_and_on(port: int) -> None:
    """The honest client: a line on stdin asks for a report."""
    report = {"puts": 0, "slowest": 0.0, "errors": []}
    connection, stream, count = h2.Connection(port), 1, 0
    while True:
        begin = time.monotonic()
        error = one_put(connection, stream, b"honest", f"value-{count}".encode())
        report["slowest"] = max(report["slowest"], time.monotonic() - begin)
        stream, count = stream + 4, count + 1
        if error:
            report["errors"].append(error)
            connection, stream = h2.Connection(port), 1
        else:
            report["puts"] += 1
        connection.frames.clear()
        # What was taken is credited again: the windows never end.
        connection.send(h2.frame(h2.WINDOW_UPDATE, payload=h2.u32(1 << 14)))
        if select.select([sys.stdin], [], [], PUT_PAUSE)[0]:
            if not sys.stdin.readline():
                return
            print(json.dumps(report), flush=True)
            report = {"puts": 0, "slowest": 0.0, "errors": []}


if __name__ == "__main__":
    put_on_and_on(int(sys.argv[1]))
