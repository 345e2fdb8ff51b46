"""python3-etcd3, a client over gRPC's C core, against three cairnd nodes: every KV, cluster and
maintenance call cairn has, made through one node and seen through all. For the system's own Python,
to which Debian's package belongs; skipped without it."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import unittest
from collections.abc import Callable, Iterator
from typing import Any

from nodes import Cluster, Node, wait_until

try:
    import etcd3
    import grpc
    from etcd3 import etcdrpc
except ImportError:
    print("no python3-etcd3: skipped")
    sys.exit(77)

CALL_SECONDS = 20
CLUSTER: Cluster


def setUpModule() -> None:
    global CLUSTER
    CLUSTER = unittest.enterModuleContext(Cluster(3))
    # A node serves before it has told the others its name, as etcd's does.
    with connect(CLUSTER.nodes[0]) as client:
        wait_until(lambda: all(member.name for member in client.members), CALL_SECONDS,
                   "every node has told its name")


def connect(node: Node, **options: Any) -> etcd3.Etcd3Client:
    return etcd3.client("127.0.0.1", node.client_port, **{"timeout": CALL_SECONDS} | options)


class OnThreeNodes(unittest.TestCase):
    """A client for each node; each test begins and ends without any key."""

    def setUp(self) -> None:
        self.clients = [self.enterContext(connect(node)) for node in CLUSTER.nodes]
        self.one, self.two, self.three = self.clients
        self.addCleanup(lambda: self.one.delete_prefix(b"p/"))
        self.first = self.revision()

    def revision(self) -> int:
        return self.one.get_response("p/none").header.revision

    def see(self, call: Callable[[etcd3.Etcd3Client], object], expected: object) -> None:
        """The same through each node."""
        for client in self.clients:
            self.assertEqual(call(client), expected)

    def check_error(self, code: grpc.StatusCode, text: str, call: Callable[[], object]) -> None:
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual((caught.exception.code(), caught.exception.details()), (code, text))

    def fill(self) -> None:
        """p/a is changed twice; the order by key, value, and revision of change differs."""
        for client, key, value in zip([*self.clients, self.one], "abca", "3214"):
            client.put(f"p/{key}", value)


def key_names(pairs: Any) -> str:
    return "".join(about.key.decode().removeprefix("p/") for _, about in pairs)


def values(pairs: Any) -> list[bytes]:
    return [value for value, _ in pairs]


class KeyValue(OnThreeNodes):
    def test_put_and_get(self) -> None:
        self.see(lambda client: client.get("p/k"), (None, None))
        put = self.one.put("p/k", "one")
        self.assertEqual(put.header.revision, self.first + 1)
        self.see(lambda client: client.get("p/k")[0], b"one")
        put = self.two.put("p/k", "two", prev_kv=True)
        self.assertEqual((put.prev_kv.key, put.prev_kv.value, put.prev_kv.version),
                         (b"p/k", b"one", 1))
        self.see(self.all_of("p/k"), (b"two", b"p/k", self.first + 1, self.first + 2, 2, 0))
        # Linearizable reads came before, so every member has it.
        self.see(lambda client: client.get("p/k", serializable=True)[0], b"two")
        headers = [client.get("p/k")[1].response_header for client in self.clients]
        self.assertEqual(len({header.cluster_id for header in headers}), 1)
        self.assertEqual(len({header.member_id for header in headers}), 3)
        self.assertEqual({header.revision for header in headers}, {self.first + 2})

    @staticmethod
    def all_of(key: str) -> Callable[[etcd3.Etcd3Client], object]:
        def look(client: etcd3.Etcd3Client) -> object:
            value, about = client.get(key)
            return (value, about.key, about.create_revision, about.mod_revision, about.version,
                    about.lease_id)
        return look

    def test_any_bytes(self) -> None:
        large = bytes(range(256)) * 4096
        for key, value in ((b"p/\0\xff", b"\0"), (b"p/empty", b""), (b"p/large", large)):
            self.two.put(key, value)
            self.see(lambda client, key=key: client.get(key)[0], value)
        self.see(lambda client: values(client.get_prefix("p/")), [b"\0", b"", large])

    def test_put_errors(self) -> None:
        for client in self.clients:
            self.check_error(grpc.StatusCode.INVALID_ARGUMENT,
                             "etcdserver: key is not provided", lambda c=client: c.put("", "v"))
            self.check_error(grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found",
                             lambda c=client: c.put("p/k", "v", lease=1234))
            self.check_error(grpc.StatusCode.INVALID_ARGUMENT,
                             "etcdserver: request is too large",
                             lambda c=client: c.put("p/k", bytes(1_600_000)))
        self.assertEqual(self.revision(), self.first)

    def test_ranges(self) -> None:
        self.fill()
        self.see(lambda client: key_names(client.get_prefix("p/")), "abc")
        self.see(lambda client: values(client.get_prefix("p/")), [b"4", b"2", b"1"])
        self.see(lambda client: values(client.get_prefix("p/", keys_only=True)), [b"", b"", b""])
        self.see(lambda client: key_names(client.get_range("p/a", "p/c")), "ab")
        self.see(lambda client: key_names(client.get_range("p/b", b"\0")), "bc")
        self.see(lambda client: key_names(client.get_range("p/c", "p/a")), "")
        self.see(lambda client: key_names(client.get_all()), "abc")
        self.see(lambda client: key_names(client.get_all(sort_order="descend")), "cba")
        counts = [client.get_prefix_response("p/") for client in self.clients]
        self.assertEqual({(answer.count, answer.more) for answer in counts}, {(3, False)})

    def test_order(self) -> None:
        self.fill()
        for target, ascending in (("key", "abc"), ("create", "abc"), ("mod", "bca"),
                                  ("value", "cba"), ("version", "bca")):
            for order, expected in (("ascend", ascending), ("descend", ascending[::-1])):
                if target == "version":  # b and c are alike
                    expected = {"ascend": "bca", "descend": "abc"}[order]
                with self.subTest(target=target, order=order):
                    self.see(lambda client, t=target, o=order: key_names(
                        client.get_range("p/", "p0", sort_order=o, sort_target=t)), expected)

    def test_put_if_not_exists(self) -> None:
        self.assertTrue(self.one.put_if_not_exists("p/k", "1"))
        self.assertFalse(self.two.put_if_not_exists("p/k", "2"))
        self.see(lambda client: client.get("p/k")[0], b"1")
        self.assertEqual(self.revision(), self.first + 1)

    def test_replace(self) -> None:
        self.assertFalse(self.one.replace("p/k", "1", "2"))
        self.one.put("p/k", "1")
        self.assertTrue(self.two.replace("p/k", "1", "2"))
        self.assertFalse(self.three.replace("p/k", "1", "3"))
        self.see(lambda client: client.get("p/k")[0], b"2")

    def test_delete(self) -> None:
        self.fill()
        self.assertFalse(self.one.delete("p/none"))
        self.assertEqual(self.revision(), self.first + 4)
        self.assertTrue(self.two.delete("p/a"))
        self.see(lambda client: key_names(client.get_all()), "bc")
        gone = self.three.delete("p/b", prev_kv=True, return_response=True)
        self.assertEqual((gone.deleted, [(kv.key, kv.value) for kv in gone.prev_kvs]),
                         (1, [(b"p/b", b"2")]))
        self.fill()
        self.assertEqual(self.one.delete_prefix("p/").deleted, 3)
        self.see(lambda client: key_names(client.get_all()), "")
        self.check_error(grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: key is not provided",
                         lambda: self.one.delete(""))

    def test_compact(self) -> None:
        self.fill()
        self.two.compact(self.first + 3)
        for client in self.clients:
            old = etcdrpc.RangeRequest(key=b"p/a", revision=self.first + 3)
            self.assertEqual(client.kvstub.Range(old, CALL_SECONDS).kvs[0].value, b"3")
            old.revision = self.first + 2
            self.check_error(grpc.StatusCode.OUT_OF_RANGE,
                             "etcdserver: mvcc: required revision has been compacted",
                             lambda c=client: c.kvstub.Range(old, CALL_SECONDS))
        self.check_error(grpc.StatusCode.OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision has been compacted",
                         lambda: self.one.compact(self.first + 3))
        self.check_error(grpc.StatusCode.OUT_OF_RANGE,
                         "etcdserver: mvcc: required revision is a future revision",
                         lambda: self.one.compact(self.first + 100))
        self.three.compact(self.first + 4, physical=True)
        self.see(lambda client: values(client.get_prefix("p/")), [b"4", b"2", b"1"])


class Transaction(OnThreeNodes):
    def test_compares(self) -> None:
        self.fill()
        on = self.one.transactions
        created, changed = self.first + 1, self.first + 4
        for holds, fails in (
                (on.value("p/a") == "4", on.value("p/a") == "3"),
                (on.value("p/a") != "3", on.value("p/none") != "3"),
                (on.value("p/a") < "5", on.value("p/a") < "4"),
                (on.value("p/a") > "3", on.value("p/a") > "4"),
                (on.version("p/a") == 2, on.version("p/a") == 1),
                (on.version("p/none") == 0, on.version("p/none") != 0),
                (on.create("p/a") == created, on.create("p/a") > created),
                (on.create("p/a") < changed, on.create("p/a") != created),
                (on.mod("p/a") == changed, on.mod("p/a") < changed),
                (on.version("p/", "p0") > 0, on.version("p/", "p0") == 1)):
            with self.subTest(str(holds)):
                self.see(lambda client, c=holds: client.transaction([c], [], [])[0], True)
            with self.subTest(str(fails)):
                self.see(lambda client, c=fails: client.transaction([c], [], [])[0], False)
        self.see(lambda client: client.transaction(
            [on.value("p/a") == "4", on.version("p/b") == 9], [], [])[0], False)
        self.assertEqual(self.revision(), self.first + 4)

    def test_operations(self) -> None:
        self.fill()
        on = self.two.transactions
        done, answers = self.two.transaction(
            compare=[on.value("p/a") == "4"],
            success=[on.get("p/", range_end="p0"), on.put("p/n", "5", prev_kv=True), on.get("p/n"),
                     on.delete("p/b", prev_kv=True), on.delete("p/c", range_end="p/d")],
            failure=[on.put("p/wrong", "")])
        self.assertTrue(done)
        everything, put, new, deleted, interval = answers
        self.assertEqual(key_names(everything), "abc")
        self.assertFalse(put.response_put.HasField("prev_kv"))
        self.assertEqual([(value, about.mod_revision) for value, about in new],
                         [(b"5", self.first + 5)])
        self.assertEqual(deleted.response_delete_range.prev_kvs[0].value, b"2")
        self.assertEqual(interval.response_delete_range.deleted, 1)
        self.see(lambda client: key_names(client.get_all()), "an")
        self.assertEqual(self.revision(), self.first + 5)

        done, answers = self.three.transaction(
            [on.value("p/a") == "x"], [on.put("p/wrong", "")], [on.get("p/a"), on.put("p/m", "6")])
        self.assertFalse(done)
        self.assertEqual(values(answers[0]), [b"4"])
        self.see(lambda client: key_names(client.get_all()), "amn")

    def test_nested(self) -> None:
        on = self.one.transactions
        inner = on.txn(compare=[on.version("p/k") == 0], success=[on.put("p/k", "inner")],
                       failure=[on.get("p/k")])
        done, answers = self.one.transaction([], [on.put("p/o", "outer"), inner], [])
        self.assertTrue(done)
        self.assertTrue(answers[1].response_txn.succeeded)
        self.see(lambda client: values(client.get_prefix("p/")), [b"inner", b"outer"])
        self.assertEqual(self.revision(), self.first + 1)

    def test_errors(self) -> None:
        on = self.one.transactions
        twice = [on.put("p/k", "1"), on.put("p/k", "2")]
        for client in self.clients:
            self.check_error(grpc.StatusCode.INVALID_ARGUMENT,
                             "etcdserver: duplicate key given in txn request",
                             lambda c=client: c.transaction([], twice, []))
            many = [on.put(f"p/{number}", "") for number in range(129)]
            self.check_error(grpc.StatusCode.INVALID_ARGUMENT,
                             "etcdserver: too many operations in txn request",
                             lambda c=client: c.transaction([], many, []))
        self.assertEqual(self.revision(), self.first)

    def test_a_counter_of_many_threads(self) -> None:
        self.one.put("p/counter", "0")

        def count(client: etcd3.Etcd3Client) -> None:
            for _ in range(20):
                while True:
                    now = client.get("p/counter")[0]
                    if client.replace("p/counter", now, str(int(now) + 1)):
                        break

        threads = [threading.Thread(target=count, args=(client,)) for client in self.clients * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.see(lambda client: client.get("p/counter")[0], b"120")


class ClusterAndMaintenance(OnThreeNodes):
    def test_members(self) -> None:
        def look(client: etcd3.Etcd3Client) -> object:
            return sorted((member.name, list(member.peer_urls), list(member.client_urls))
                          for member in client.members)
        self.see(look, [(node.name, [node.peer_url], [f"http://{node.endpoint}"])
                        for node in CLUSTER.nodes])

    def test_status(self) -> None:
        answers = [client.status() for client in self.clients]
        self.assertEqual({answer.version for answer in answers}, {"3.5.30"})
        self.assertEqual(len({answer.leader.id for answer in answers}), 1)
        self.assertIn(answers[0].leader.name, {node.name for node in CLUSTER.nodes})
        for answer in answers:
            self.assertGreater(answer.db_size, 0)
            self.assertGreater(answer.raft_index, 0)
            self.assertGreater(answer.raft_term, 0)

    def test_hash(self) -> None:
        self.fill()
        self.see(lambda client: key_names(client.get_all()), "abc")  # now all have applied it
        before = {client.hash() for client in self.clients}
        self.assertEqual(len(before), 1)
        self.one.put("p/a", "5")
        self.see(lambda client: client.get("p/a")[0], b"5")
        after = {client.hash() for client in self.clients}
        self.assertEqual(len(after), 1)
        self.assertNotEqual(before, after)

    def test_defragment(self) -> None:
        self.fill()
        for client in self.clients:
            client.defragment()
        self.see(lambda client: values(client.get_prefix("p/")), [b"4", b"2", b"1"])

    def test_alarms(self) -> None:
        self.see(lambda client: list(client.list_alarms()), [])
        member = next(member for member in self.one.members if member.name == "n2")
        self.addCleanup(lambda: self.one.disarm_alarm(member.id))
        raised = self.two.create_alarm(member.id)
        self.assertEqual([(alarm.alarm_type, alarm.member_id) for alarm in raised],
                         [(etcdrpc.NOSPACE, member.id)])
        self.see(lambda client: [alarm.member_id for alarm in client.list_alarms()], [member.id])
        self.assertEqual([alarm.member_id for alarm in member.active_alarms], [member.id])
        for client in self.clients:
            self.check_error(grpc.StatusCode.RESOURCE_EXHAUSTED,
                             "etcdserver: mvcc: database space exceeded",
                             lambda c=client: c.put("p/k", "v"))
        self.assertEqual([alarm.member_id for alarm in self.three.disarm_alarm(member.id)],
                         [member.id])
        self.see(lambda client: list(client.list_alarms()), [])
        self.one.put("p/k", "v")

    def test_changes_of_members(self) -> None:
        """One that never starts, so it never votes."""
        added = self.one.add_member(["http://127.0.0.1:9"])
        self.addCleanup(added.remove)

        def peer_urls() -> list[list[str]]:
            # The client asks for no more than what the member asked knows: others may lag.
            return [list(member.peer_urls) for member in self.one.members if member.id == added.id]

        self.assertEqual(peer_urls(), [["http://127.0.0.1:9"]])
        added.update(["http://127.0.0.1:10"])
        self.assertEqual(peer_urls(), [["http://127.0.0.1:10"]])

    def test_what_comes_later(self) -> None:
        """Refused at once, which the client reports as what it is."""
        for name, call in (
                ("lease", lambda client: client.lease(10)),
                ("refresh_lease", lambda client: list(client.refresh_lease(1))),
                ("get_lease_info", lambda client: client.get_lease_info(1)),
                ("revoke_lease", lambda client: client.revoke_lease(1)),
                ("watch", self.watch),
                ("snapshot", lambda client: client.snapshot(io.BytesIO())),
                ("user", lambda client: connect(CLUSTER.nodes[0], user="root", password="x"))):
            for client in self.clients:
                with self.subTest(name), self.assertRaises(grpc.RpcError) as caught:
                    call(client)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED, name)
        # And the connections go on.
        self.see(lambda client: client.get("p/none"), (None, None))

    @staticmethod
    def watch(client: etcd3.Etcd3Client) -> None:
        """Not client.watch, whose thread would begin anew without pause for ever."""
        request = etcdrpc.WatchRequest(create_request=etcdrpc.WatchCreateRequest(key=b"p/k"))
        list(etcdrpc.WatchStub(client.channel).Watch(iter([request]), CALL_SECONDS))


class Connections(OnThreeNodes):
    def test_compressed_requests(self) -> None:
        gzip = [("grpc.default_compression_algorithm", grpc.Compression.Gzip.value)]
        with connect(CLUSTER.nodes[0], grpc_options=gzip) as client:
            client.put("p/k", b"z" * 1_000_000)
            self.assertEqual(client.get("p/k")[0], b"z" * 1_000_000)
        self.see(lambda client: client.get("p/k")[0], b"z" * 1_000_000)

    def test_many_calls_on_one_connection(self) -> None:
        puts = [self.two.kvstub.Put.future(
            etcdrpc.PutRequest(key=f"p/{number:04}".encode(), value=b"v"), CALL_SECONDS)
            for number in range(1000)]
        revisions = {put.result().header.revision for put in puts}
        self.assertEqual(revisions, set(range(self.first + 1, self.first + 1001)))
        self.see(lambda client: client.get_prefix_response("p/").count, 1000)

    @staticmethod
    @contextlib.contextmanager
    def down(*nodes: Node) -> Iterator[None]:
        """Those that still run serve again as soon as they may: with a quorum."""
        for node in nodes:
            node.end()
        try:
            yield
        finally:
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait_until_it_serves()

    def test_a_node_that_ends_and_returns(self) -> None:
        with self.down(CLUSTER.nodes[1]):
            with self.assertRaises(etcd3.exceptions.ConnectionFailedError):
                self.two.get("p/k")
            CLUSTER.nodes[0].wait_until_it_serves()
            self.one.put("p/k", "v")
            self.assertEqual(self.three.get("p/k")[0], b"v")

        def reached() -> bool:
            try:
                return self.two.get("p/k")[0] == b"v"
            except etcd3.exceptions.ConnectionFailedError:
                return False
        wait_until(reached, 60, "the same client finds the node again")

    def test_without_quorum(self) -> None:
        self.one.put("p/k", "v")
        with self.down(*CLUSTER.nodes[1:]), connect(CLUSTER.nodes[0], timeout=1) as hurried:
            with self.assertRaises(etcd3.exceptions.ConnectionTimeoutError):
                hurried.put("p/k", "w")
            self.assertEqual(hurried.get("p/k", serializable=True)[0], b"v")


if __name__ == "__main__":
    unittest.main()
