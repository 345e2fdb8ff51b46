#!/usr/bin/env python3
"""Writes the first inputs of command_fuzz, request_fuzz and record_fuzz anew.

  tests/fuzz/make_corpus.py

Requests are encoded by protoc from text, so that what they mean can be read here; envelopes and
records are as docs/formats says. Inputs that fuzzing has found are not touched.
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
PACKAGES = {"etcdserverpb": "proto/etcd/rpc.proto", "cairn.command": "proto/cairn/command.proto",
            "grpc.health.v1": "proto/grpc/health.proto"}
ENTRY_COMMAND, ENTRY_CONFIG = 1, 2

PUT_A = ("PutRequest", 'key: "a" value: "1"')
PUT_B = ("PutRequest", 'key: "b\\000c" value: "22" prev_kv: true')
DELETE_ALL = ("DeleteRangeRequest", 'key: "\\000" range_end: "\\000" prev_kv: true')
TXN = ("TxnRequest", """
    compare { target: MOD result: GREATER key: "a" range_end: "z" mod_revision: 1 }
    compare { target: VALUE key: "a" value: "1" }
    success { request_put { key: "t" value: "yes" } }
    success { request_range { key: "a" range_end: "z" sort_target: VALUE limit: 2 } }
    success { request_txn {
        compare { target: VERSION result: NOT_EQUAL key: "n" version: 0 }
        failure { request_put { key: "n" } }
        failure { request_delete_range { key: "b" range_end: "c" prev_kv: true } } } }
    failure { request_put { key: "t" value: "no" prev_kv: true } }
    failure { request_range { key: "t" serializable: true } }""")
KINDS = {"PutRequest": "PUT", "DeleteRangeRequest": "DELETE_RANGE", "TxnRequest": "TXN",
         "CompactionRequest": "COMPACT", "AlarmRequest": "ALARM",
         "MemberInfo": "MEMBER_ATTRIBUTES"}

# Each is a list of entries.
COMMANDS = {
    "put": [PUT_A],
    "put_twice": [PUT_A, ("PutRequest", 'key: "a" value: "2" prev_kv: true'), PUT_B],
    "put_ignore_value": [PUT_A, ("PutRequest", 'key: "a" ignore_value: true')],
    "delete": [PUT_A, PUT_B, DELETE_ALL, PUT_A],
    "txn": [PUT_A, PUT_B, TXN, TXN],
    "compact": [PUT_A, PUT_A, DELETE_ALL, PUT_B, ("CompactionRequest", "revision: 3")],
    "compact_physical": [PUT_A, PUT_A, ("CompactionRequest", "revision: 3 physical: true")],
    "alarm": [("AlarmRequest", "action: ACTIVATE memberID: 3 alarm: NOSPACE"), PUT_A,
              ("AlarmRequest", "action: DEACTIVATE memberID: 3 alarm: NOSPACE"), PUT_A],
    "corrupt_alarm": [("AlarmRequest", "action: ACTIVATE memberID: 3 alarm: CORRUPT"), PUT_A],
    "long_value": [("PutRequest", f'key: "a" value: "{"v" * 300}"'), TXN],
}
MEMBER = ("MemberInfo", 'id: 3 name: "a" peer_urls: "http://a:2380"')
ATTRIBUTES = ("MemberInfo", 'id: 3 name: "new" client_urls: "http://a:2379"')

# Each is a list of calls, with the method's name in proto/wire/grpc_method.h.
REQUESTS = {
    "put_range": [("KvPut", *PUT_A), ("KvRange", "RangeRequest", 'key: "a"')],
    "range_options": [
        ("KvPut", *PUT_A), ("KvPut", *PUT_B),
        ("KvRange", "RangeRequest",
         'key: "a" range_end: "z" limit: 1 revision: 2 sort_order: DESCEND sort_target: MOD'),
        ("KvRange", "RangeRequest",
         'key: "\\000" range_end: "\\000" keys_only: true min_mod_revision: 2 '
         'max_create_revision: 9 serializable: true'),
        ("KvRange", "RangeRequest", 'key: "a" range_end: "b" count_only: true')],
    "txn": [("KvPut", *PUT_A), ("KvPut", *PUT_B), ("KvTxn", *TXN), ("KvTxn", *TXN)],
    "txn_reads": [("KvPut", *PUT_A),
                  ("KvTxn", "TxnRequest", 'success { request_range { key: "a" } } '
                   'failure { request_range { key: "b" serializable: true } }')],
    "txn_duplicate_key": [("KvTxn", "TxnRequest", 'success { request_put { key: "a" } } '
                           'success { request_put { key: "a" } }')],
    "delete": [("KvPut", *PUT_A), ("KvDeleteRange", *DELETE_ALL), ("KvPut", *PUT_A)],
    "compact": [("KvPut", *PUT_A), ("KvPut", *PUT_A),
                ("KvCompact", "CompactionRequest", "revision: 2 physical: true"),
                ("KvRange", "RangeRequest", 'key: "a" revision: 1')],
    "alarm": [("MaintenanceAlarm", "AlarmRequest", "action: ACTIVATE memberID: 3 alarm: NOSPACE"),
              ("KvPut", *PUT_A), ("MaintenanceAlarm", "AlarmRequest", "")],
    "maintenance": [("KvPut", *PUT_A), ("MaintenanceStatus", "StatusRequest", ""),
                    ("MaintenanceHash", "HashRequest", ""),
                    ("MaintenanceHashKv", "HashKVRequest", "revision: 2"),
                    ("MaintenanceDefragment", "DefragmentRequest", "")],
    "members": [("ClusterMemberList", "MemberListRequest", "linearizable: true")],
    "health": [("HealthCheck", "grpc.health.v1.HealthCheckRequest", "")],
}


def encode(message: str, text: str) -> bytes:
    name = message if "." in message else \
        ("cairn.command." if message == "MemberInfo" else "etcdserverpb.") + message
    file = PACKAGES[name.rpartition(".")[0]]
    command = ["protoc", "--proto_path=.", f"--encode={name}", file]
    return subprocess.run(command, cwd=ROOT, input=text.encode(), capture_output=True,
                          check=True).stdout


def piece(kind: int, content: bytes) -> bytes:
    """What tests/fuzz/pieces.h takes apart."""
    return struct.pack("<BH", kind, len(content)) + content


def command_kinds() -> dict[str, int]:
    text = (ROOT / "proto/cairn/command.proto").read_text()
    return {name: int(number) for name, number in re.findall(r"^  ([A-Z_]+) = (\d+);", text, re.M)}


def methods() -> dict[str, int]:
    text = (ROOT / "proto/wire/grpc_method.h").read_text()
    listed = re.search(r"enum class MethodId : std::uint8_t \{(.*?)\}", text, re.S)
    return {name: at for at, name in enumerate(re.findall(r"k(\w+),", listed[1]))}


def command_entry(kind: int, sequence: int, request: bytes) -> bytes:
    envelope = struct.pack(">BB5QH", 1, kind, 3, 33, sequence, 1, 0, 4) + b"root"
    return piece(ENTRY_COMMAND, envelope + request)


def command_inputs() -> dict[str, bytes]:
    kinds = command_kinds()
    inputs = {
        name: b"".join(command_entry(kinds[KINDS[message]], at, encode(message, text))
                       for at, (message, text) in enumerate(entries, 1))
        for name, entries in COMMANDS.items()
    }
    joining = piece(ENTRY_CONFIG, struct.pack("<BBQ", 1, 1, 3) + encode(*MEMBER))
    attributes = command_entry(kinds["MEMBER_ATTRIBUTES"], 2, encode(*ATTRIBUTES))
    inputs["members"] = joining + attributes
    inputs["no_member"] = attributes
    inputs["unknown_kind"] = command_entry(200, 1, b"")
    inputs["not_a_request"] = command_entry(kinds["PUT"], 1, b"\x0a\xff")
    inputs["cut_short"] = piece(ENTRY_COMMAND, b"\x01\x01\x00")
    return inputs


def request_inputs() -> dict[str, bytes]:
    ids = methods()
    inputs = {
        name: b"".join(piece(ids[method], encode(message, text))
                       for method, message, text in calls)
        for name, calls in REQUESTS.items()
    }
    inputs["not_a_request"] = piece(ids["KvPut"], b"\x0a\xff")
    return inputs


def varints(*numbers: int) -> bytes:
    out = bytearray()
    for number in numbers:
        while number >= 0x80:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return bytes(out)


def record_inputs() -> dict[str, bytes]:
    """Flags: 1 a tombstone (a delete in the revlog), 2 a value inline."""
    return {
        "key_inline": b"\x02" + varints(300, 0, 2, 5, 0) + b"value",
        "key_elsewhere": b"\x00" + varints(300, 1, 2, 5, 7),
        "key_tombstone": b"\x01" + varints(300, 0),
        "history_put": b"\x00" + varints(2, 5, 7) + b"value",
        "revlog_put": b"\x00" + varints(299, 3) + b"key",
        "revlog_delete": b"\x01" + varints(2**63 - 1, 2**32 - 1) + b"key",
        "varint_long": b"\x00\x81\x80\x80\x00" + varints(1, 2, 3),
        "varint_over": b"\x00" + b"\xff" * 10,
        "history_key": b"a\x00\xffb\x00\x01" + struct.pack(">QL", 2**64 - 300, 2**32 - 1),
        "revlog_key": struct.pack(">QL", 300, 1),
        "applied": struct.pack(">QQ", 9, 2),
        "number": struct.pack(">q", -1),
        "zeros": b"\x00" * 13,
    }


def main() -> None:
    for target, inputs in (("command_fuzz", command_inputs()), ("request_fuzz", request_inputs()),
                           ("record_fuzz", record_inputs())):
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in inputs.items():
            (folder / name).write_bytes(content)
        print(f"{target}: {len(inputs)} inputs")


if __name__ == "__main__":
    main()
