"""A member that lacks what the log no longer holds catches up by a snapshot, whoever is killed on
the way, while writes go on."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from cairnd_test import CAIRN, Base, Writer, leads, metric
from nodes import CAIRND, Cluster, Node, clean_environment, wait_until

LOG_BYTES_MAX = 1024 * 1024
VALUE_BYTES = 1024 * 1024
VALUES = 16
SLOW_RATE = 2 * 1024 * 1024  # a second: the snapshot travels for some seconds
SLOWEST_RATE = 32 * 1024  # a second: building one takes two minutes
CATCH_UP_SECONDS = 90
ALPHABET = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"


def put_large(endpoints: str, key: str, seed: int) -> None:
    """A value that hardly compresses."""
    value = bytes(ALPHABET[byte % 64] for byte in random.Random(seed).randbytes(VALUE_BYTES))
    subprocess.run([CAIRN, "--endpoints", endpoints, "put", key], input=value, check=True,
                   env=clean_environment(), timeout=60, stdout=subprocess.DEVNULL)


def quiet_metric(node: Node, name: str) -> float:
    """-1 while the node does not answer."""
    try:
        return metric(node, name)
    except OSError:
        return -1


def hash_of(node: Node, revision: int) -> list[str]:
    done = subprocess.run(
        [CAIRN, "--endpoints", node.endpoint, "endpoint", "hashkv", "--rev", str(revision)],
        text=True, capture_output=True, check=True, env=clean_environment(), timeout=60)
    return [field.strip() for field in done.stdout.split(",")][1:]


class CatchUp(Base):
    def begin(self, rate: int) -> tuple[Cluster, Node]:
        """Three nodes that serve; one of them, no leader, is stopped, and what it lacks is gone
        from the log of the others."""
        cluster = Cluster(3, [f"--experimental-log-bytes-max={LOG_BYTES_MAX}",
                              f"--experimental-snapshot-rate-bytes={rate}"])
        self.addCleanup(cluster.__exit__)
        cluster.__enter__()
        self.put(cluster.endpoints, "before", "1")
        wait_until(lambda: any(map(leads, cluster.nodes)), 30, "somebody leads")
        away = next(node for node in cluster.nodes if not leads(node))
        seen = metric(away, "cairn_raft_last_index")
        self.assertEqual(away.end(), 0)
        others = [node for node in cluster.nodes if node is not away]
        for number in range(VALUES):
            put_large(",".join(node.endpoint for node in others), f"large/{number:03}", number)
        for node in others:
            wait_until(lambda: metric(node, "cairn_raft_floor_index") > seen + 1, 30,
                       f"{node.name} has dropped what {away.name} lacks")
        return cluster, away

    def check_equal(self, cluster: Cluster) -> None:
        """All have applied the same, and their data are equal."""
        def applied() -> set[float]:
            return {quiet_metric(node, "etcd_server_proposals_applied_total")
                    for node in cluster.nodes}
        wait_until(lambda: len(applied()) == 1, CATCH_UP_SECONDS, "all have applied the same")
        revision = int(metric(cluster.nodes[0], "etcd_debugging_mvcc_current_revision"))
        self.assertGreater(revision, VALUES)
        hashes = [hash_of(node, revision) for node in cluster.nodes]
        for other in hashes[1:]:
            self.assertEqual(hashes[0], other)

    def engines_of(self, node: Node) -> list[str]:
        return sorted(path.name for path in Path(node.data).glob("db*"))

    def wait_for_half(self, node: Node) -> None:
        def received() -> bool:
            self.assertNotEqual(quiet_metric(node, "etcd_network_snapshot_receive_success"), 1,
                                "it was too fast to be interrupted")
            return quiet_metric(node, "cairn_snapshot_received_bytes_total") > 3 * 1024 * 1024
        wait_until(received, CATCH_UP_SECONDS, f"{node.name} has received a part")

    def wait_for_catch_up(self, node: Node, check: Callable[[], None] = lambda: None) -> None:
        def installed() -> bool:
            check()
            return quiet_metric(node, "etcd_network_snapshot_receive_success") >= 1
        wait_until(installed, CATCH_UP_SECONDS, f"{node.name} has installed a snapshot")

    def test_while_writes_go_on(self) -> None:
        cluster, away = self.begin(rate=SLOW_RATE)
        others = [node for node in cluster.nodes if node is not away]
        leader = next(filter(leads, others))
        changes = metric(leader, "etcd_server_leader_changes_seen_total")
        writer = Writer(",".join(node.endpoint for node in others))
        begin = time.monotonic()
        away.start()
        self.wait_for_catch_up(away)
        took = time.monotonic() - begin
        writes, errors = writer.stop()
        print(f"caught up in {took:.1f} s, {writes} writes meanwhile", flush=True)
        self.assertEqual(errors, [])
        self.assertGreater(writes, 0)
        self.check_equal(cluster)
        self.check_value(away.endpoint, "written", str(writes))
        self.assertGreater(metric(leader, "cairn_snapshot_sent_bytes_total"),
                           VALUES * VALUE_BYTES / 2)
        self.assertEqual(metric(leader, "etcd_network_snapshot_send_success"), 1)
        # Nothing of it held up the heartbeats.
        self.assertEqual(metric(leader, "etcd_server_leader_changes_seen_total"), changes)
        # What it had before is gone, without a restart, and without another write.
        wait_until(lambda: len(self.engines_of(away)) == 1, 20,
                   f"{away.name} has one engine, not {self.engines_of(away)}")
        # It is a state to start from, too.
        self.assertEqual(away.end(), 0)
        away.start()
        away.wait_until_it_serves()
        self.check_equal(cluster)
        self.assertEqual(metric(away, "etcd_network_snapshot_receive_success"), 0)

    def test_the_log_tells_what_the_disk_said(self) -> None:
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            self.put(cluster.endpoints, "k", "v")
            in_the_way = Path(node.data) / "snap"
            in_the_way.write_text("")
            saved = Path(node.data).with_suffix(".snapshot")
            save = [CAIRN, "--endpoints", node.endpoint, "snapshot", "save", str(saved)]
            failed = subprocess.run(save, text=True, capture_output=True, check=False,
                                    env=clean_environment(), timeout=60)
            self.assertNotEqual(failed.returncode, 0)
            self.assertIn("cairn: storage error", failed.stderr)
            self.assertFalse(saved.exists())
            self.assertRegex(node.log(), r"snapshot work failed reason=Io "
                                         rf"error=.*{re.escape(str(in_the_way))}")
            in_the_way.unlink()
            subprocess.run(save, check=True, capture_output=True, env=clean_environment(),
                           timeout=60)
            self.assertTrue(saved.exists())

    def test_the_size_behind_a_snapshot(self) -> None:
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            for number in range(3):
                put_large(cluster.endpoints, f"large/{number}", number)
            saved = Path(node.data).with_suffix(".snapshot")
            command = [CAIRN, "--endpoints", node.endpoint]
            subprocess.run([*command, "snapshot", "save", str(saved)], check=True,
                           capture_output=True, env=clean_environment(), timeout=60)
            told = subprocess.run([*command, "endpoint", "status", "-w", "json"], check=True,
                                  capture_output=True, env=clean_environment(), timeout=60)
            size = json.loads(told.stdout)[0]["Status"]["dbSize"]
            tables = sum(path.stat().st_size for path in Path(node.data, "db").glob("*.sst"))
            self.assertGreater(tables, VALUE_BYTES)
            self.assertLess(abs(size - tables), tables / 10)

    def test_the_receivers_log_tells_what_its_disk_said(self) -> None:
        cluster, away = self.begin(rate=SLOW_RATE // 2)
        in_the_way = Path(away.data) / "snap"
        away.start()
        # Building takes the others seconds, so nothing is there yet.
        wait_until(lambda: quiet_metric(away, "cairn_raft_last_index") >= 0, 30, "it has started")
        in_the_way.write_text("")
        told = rf"snapshot work failed reason=Io error=.*{re.escape(str(in_the_way))}"
        wait_until(lambda: re.search(told, away.log()), 30, "the receiver tells the cause")
        wait_until(lambda: "snapshot not received" in away.log(), 30, "it gives up")
        in_the_way.unlink()
        self.wait_for_catch_up(away)
        self.check_equal(cluster)

    def test_a_new_member(self) -> None:
        """What it would have to read from the log is gone, even who the others are."""
        cluster = Cluster(1, [f"--experimental-log-bytes-max={LOG_BYTES_MAX}"])
        self.addCleanup(cluster.__exit__)
        cluster.__enter__()
        first = cluster.nodes[0]
        for number in range(VALUES):
            put_large(first.endpoint, f"large/{number:03}", number)
        wait_until(lambda: metric(first, "cairn_raft_floor_index") > VALUES / 2, 30,
                   "the log begins with the data")
        new = Node(cluster.scratch.name, "new")
        cluster.nodes.append(new)
        answer = subprocess.run(
            [CAIRN, "--endpoints", first.endpoint, "member", "add", new.name,
             f"--peer-urls={new.peer_url}"],
            text=True, capture_output=True, check=True, env=clean_environment(), timeout=60).stdout
        members = re.search(r'^ETCD_INITIAL_CLUSTER="(.*)"$', answer, re.M)
        self.assertIsNotNone(members, answer)
        new.more = [f"--initial-cluster={members[1]}", "--initial-cluster-state=existing"]
        new.start()
        self.wait_for_catch_up(new)
        new.wait_until_it_serves()
        wait_until(lambda: metric(new, "cairn_voters") == 2, CATCH_UP_SECONDS, "it has its vote")
        self.assertEqual(metric(new, "cairn_peers_known"), 1)
        self.check_equal(cluster)
        # It is a state to start from, too.
        new.end(signal.SIGKILL)
        new.start()
        new.wait_until_it_serves()
        self.put(cluster.endpoints, "after", "2")
        self.check_equal(cluster)
        self.check_value(new.endpoint, "after", "2")

    def test_the_receiver_is_killed(self) -> None:
        cluster, away = self.begin(rate=SLOW_RATE)
        away.start()
        self.wait_for_half(away)
        away.end(signal.SIGKILL)
        away.start()
        self.wait_for_catch_up(away)
        resumed = re.search(r"receiving goes on.*bytes=(\d+)", away.log())
        self.assertIsNotNone(resumed, away.log())
        self.assertGreater(int(resumed[1]), 1024 * 1024)
        self.check_equal(cluster)
        # Right behind the installation, too.
        away.end(signal.SIGKILL)
        self.put(cluster.endpoints, "after", "2")
        away.start()
        away.wait_until_it_serves()
        self.check_equal(cluster)
        self.check_value(away.endpoint, "after", "2")

    def test_the_sender_is_killed(self) -> None:
        cluster, away = self.begin(rate=SLOW_RATE)
        leader = next(filter(leads, (node for node in cluster.nodes if node is not away)))
        away.start()
        self.wait_for_half(away)
        leader.end(signal.SIGKILL)
        self.wait_for_catch_up(away)
        self.put(",".join(node.endpoint for node in cluster.nodes if node is not leader), "after",
                 "2")
        leader.start()
        leader.wait_until_it_serves()
        self.check_equal(cluster)
        self.check_value(away.endpoint, "after", "2")

    def test_the_sender_is_stopped_while_it_builds(self) -> None:
        cluster, away = self.begin(rate=SLOWEST_RATE)
        leader = next(filter(leads, (node for node in cluster.nodes if node is not away)))
        away.start()
        wait_until(lambda: "snapshot is being built" in leader.log(), 30, "one is built")
        self.assertEqual(leader.end(), 0)
        self.assertNotIn("snapshot is being sent", leader.log())
        # Nothing half is left for the next start.
        leader.start()
        leader.wait_until_it_serves()
        if leader.log().count("snapshot is being built") == 1:  # it leads no more
            self.assertEqual(list(Path(leader.data).glob("snap/*")), [])


if __name__ == "__main__":
    if not (CAIRND and CAIRN):
        raise SystemExit("CAIRND and CAIRN must name the programs")
    unittest.main()
