"""Hostile clients and strangers against a real cairnd: each gets a proper error or a closed
connection, and whoever is honest is served meanwhile. Prints what each case cost.

hostile_test.py [--only REGEX]: the cases whose names match. With --etcd CAIRND is a real etcd, and
its answers are held against what the cases say of etcd.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import signal
import sys
import time
from collections.abc import Callable

import flood_cases
import h2
from call_cases import BODY_CASES, HEAD_CASES
from frame_cases import FRAME_CASES, GARBAGE_CASES, HPACK_CASES, PREFACE_CASES, SEED
from nodes import Cluster, Node, wait_until
from peer_cases import Peers
from subject import HEADING, PUT_SECONDS_MAX, Case, Row, Subject

CLIENT_CASES = [*PREFACE_CASES, *FRAME_CASES, *HPACK_CASES, *HEAD_CASES, *BODY_CASES,
                *GARBAGE_CASES, *flood_cases.FLOOD_CASES, *flood_cases.MEMORY_CASES,
                *flood_cases.SLOW_CASES]
# In the environment of a server under AddressSanitizer: freed memory is not kept for long.
ASAN_OPTIONS = "quarantine_size_mb=8:malloc_context_size=4"


def run_all(subject: Subject, cases: list[Case]) -> list[Row]:
    rows = []
    for case in cases:
        rows.append(subject.run(case))
        print(rows[-1].line(), flush=True)
        for problem in rows[-1].problems:
            print(f"       {problem}", flush=True)
        if not subject.alive():
            print(subject.node.log()[-8000:])
            break
    return rows


# What a process that was told to end may end with.
ORDERLY = {0}


def with_cluster(size: int, work: Callable[[Cluster], list[Row]]) -> list[Row]:
    """Whatever was done to the nodes, those that still run must end in order (and under
    AddressSanitizer without leaks)."""
    cluster = Cluster(size)
    for node in cluster.nodes:
        node.environment["ASAN_OPTIONS"] = f"{os.environ.get('ASAN_OPTIONS', '')}:{ASAN_OPTIONS}"
    with cluster:
        rows = work(cluster)
        for node in cluster.nodes:
            running = node.process is not None and node.process.poll() is None
            if running and node.end() not in ORDERLY:
                rows[-1].problems.append(f"{node.name} did not end in order:\n{node.log()[-4000:]}")
    return rows


def against(node: Node, cases: list[Case]) -> list[Row]:
    subject = Subject(node)
    try:
        return run_all(subject, cases)
    finally:
        subject.end()


def against_clients(cases: list[Case]) -> list[Row]:
    together = [case for case in cases if not case.alone]
    rows = with_cluster(1, lambda cluster: against(cluster.nodes[0], together))
    for case in cases:
        if case.alone:
            rows += with_cluster(1, lambda cluster, one=case: against(cluster.nodes[0], [one]))
    return rows


def against_peers(cluster: Cluster, only: str) -> list[Row]:
    peers = Peers(cluster)
    rows = against(peers.node, matching(peers.stranger_cases(), only))
    second = cluster.nodes[1].process
    assert second is not None
    second.send_signal(signal.SIGSTOP)
    wait_until(peers.node.serves, 20, "two of three serve")
    rows += against(peers.node, matching(peers.liar_cases(), only))
    second.send_signal(signal.SIGCONT)
    wait_until(cluster.nodes[1].serves, 20, "the third serves again")
    return rows


def matching(cases: list[Case], only: str) -> list[Case]:
    return [case for case in cases if re.search(only, case.name)]


# --- Would it be noticed? Harm that is really done, and the word of the judgement on it. ---


def keep_connections(subject: Subject) -> str:
    for _ in range(5):
        kept.append(subject.connect())
        kept[-1].send(h2.frame(h2.PING, 0, 0, bytes(8)))
        kept[-1].read_until(lambda: kept[-1].count(h2.PING) > 0)
    return "kept"


kept: list[h2.Connection] = []


def stop_for_a_while(subject: Subject) -> str:
    subject.node.process.send_signal(signal.SIGSTOP)
    time.sleep(PUT_SECONDS_MAX + 0.5)
    subject.node.process.send_signal(signal.SIGCONT)
    return "stopped"


def kill(subject: Subject) -> str:
    subject.node.process.send_signal(signal.SIGKILL)
    subject.node.process.wait()
    return "killed"


def on_a_stopped_server(case: Case) -> Case:
    """A server that stands still gives none of the answers that the case is about."""

    def act(subject: Subject) -> str:
        flood_cases.fill_unread(subject)
        subject.node.process.send_signal(signal.SIGSTOP)
        try:
            return case.act(subject)
        finally:
            subject.node.process.send_signal(signal.SIGCONT)

    return dataclasses.replace(case, name=f"control: {case.name}, stopped", act=act)


def client_case(name: str) -> Case:
    return next(case for case in CLIENT_CASES if case.name == name)


CONTROLS = [
    (Case("control: another answer", lambda _: "this", "that"), "expected 'that'"),
    (Case("control: sockets kept", keep_connections, "kept"), "5 sockets are still open"),
    (dataclasses.replace(flood_cases.MEMORY_CASES[1], name="control: memory grown", growth_mib=16),
     "memory grew by"),
    (Case("control: nobody served", stop_for_a_while, "stopped"), "a put took|a put without"),
    *((on_a_stopped_server(client_case(name)), "expected")
      for name in ("frames of an unknown kind", "zero window", "unread socket",
                   "windows of one byte")),
    (Case("control: the server killed", kill, "killed"), "the server ended"),
]


def controls(cluster: Cluster) -> list[Row]:
    """A control that was noticed has no problem, and one that was not has."""
    subject = Subject(cluster.nodes[0])
    rows = []
    for case, word in CONTROLS:
        row = subject.run(case)
        noticed = [problem for problem in row.problems if re.search(word, problem)]
        print(f"{'ok' if noticed else 'FAIL':4} {case.name}: {noticed or 'not noticed'}")
        row.problems = [] if noticed else ["not noticed"]
        rows.append(row)
    subject.end()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--etcd", action="store_true")
    options = parser.parse_args()
    cases = matching(CLIENT_CASES, options.only)
    if options.etcd:
        ORDERLY.add(-signal.SIGTERM)
        cases = [dataclasses.replace(case, expect=case.etcd or case.expect, growth_mib=1 << 20)
                 for case in cases]
    print(f"CAIRN_SEED={SEED}")
    print(HEADING)
    rows = against_clients(cases)
    if not options.etcd:
        rows += with_cluster(3, lambda cluster: against_peers(cluster, options.only))
    if not options.etcd and not options.only:
        print("What the judgement must notice:")
        rows += with_cluster(1, controls)
    problems = [f"{row.case.name}: {problem}" for row in rows for problem in row.problems]
    print(f"{len(rows)} cases, {len(problems)} problems", *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
