"""cairnd as people start and stop it: alone, twice, with signals, flags and variables, and what it
serves beside gRPC."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h2
from nodes import (CAIRND, ELECTION_TIMEOUT, START_SECONDS, Cluster, Node, clean_environment,
                   run_to_end, wait_until)

CAIRN = os.environ.get("CAIRN", "")
EXIT_FAILURE, EXIT_USAGE = 1, 2
UP_TO_DATE = "up to date with the cluster, all reads are served"
HANDOVER_LIMIT = 0.8 * ELECTION_TIMEOUT  # no follower campaigns of itself before a whole one
STOP_LIMIT = 10.0


def cairn(endpoints: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CAIRN, "--endpoints", endpoints, *arguments], text=True, check=False,
                          capture_output=True, env=clean_environment(), timeout=30)


def metric(node: Node, name: str) -> float:
    for line in node.get("/metrics")[2].splitlines():
        if line.startswith(f"{name} "):
            return float(line.split(" ")[1])
    raise AssertionError(f"no metric {name}")


def leads(node: Node) -> bool:
    try:
        return metric(node, "etcd_server_is_leader") == 1
    except OSError:
        return False


def answers(node: Node, path: str) -> bool:
    try:
        return node.get(path)[0] == 200
    except OSError:
        return False


def kill(node: Node) -> None:
    if node.process is not None:
        node.end(signal.SIGKILL)


class Base(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="cairn-process-")
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def cluster(self, size: int) -> Cluster:
        cluster = Cluster(size)
        self.addCleanup(cluster.__exit__)
        return cluster

    def node(self, name: str = "default", more: list[str] | None = None) -> Node:
        node = Node(self.folder, name, more)
        self.addCleanup(kill, node)
        return node

    def put(self, endpoints: str, key: str, value: str) -> None:
        done = cairn(endpoints, "put", key, value)
        self.assertEqual((done.returncode, done.stdout), (0, "OK\n"), done.stderr)

    def check_value(self, endpoints: str, key: str, value: str) -> None:
        done = cairn(endpoints, "get", key)
        self.assertEqual((done.returncode, done.stdout), (0, f"{key}\n{value}\n"), done.stderr)


class LoneNode(Base):
    """Nothing given but the data directory and where to listen. One node for all tests."""

    lone: Node

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="cairn-process-")
        cls.addClassCleanup(scratch.cleanup)
        cls.lone = Node(scratch.name, "default")
        cls.addClassCleanup(kill, cls.lone)
        cls.lone.start()
        cls.lone.wait_until_it_serves()

    def test_restart(self) -> None:
        self.put(self.lone.endpoint, "k", "v")
        self.assertEqual(self.lone.end(), 0)
        self.lone.start()
        self.lone.wait_until_it_serves()
        self.check_value(self.lone.endpoint, "k", "v")
        self.lone.end(signal.SIGKILL)
        self.lone.start()
        self.lone.wait_until_it_serves()
        self.check_value(self.lone.endpoint, "k", "v")

    def test_second_process_on_the_same_data(self) -> None:
        second = self.node("second")
        second.data = self.lone.data
        done = run_to_end(*second.flags())
        self.assertEqual(done.returncode, EXIT_FAILURE)
        self.assertIn(self.lone.data, done.stderr)
        self.assertIn("another process", done.stderr)
        self.put(self.lone.endpoint, "k", "the first goes on")

    def test_port_in_use(self) -> None:
        second = self.node("second")
        second.client_port = self.lone.client_port
        done = run_to_end(*second.flags())
        self.assertEqual(done.returncode, EXIT_FAILURE)
        self.assertIn(str(self.lone.client_port), done.stderr)
        self.assertIn("Address already in use", done.stderr)

    def test_http(self) -> None:
        self.assertEqual(self.lone.get("/health")[::2], (200, '{"health":"true","reason":""}'))
        self.assertEqual(self.lone.get("/livez")[::2], (200, "ok\n"))
        self.assertEqual(self.lone.get("/readyz")[::2], (200, "ok\n"))
        self.assertEqual(self.lone.get("/livez?verbose")[::2],
                         (200, "[+]serializable_read ok\nok\n"))
        self.assertEqual(self.lone.get("/nothing")[0], 404)
        status, kind, body = self.lone.get("/version")
        self.assertEqual((status, kind), (200, "application/json"))
        version = json.loads(body)
        self.assertEqual((version["etcdserver"], version["etcdcluster"]), ("3.5.30", "3.5.0"))
        self.assertTrue(self.lone.get("/metrics")[1].startswith("text/plain"))
        self.assertEqual(metric(self.lone, "etcd_server_has_leader"), 1)
        self.assertEqual(metric(self.lone, "etcd_server_is_leader"), 1)

    def test_a_disk_too_slow_for_health(self) -> None:
        """What is asked of one session is waited for by nobody else, and alarms stay known."""
        raised = (503, '{"health":"false","reason":"ALARM NOSPACE"}\n')
        node = self.node("slow")
        sign = Path(f"{node.data}.slow")
        node.environment = {"LD_PRELOAD": os.environ["SLOW_READS"], "SLOW_READS_WHILE": str(sign)}
        node.start()
        node.wait_until_it_serves()
        with h2.Connection(node.client_port) as connection:
            activate_nospace = h2.field(1, 1) + h2.field(2, 1) + h2.field(3, 1)
            connection.send(h2.call("/etcdserverpb.Maintenance/Alarm", activate_nospace))
            self.assertEqual(connection.outcome(), "grpc 0")
        self.assertEqual(node.get("/health")[::2], raised)
        # Whoever is built a snapshot for has its tables written, which memory does not have.
        saved = cairn(node.endpoint, "snapshot", "save", f"{node.data}.snapshot")
        self.assertEqual(saved.returncode, 0, saved.stderr)
        sign.touch()
        begin = time.monotonic()
        with ThreadPoolExecutor() as threads:
            asked = [threads.submit(node.get, path) for path in
                     ("/livez", "/health?serializable=true", "/health?serializable=true",
                      "/readyz")]
            time.sleep(0.1)
            self.assertTrue(answers(node, "/version"))
            self.assertLess(time.monotonic() - begin, 1.0)
            live, health, again = (asked[number].result() for number in range(3))
            taken = time.monotonic() - begin
            ready = asked[3].result()  # waits for what is applied, which may wait for the disk
        sign.unlink()
        self.assertEqual((live[0], ready[0]), (200, 200))
        self.assertEqual(health[::2], raised)
        self.assertEqual(again[::2], raised)  # who asks meanwhile waits for the same reading
        self.assertGreater(taken, 0.4)  # memory did not have them
        self.assertLess(taken, 1.9)  # and the disk was not waited for

    def test_calls_that_end_with_their_connection(self) -> None:
        """They are handled, too, or what is under way would seem to grow for ever."""
        def total(kind: str) -> float:
            lines = self.lone.get("/metrics")[2].splitlines()
            return sum(float(line.split(" ")[-1]) for line in lines
                       if line.startswith(f"grpc_server_{kind}_total{{") and '"Compact"' in line)

        with h2.Connection(self.lone.client_port) as connection:
            connection.send(h2.headers_frame(h2.request("/etcdserverpb.KV/Compact")))
            wait_until(lambda: total("started") == 1, 5, "it has begun")
            self.assertEqual(total("handled"), 0)
        wait_until(lambda: total("handled") == 1, 5, "it has ended")

    def test_http_bodies(self) -> None:
        def answers(request: bytes, more: bytes = b"") -> bytes:
            with socket.create_connection(("127.0.0.1", self.lone.client_port), 5) as connection:
                connection.settimeout(5)
                connection.sendall(request)
                connection.sendall(more)
                got = b""
                while part := connection.recv(65536):
                    got += part
                return got

        def post(size: int, fields: str = "") -> bytes:
            return (f"POST /health HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n{fields}\r\n"
                    .encode())

        last = b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        with self.subTest("the answer to HEAD has no body, though its length"):
            got = answers(b"HEAD /health HTTP/1.1\r\nHost: h\r\n\r\n", last)
            self.assertRegex(got, rb"(?s)^HTTP/1.1 405 .*Content-Length: 19\r\n"
                                  rb"\r\nHTTP/1.1 200 OK.*\r\n\r\nok\n$")
        with self.subTest("a body is dropped, and the connection goes on"):
            got = answers(post(200_000) + 200_000 * b"x", last)
            self.assertTrue(got.startswith(b"HTTP/1.1 405 "), got[:80])
            self.assertIn(b"HTTP/1.1 200 ", got)
        with self.subTest("so is one in chunks"):
            chunked = (b"POST /health HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"5\r\nhello\r\n0\r\n\r\n")
            got = answers(chunked, last)
            self.assertTrue(got.startswith(b"HTTP/1.1 405 "), got[:80])
            self.assertIn(b"HTTP/1.1 200 ", got)
        with self.subTest("a long one ends the connection behind the answer"):
            got = answers(post(400_000) + 400_000 * b"x", last)
            self.assertTrue(got.startswith(b"HTTP/1.1 405 "), got[:80])
            self.assertIn(b"Connection: close", got)
            self.assertNotIn(b"HTTP/1.1 200 ", got)
        with self.subTest("one that is not sent before it is asked for is not waited for"):
            got = answers(post(10, "Expect: 100-continue\r\n"))
            self.assertTrue(got.startswith(b"HTTP/1.1 405 "), got[:80])
            self.assertIn(b"Connection: close", got)

    def test_goaway_is_seen_behind_a_flood(self) -> None:
        ping = b"\0\0\x08\x06\0\0\0\0\0" + b"pingping"
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", self.lone.client_port), 5) as connection:
                connection.settimeout(5)
                got = b""
                try:
                    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                    # More than it reads after it has had enough of them.
                    connection.sendall(60_000 * ping)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                try:
                    while part := connection.recv(65536):
                        got += part
                except OSError:
                    pass
                self.assertIn(b"too_many", got[-100:])

    def test_standard_error_that_takes_nothing(self) -> None:
        """As when it goes to the disk that is full: the exit status says the same."""
        codes = []
        for path in (os.devnull, "/dev/full"):
            with open(path, "w", encoding="utf-8") as stderr:
                codes.append(subprocess.run([CAIRND, "--no-such-flag"], stderr=stderr,
                                            env=clean_environment(), check=False).returncode)
        self.assertEqual(codes[0], codes[1])
        self.assertGreater(codes[0], 0)

    def test_grpc_health(self) -> None:
        self.assertIsNotNone(shutil.which("curl"), "scripts/setup installs it")
        done = subprocess.run(
            ["curl", "--silent", "--http2-prior-knowledge", "--include",
             "--header", "content-type: application/grpc", "--header", "te: trailers",
             "--data-binary", "@-", f"http://{self.lone.endpoint}/grpc.health.v1.Health/Check"],
            input=bytes(5), capture_output=True, check=True, timeout=30)
        self.assertIn(b"\x00\x00\x00\x00\x02\x08\x01", done.stdout)  # SERVING
        self.assertIn(b"grpc-status: 0", done.stdout)


class Flags(Base):
    def test_unknown_flag(self) -> None:
        done = run_to_end("--no-such-flag=1")
        self.assertEqual(done.returncode, EXIT_USAGE)
        self.assertIn("no-such-flag", done.stderr)

    def test_flag_of_a_later_feature(self) -> None:
        done = run_to_end("--auto-compaction-retention=1h", cwd=self.folder)
        self.assertEqual(done.returncode, EXIT_USAGE)
        self.assertIn("--auto-compaction-retention=1h: not supported yet", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_data_directory_of_an_etcd(self) -> None:
        node = self.node("n")
        os.makedirs(f"{node.data}/member/wal")
        done = run_to_end(*node.flags())
        self.assertEqual(done.returncode, EXIT_FAILURE)
        self.assertIn(f"cairnd: {node.data}: this is etcd's data (member/)", done.stderr)
        self.assertEqual(os.listdir(node.data), ["member"])

    def test_help_and_version(self) -> None:
        done = run_to_end("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--initial-cluster-token", done.stdout)
        done = run_to_end("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"cairnd Version: \d+\.\d+\.\d+\netcd API Version: 3\.5\.30")

    def test_variables(self) -> None:
        """Flag before CAIRN_ before ETCD_, which alone names the data directory here."""
        node = self.node("by-flag")
        data_dir = f"{self.folder}/by-etcd.data"
        node.environment = {
            "CAIRN_NAME": "by-cairn", "ETCD_NAME": "by-etcd",
            "CAIRN_LOG_FORMAT": "json", "ETCD_LOG_FORMAT": "console",
            "ETCD_DATA_DIR": data_dir,
        }
        everything = node.flags()
        node.flags = lambda: [flag for flag in everything if not flag.startswith("--data-dir")]
        node.start()
        node.wait_until_it_serves()

        def name() -> str:
            listed = json.loads(cairn(node.endpoint, "member", "list", "-w", "json").stdout)
            return listed["members"][0].get("name", "")

        wait_until(lambda: name() != "", 30, "the member has published its name")
        self.assertEqual(name(), "by-flag")
        for line in node.log().splitlines():
            self.assertIsInstance(json.loads(line), dict)
        self.assertTrue(os.path.isdir(data_dir))


class Supervised(Base):
    """Started as by systemd with Type=notify."""

    def check_told(self, address: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(address.replace("@", "\0"))
            supervisor.settimeout(START_SECONDS)
            node = self.node()
            node.environment = {"NOTIFY_SOCKET": address}
            node.start()
            self.assertEqual(supervisor.recv(4096), b"READY=1")
            self.assertEqual(node.get("/livez")[0], 200)
            self.assertEqual(node.end(), 0)
            self.assertEqual(supervisor.recv(4096), b"STOPPING=1")
            supervisor.setblocking(False)
            self.assertRaises(BlockingIOError, supervisor.recv, 4096)
            self.assertNotIn("supervisor", node.log())

    def test_a_socket_in_a_folder(self) -> None:
        self.check_told(f"{self.folder}/notify")

    def test_an_abstract_socket(self) -> None:
        self.check_told(f"@{self.folder}/notify")

    def fill(self, address: str) -> None:
        """Until the end of the test nobody reads there, and no more is taken."""
        reader, writer = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        self.addCleanup(reader.close)
        reader.bind(address)
        writer.setblocking(False)
        with writer, self.assertRaises(BlockingIOError):
            while True:
                writer.sendto(b"x", address)

    def test_nobody_listens(self) -> None:
        deaf = f"{self.folder}/deaf"
        self.fill(deaf)
        for number, address in enumerate((f"{self.folder}/nobody", deaf, "vsock:2:1234",
                                          "/" + 200 * "x")):
            node = self.node(f"n{number}")
            node.environment = {"NOTIFY_SOCKET": address}
            node.more = [f"--initial-cluster={node.name}={node.peer_url}"]
            node.start()
            node.wait_until_it_serves()
            self.assertEqual(node.end(), 0)
            self.assertEqual(node.log().count("cannot tell the supervisor"), 1)


class Three(Base):
    def test_sigterm_of_the_leader(self) -> None:
        cluster = self.cluster(3)
        cluster.__enter__()
        self.put(cluster.endpoints, "before", "1")
        wait_until(lambda: any(map(leads, cluster.nodes)), 30, "somebody leads")
        leader = next(filter(leads, cluster.nodes))
        others = [node for node in cluster.nodes if node is not leader]
        writer = Writer(",".join(node.endpoint for node in others))
        assert leader.process is not None
        begin = time.monotonic()
        leader.process.send_signal(signal.SIGTERM)
        wait_until(lambda: any(map(leads, others)), 30, "another one leads")
        handed_over = time.monotonic() - begin
        self.assertEqual(leader.process.wait(STOP_LIMIT), 0)
        leader.process = None
        writes, errors = writer.stop()
        print(f"a new leader after {handed_over * 1000:.0f} ms", flush=True)
        self.assertLess(handed_over, HANDOVER_LIMIT)
        self.assertEqual(errors, [])
        self.assertGreater(writes, 0)
        # It comes back on its data and learns what it missed.
        leader.start()
        leader.wait_until_it_serves()
        self.check_value(leader.endpoint, "written", str(writes))
        self.check_value(leader.endpoint, "before", "1")

    def test_without_a_quorum(self) -> None:
        cluster = self.cluster(3)
        node = cluster.nodes[0]
        node.start()
        self.addCleanup(kill, node)

        wait_until(lambda: answers(node, "/livez"), 30, "it lives")
        self.assertEqual(node.get("/health")[::2],
                         (503, '{"health":"false","reason":"RAFT NO LEADER"}\n'))
        self.assertEqual(node.get("/readyz")[0], 503)
        self.assertEqual(metric(node, "etcd_server_has_leader"), 0)
        self.assertEqual(node.end(), 0)

    def test_a_named_member_that_never_started(self) -> None:
        """As with etcd 3.5.30: known by its name from the beginning."""
        cluster = self.cluster(3)
        first, second, absent = cluster.nodes
        for node in (first, second):
            node.start()
        first.wait_until_it_serves()
        listed = cairn(first.endpoint, "member", "list").stdout.splitlines()
        self.assertEqual([line.split(", ", 1)[1] for line in listed if absent.peer_url in line],
                         [f"started, {absent.name}, {absent.peer_url}, , false"])
        for name in ("n1", "n2"):
            self.assertTrue(any(f", started, {name}, " in line for line in listed), listed)
        # Of four there would be two.
        added = cairn(first.endpoint, "member", "add", "n4", "--peer-urls=http://127.0.0.1:1")
        self.assertEqual(added.returncode, 1)
        self.assertIn("etcdserver: unhealthy cluster", added.stderr)
        absent.start()
        absent.wait_until_it_serves()

    def test_a_restart_does_not_go_back(self) -> None:
        """What a member has told is not flushed yet, and it does not know that it is committed."""
        cluster = self.cluster(3)
        cluster.__enter__()
        node = next(node for node in cluster.nodes if not leads(node))

        # Each asks once, and gives the revision told, if there was an answer.
        def by_get() -> int | None:
            done = cairn(node.endpoint, "get", "k", "-w", "json", "--consistency=s")
            return json.loads(done.stdout)["header"]["revision"] if done.returncode == 0 else None

        def by_hash() -> int | None:
            done = cairn(node.endpoint, "endpoint", "hashkv", "-w", "json")
            if done.returncode != 0:
                return None
            return json.loads(done.stdout)[0]["HashKV"]["header"]["revision"]

        def by_snapshot() -> int | None:
            path = f"{self.folder}/saved"
            if cairn(node.endpoint, "snapshot", "save", path).returncode != 0:
                return None
            done = cairn(node.endpoint, "snapshot", "status", path, "-w", "json")
            return json.loads(done.stdout)["revision"]

        for number in range(20):
            self.put(cluster.endpoints, "k", str(number))
        wait_until(lambda: by_get() == 21, 10, "it has the last one")
        # The snapshot last: to make it the engine is flushed, and a restart has no way back then.
        for told in (by_get, by_hash, by_snapshot):
            node.end(signal.SIGKILL)
            node.start()
            answers: list[int | None] = []
            wait_until(lambda: (answers.append(told()), answers[-1])[1] is not None,
                       START_SECONDS, f"an answer {told.__name__}")
            self.assertEqual(answers[-1], 21, told.__name__)

    def test_the_last_one_left_still_gives_its_data(self) -> None:
        """Of itself, though no client has ever asked it for anything while there was a quorum."""
        cluster = self.cluster(3)
        *others, silent = cluster.nodes
        for node in cluster.nodes:
            node.start()
        for node in others:
            node.wait_until_it_serves()
        self.put(others[0].endpoint, "k", "v")
        wait_until(lambda: UP_TO_DATE in silent.log(), START_SECONDS, "it has heard of a leader")
        applied = "etcd_server_proposals_applied_total"
        wait_until(lambda: metric(silent, applied) >= metric(others[0], applied), 10, "it has all")
        for node in others:
            node.end(signal.SIGKILL)
        done = cairn(silent.endpoint, "get", "k", "--consistency=s")
        self.assertEqual((done.returncode, done.stdout), (0, "k\nv\n"), done.stderr)
        path = f"{self.folder}/saved"
        done = cairn(silent.endpoint, "snapshot", "save", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        status = cairn(silent.endpoint, "snapshot", "status", path, "-w", "json")
        self.assertEqual(json.loads(status.stdout)["revision"], 2)
        # And none after a restart: what it has above its flushed state may not be committed.
        silent.end(signal.SIGKILL)
        silent.start()
        wait_until(lambda: cairn(silent.endpoint, "endpoint", "status").returncode == 0,
                   START_SECONDS, "it tells how it is")
        for arguments in (["get", "k", "--consistency=s"], ["endpoint", "hashkv"],
                          ["snapshot", "save", f"{self.folder}/none"]):
            with self.subTest(arguments=arguments):
                done = cairn(silent.endpoint, *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, "")
                # The client's patience ends before the server's, or it has asked again.
                self.assertRegex(done.stderr, "etcdserver: request timed out|deadline exceeded")
        self.assertEqual([path.name for path in Path(self.folder).iterdir()
                          if path.name.startswith("none")], [])
        self.assertNotIn(UP_TO_DATE, silent.log().rpartition("ready to serve")[2])

    def test_a_peer_of_another_cluster(self) -> None:
        """Two members of one token make a quorum; the third, of another token, stays outside."""
        cluster = self.cluster(3)
        stranger = cluster.nodes[2]
        stranger.more.append("--initial-cluster-token=another")
        for node in cluster.nodes[:2]:
            node.start()
        for node in cluster.nodes[:2]:
            node.wait_until_it_serves()
        self.put(cluster.nodes[0].endpoint, "k", "v")
        stranger.start()
        wait_until(lambda: "is of another cluster than begins here" in stranger.log(), 30,
                   "it is told where it begins")
        refusal = "of the peer is not this cluster's"
        for node in cluster.nodes:
            wait_until(lambda: refusal in node.log(), 30, f"{node.name} logs the refusal")
        self.assertFalse(stranger.serves())
        self.assertEqual(metric(stranger, "etcd_server_has_leader"), 0)
        self.check_value(cluster.nodes[1].endpoint, "k", "v")


class Writer:
    """Writes 1, 2, 3, … to one key, one at a time, until it is stopped."""

    def __init__(self, endpoints: str):
        self.stopping = threading.Event()
        self.count = 0
        self.errors: list[str] = []
        self.thread = threading.Thread(target=self.run, args=(endpoints,))
        self.thread.start()

    def run(self, endpoints: str) -> None:
        while not self.stopping.is_set():
            done = cairn(endpoints, "put", "written", str(self.count + 1))
            if done.returncode == 0:
                self.count += 1
            else:
                self.errors.append(done.stderr)
                return

    def stop(self) -> tuple[int, list[str]]:
        self.stopping.set()
        self.thread.join()
        return self.count, self.errors


if __name__ == "__main__":
    if not (CAIRND and CAIRN):
        raise SystemExit("CAIRND and CAIRN must name the programs")
    unittest.main()
