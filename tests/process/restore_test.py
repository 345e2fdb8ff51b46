"""Snapshots as users have them: saved from a member under load, looked at, and restored into a new
cluster; readers that are slow, leave or are late; restores that are killed on the way."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
from pathlib import Path

from cairnd_test import CAIRN, Base, Writer, cairn, leads, metric
from nodes import CAIRND, Cluster, Node, clean_environment, run_to_end, wait_until
from snapshot_test import hash_of, put_large

SAVE_SECONDS = 60
HELD_BYTES = 2 * 1024 * 1024
LARGE_VALUES = 10  # of 1 MiB each
KILLS = 5
EXIT_ERROR, EXIT_INTERRUPTED = 1, 5

# What a shell without job control starts in the background ignores SIGINT, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)


class HeldProxy:
    """Passes bytes on, but of the server's only so many until it is let go; then none, or so many a
    second."""

    def __init__(self, node: Node, drip: int = 0):
        self.drip = drip
        self.go_on = threading.Event()
        self.node = node
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", self.node.client_port))
        threading.Thread(target=self.pass_on, args=(client, server, None), daemon=True).start()
        self.pass_on(server, client, HELD_BYTES)

    def pass_on(self, source: socket.socket, target: socket.socket, until: int | None) -> None:
        passed = 0
        try:
            while data := source.recv(self.size_of_next(passed, until)):
                target.sendall(data)
                passed += len(data)
        except OSError:
            pass
        for one in (source, target):
            one.close()

    def size_of_next(self, passed: int, until: int | None) -> int:
        if until is None or passed < until or self.go_on.wait(1 if self.drip else None):
            return 65536
        return self.drip

    def close(self) -> None:
        self.go_on.set()
        self.listener.close()


class Snapshots(Base):
    def setUp(self) -> None:
        super().setUp()
        self.file = f"{self.folder}/backup.snap"

    def cairn_ok(self, *arguments: str) -> str:
        done = subprocess.run([CAIRN, *arguments], text=True, check=False, capture_output=True,
                              env=clean_environment(), timeout=SAVE_SECONDS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def save(self, node: Node) -> None:
        before = self.parts()
        said = self.cairn_ok("--endpoints", node.endpoint, "snapshot", "save", self.file)
        self.assertEqual(said, f"Snapshot saved at {self.file}\n")
        self.assertEqual(self.parts(), before)

    def parts(self) -> list[Path]:
        """Of saves that are under way, or were killed."""
        return list(Path(self.file).parent.glob("*.part"))

    def status(self) -> dict[str, int]:
        return json.loads(self.cairn_ok("snapshot", "status", self.file, "-w", "json"))

    def new_node(self, name: str) -> Node:
        node = self.node(name)
        node.data = f"{self.folder}/{name}.restored"
        return node

    def restore(self, node: Node, members: str, *more: str) -> str:
        return self.cairn_ok(
            "snapshot", "restore", self.file, "--name", node.name, "--data-dir", node.data,
            "--initial-cluster", members, "--initial-advertise-peer-urls", node.peer_url, *more)

    def members_of(self, endpoint: str) -> list[dict[str, object]]:
        return json.loads(self.cairn_ok("--endpoints", endpoint, "member", "list", "-w",
                                        "json"))["members"]

    def cluster_id_of(self, endpoint: str) -> int:
        return json.loads(self.cairn_ok("--endpoints", endpoint, "member", "list", "-w",
                                        "json"))["header"]["cluster_id"]


class Backup(Snapshots):
    """From a follower of three, under writes, into three new members."""

    def test_from_three_into_three(self) -> None:
        cluster = self.cluster(3)
        cluster.__enter__()
        for number in range(50):
            self.put(cluster.endpoints, f"key/{number:03}", f"value {number}")
        self.put(cluster.endpoints, "key/000", "again")
        wait_until(lambda: any(map(leads, cluster.nodes)), 30, "somebody leads")
        follower = next(node for node in cluster.nodes if not leads(node))
        writer = Writer(cluster.endpoints)
        self.save(follower)
        writes, errors = writer.stop()
        self.assertEqual(errors, [])
        self.assertGreater(writes, 0)
        status = self.status()
        revision = status["revision"]
        self.assertGreaterEqual(revision, 52)
        self.assertIn(status["totalKey"], (50, 51))  # the writer's one key, once it is there
        self.assertEqual(status["totalSize"], os.path.getsize(self.file))
        self.check_formats(status)
        before = hash_of(follower, revision)
        self.assertEqual(before[0], str(status["hash"]))
        old_members = self.members_of(follower.endpoint)
        old_cluster = self.cluster_id_of(follower.endpoint)

        new = [self.new_node(f"m{number}") for number in range(3)]
        members = ",".join(f"{node.name}={node.peer_url}" for node in new)
        said = [self.restore(node, members) for node in new]
        ids = [re.search(r"^Restored revision (\d+) into (\S+): member (\w+) of cluster (\w+)$",
                         line, re.M) for line in said]
        self.assertEqual({found[1] for found in ids}, {str(revision)})
        self.assertEqual(len({found[3] for found in ids}), 3)
        self.assertEqual(len({found[4] for found in ids}), 1)
        for node in new:
            node.start()
        for node in new:
            node.wait_until_it_serves()
        for node in new:
            self.assertEqual(hash_of(node, revision)[0], before[0], node.name)
        listed = self.members_of(new[0].endpoint)
        self.assertEqual({member["name"] for member in listed}, {"m0", "m1", "m2"})
        self.assertFalse({member["ID"] for member in listed} &
                         {member["ID"] for member in old_members})
        self.assertNotEqual(self.cluster_id_of(new[0].endpoint), old_cluster)
        # A cluster like any other: it writes on, and outlives a restart of its members.
        everybody = ",".join(node.endpoint for node in new)
        self.check_value(everybody, "key/000", "again")
        self.put(everybody, "key/000", "new life")
        self.assertEqual(new[0].end(), 0)
        new[0].start()
        new[0].wait_until_it_serves()
        self.check_value(new[0].endpoint, "key/000", "new life")
        # The old one has not heard of it.
        self.check_value(cluster.endpoints, "key/000", "again")

    def check_formats(self, status: dict[str, int]) -> None:
        simple = self.cairn_ok("snapshot", "status", self.file)
        start = f"{status['hash']:x}, {status['revision']}, {status['totalKey']}, "
        self.assertTrue(simple.startswith(start), simple)
        table = self.cairn_ok("snapshot", "status", self.file, "-w", "table")
        self.assertIn("|   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE |", table)
        fields = self.cairn_ok("snapshot", "status", self.file, "-w", "fields")
        self.assertEqual(fields, f'"Hash" : {status["hash"]}\n"Revision" : {status["revision"]}\n'
                                 f'"Keys" : {status["totalKey"]}\n"Size" : {status["totalSize"]}\n')


class OfLoneMember(Snapshots):
    """Of one node, which all tests of a class share."""

    lone: Node

    @classmethod
    def setUpClass(cls) -> None:
        cluster = Cluster(1)
        cls.addClassCleanup(cluster.__exit__)
        cluster.__enter__()
        cls.lone = cluster.nodes[0]
        for number in range(LARGE_VALUES):
            put_large(cls.lone.endpoint, f"large/{number:03}", number)

    def wait_until_nothing_is_left(self, seconds: float = 30) -> None:
        wait_until(lambda: metric(self.lone, "cairn_client_snapshots") == 0, seconds,
                   "no call is open")
        kept = Path(self.lone.data, "snap")
        wait_until(lambda: not kept.exists() or not list(kept.iterdir()), 30, "no files are kept")

    def begin_held_save(self, *more: str, drip: int = 0) -> tuple[HeldProxy, subprocess.Popen[str]]:
        """A save that has come to a part of the file, and goes no further, or hardly."""
        proxy = HeldProxy(self.lone, drip)
        self.addCleanup(proxy.close)
        process = subprocess.Popen(
            [CAIRN, "--endpoints", proxy.endpoint, "--keepalive-timeout=60s", *more, "snapshot",
             "save", self.file],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
        self.addCleanup(process.kill)
        wait_until(lambda: any(part.stat().st_size > HELD_BYTES / 2 for part in self.parts()), 30,
                   "a part of the file is there")
        return proxy, process


class LoneMember(OfLoneMember):
    def test_a_slow_reader_holds_up_nobody(self) -> None:
        sent = metric(self.lone, "cairn_client_snapshot_bytes_total")
        proxy, process = self.begin_held_save()
        self.assertEqual(metric(self.lone, "cairn_client_snapshots"), 1)
        for number in range(20):
            self.put(self.lone.endpoint, "beside", str(number))
        # What waits for the reader is bounded, not the snapshot.
        self.assertLess(metric(self.lone, "cairn_response_bytes"), 2 * 1024 * 1024)
        self.assertFalse(os.path.exists(self.file))
        proxy.go_on.set()
        out, error = process.communicate(timeout=SAVE_SECONDS)
        self.assertEqual((process.returncode, error), (0, ""))
        self.assertEqual(out, f"Snapshot saved at {self.file}\n")
        self.assertGreater(metric(self.lone, "cairn_client_snapshot_bytes_total") - sent,
                           os.path.getsize(self.file) - 1)
        self.assertGreater(os.path.getsize(self.file), LARGE_VALUES * 1024 * 1024 / 2)
        self.assertEqual(self.status()["totalSize"], os.path.getsize(self.file))
        self.wait_until_nothing_is_left()

    def test_a_reader_that_leaves(self) -> None:
        _, process = self.begin_held_save()
        process.kill()
        process.communicate()
        self.wait_until_nothing_is_left()
        self.assertFalse(os.path.exists(self.file))
        # What it left is no obstacle.
        self.save(self.lone)
        self.status()

    def test_an_interrupted_save(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            _, process = self.begin_held_save()
            process.send_signal(told)
            process.communicate(timeout=SAVE_SECONDS)
            self.assertEqual(process.returncode, -told)
            self.assertEqual(os.listdir(self.folder), [])
        self.wait_until_nothing_is_left()

    def test_a_save_that_ignores_hangups(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        proxy, process = self.begin_held_save()
        process.send_signal(signal.SIGHUP)
        proxy.go_on.set()
        process.communicate(timeout=SAVE_SECONDS)
        self.assertEqual(process.returncode, 0)
        self.status()

    def test_an_interrupted_restore(self) -> None:
        self.save(self.lone)
        node = self.new_node("m")
        seed = random.SystemRandom().randrange(1 << 32)
        draw = random.Random(seed)
        for command, whole in ((["status"], None),
                               (["restore", "--data-dir", node.data], Path(node.data))):
            begin = time.monotonic()
            self.cairn_ok("snapshot", *command[:1], self.file, *command[1:])
            took = time.monotonic() - begin
            made = set() if whole is None else set(os.listdir(whole))
            told = 0
            for _ in range(KILLS):
                shutil.rmtree(node.data, ignore_errors=True)
                process = subprocess.Popen([CAIRN, "snapshot", *command[:1], self.file,
                                            *command[1:]], env=clean_environment(),
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(draw.uniform(0, took))
                process.send_signal(signal.SIGTERM)
                self.assertIn(process.wait(), (0, -signal.SIGTERM))
                told += process.returncode != 0
                left = set(os.listdir(self.folder)) - {"backup.snap"}
                if whole is not None:
                    left.discard(whole.name)
                    found = set(os.listdir(whole)) if whole.exists() else set()
                    # Too late to be caught, it ends the process with all done.
                    if found != made:
                        self.assertNotEqual(process.returncode, 0)
                        self.assertIn(found, (set(), {"LOCK", "RESTORING"}))
                self.assertEqual(left, set())
            print(f"{command[0]}: interrupted {told} of {KILLS} times (seed {seed})", flush=True)

    def test_a_deadline(self) -> None:
        _, process = self.begin_held_save("--command-timeout=3s")
        _, error = process.communicate(timeout=SAVE_SECONDS)
        self.assertEqual(process.returncode, EXIT_INTERRUPTED)
        self.assertIn("context deadline exceeded", error)
        self.assertEqual(os.listdir(self.folder), [])
        self.wait_until_nothing_is_left()

    def test_a_server_that_stops(self) -> None:
        proxy, process = self.begin_held_save("--keepalive-timeout=1s")
        assert self.lone.process is not None
        self.lone.process.send_signal(signal.SIGSTOP)
        try:
            proxy.go_on.set()
            _, error = process.communicate(timeout=SAVE_SECONDS)
        finally:
            self.lone.process.send_signal(signal.SIGCONT)
        self.assertEqual(process.returncode, EXIT_INTERRUPTED)
        self.assertIn("the server says nothing any more", error)
        self.assertEqual(os.listdir(self.folder), [])
        self.wait_until_nothing_is_left()

    def test_what_save_refuses(self) -> None:
        for endpoints, code, text in (
                ("127.0.0.1:1,127.0.0.1:2", EXIT_INTERRUPTED,
                 "snapshot must be requested to one selected node, not multiple "
                 "[127.0.0.1:1 127.0.0.1:2]"),
                ("127.0.0.1:1", EXIT_INTERRUPTED, "connection refused")):
            done = cairn(endpoints, "snapshot", "save", self.file)
            self.assertEqual(done.returncode, code)
            self.assertIn(text, done.stderr)
        done = cairn(self.lone.endpoint, "snapshot", "save", f"{self.folder}/no/such/folder")
        self.assertEqual(done.returncode, EXIT_INTERRUPTED)
        self.assertIn("No such file or directory", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_damaged_files(self) -> None:
        self.save(self.lone)
        whole = Path(self.file).read_bytes()
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        begun = 0
        for content, text in ((whole[:-1], "cut short"), (whole[:1000], "cut short"),
                              (bytes(damaged), "damaged"), (b"", "an empty file"),
                              (whole + b"x", "longer than it was"),
                              (b"anything else", "not a snapshot of cairn")):
            Path(self.file).write_bytes(content)
            node = self.new_node("m")
            for command in (("status",), ("restore", "--data-dir", node.data)):
                done = cairn("", "snapshot", command[0], self.file, *command[1:])
                self.assertEqual((done.returncode, done.stdout), (EXIT_ERROR, ""))
                self.assertIn(text, done.stderr)
            if os.path.exists(node.data):
                begun += 1
                done = run_to_end(*node.flags())
                self.assertEqual(done.returncode, EXIT_ERROR)
                self.assertIn("was cut off here: run it again", done.stderr)
                shutil.rmtree(node.data)
        self.assertGreater(begun, 0)
        self.assertEqual(os.listdir(self.folder), ["backup.snap"])

    def test_bumped_revision(self) -> None:
        self.save(self.lone)
        revision = self.status()["revision"]
        node = self.new_node("m")
        alone = f"m={node.peer_url}"
        for more, text in ((["--bump-revision", "5"], "--mark-compacted is required"),
                           (["--mark-compacted"], "--mark-compacted needs --bump-revision"),
                           (["--bump-revision", "-1"], "must not be negative")):
            done = cairn("", "snapshot", "restore", self.file, "--data-dir", node.data, *more)
            self.assertIn(text, done.stderr)
        self.restore(node, alone, "--bump-revision", "1000000", "--mark-compacted")
        # Nobody restores over it.
        done = cairn("", "snapshot", "restore", self.file, "--data-dir", node.data, "--name", "m",
                     "--initial-cluster", alone, "--initial-advertise-peer-urls", node.peer_url)
        self.assertEqual(done.returncode, EXIT_ERROR)
        self.assertIn("not empty", done.stderr)
        node.more = [f"--initial-cluster={alone}"]
        node.start()
        node.wait_until_it_serves()
        now = int(metric(node, "etcd_debugging_mvcc_current_revision"))
        self.assertEqual(now, revision + 1_000_000)
        for old in (revision, revision + 1, now - 1):
            done = cairn(node.endpoint, "get", "--rev", str(old), "large/000", "--keys-only")
            self.assertIn("mvcc: required revision has been compacted", done.stderr)
        done = cairn(node.endpoint, "get", "large/", "--prefix", "--keys-only", "--rev", str(now))
        self.assertEqual(done.stdout.count("large/"), LARGE_VALUES)
        self.put(node.endpoint, "after", "1")

    def test_a_restore_that_is_killed(self) -> None:
        self.save(self.lone)
        node = self.new_node("m")
        alone = f"m={node.peer_url}"
        command = [CAIRN, "snapshot", "restore", self.file, "--name", "m", "--data-dir", node.data,
                   "--initial-cluster", alone, "--initial-advertise-peer-urls", node.peer_url]
        begin = time.monotonic()
        self.restore(node, alone)
        whole = time.monotonic() - begin
        shutil.rmtree(node.data)
        cut_off = 0
        seed = random.SystemRandom().randrange(1 << 32)
        draw = random.Random(seed)
        for _ in range(KILLS):
            process = subprocess.Popen(command, env=clean_environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(draw.uniform(0, whole))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if Path(node.data, "IDENTITY").exists():
                shutil.rmtree(node.data)
            elif Path(node.data, "db").exists():
                cut_off += 1
                done = run_to_end(*node.flags())
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("was cut off here", done.stderr)
        print(f"cut off {cut_off} of {KILLS} times (seed {seed})", flush=True)
        self.restore(node, alone)
        node.more = [f"--initial-cluster={alone}"]
        node.start()
        node.wait_until_it_serves()
        self.check_value(node.endpoint, "large/000", self.value_of("large/000"))

    def value_of(self, key: str) -> str:
        return self.cairn_ok("--endpoints", self.lone.endpoint, "get", "--print-value-only",
                             key).removesuffix("\n")


if __name__ == "__main__":
    if not (CAIRND and CAIRN):
        raise SystemExit("CAIRND and CAIRN must name the programs")
    unittest.main()
