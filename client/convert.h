// Between the library's plain types and etcd's messages.
// Pure functions; any thread. Private to client/: no header that users include may include it.
#pragma once

#include "client/types.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::client {

etcdserverpb::RangeRequest to_wire(const GetOp& op);
etcdserverpb::PutRequest to_wire(const PutOp& op);
etcdserverpb::DeleteRangeRequest to_wire(const DeleteOp& op);
etcdserverpb::TxnRequest to_wire(const TxnRequest& txn);

GetResponse from_wire(etcdserverpb::RangeResponse message);
PutResponse from_wire(etcdserverpb::PutResponse message);
DeleteResponse from_wire(etcdserverpb::DeleteRangeResponse message);
TxnResponse from_wire(etcdserverpb::TxnResponse message);
CompactResponse from_wire(const etcdserverpb::CompactionResponse& message);
MemberListResponse from_wire(const etcdserverpb::MemberListResponse& message);
StatusResponse from_wire(const etcdserverpb::StatusResponse& message);
HashKvResponse from_wire(const etcdserverpb::HashKVResponse& message);
AlarmListResponse from_wire(const etcdserverpb::AlarmResponse& message);

}  // namespace cairn::client
