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
etcdserverpb::CompactionRequest to_wire(const CompactRequest& request);
etcdserverpb::MemberListRequest to_wire(const MemberListRequest& request);
etcdserverpb::MemberAddRequest to_wire(const MemberAddRequest& request);
etcdserverpb::MemberRemoveRequest to_wire(const MemberRemoveRequest& request);
etcdserverpb::MemberUpdateRequest to_wire(const MemberUpdateRequest& request);
etcdserverpb::MemberPromoteRequest to_wire(const MemberPromoteRequest& request);
etcdserverpb::StatusRequest to_wire(const StatusRequest& request);
etcdserverpb::HashKVRequest to_wire(const HashKvRequest& request);
etcdserverpb::HashRequest to_wire(const HashRequest& request);
etcdserverpb::DefragmentRequest to_wire(const DefragmentRequest& request);
etcdserverpb::MoveLeaderRequest to_wire(const MoveLeaderRequest& request);
etcdserverpb::AlarmRequest to_wire(const AlarmListRequest& request);
etcdserverpb::AlarmRequest to_wire(const AlarmDisarmRequest& request);
etcdserverpb::DowngradeRequest to_wire(const DowngradeRequest& request);

GetResponse from_wire(etcdserverpb::RangeResponse message);
PutResponse from_wire(etcdserverpb::PutResponse message);
DeleteResponse from_wire(etcdserverpb::DeleteRangeResponse message);
TxnResponse from_wire(etcdserverpb::TxnResponse message);
CompactResponse from_wire(const etcdserverpb::CompactionResponse& message);
MemberListResponse from_wire(const etcdserverpb::MemberListResponse& message);
MemberAddResponse from_wire(const etcdserverpb::MemberAddResponse& message);
MemberListResponse from_wire(const etcdserverpb::MemberRemoveResponse& message);
MemberListResponse from_wire(const etcdserverpb::MemberUpdateResponse& message);
MemberListResponse from_wire(const etcdserverpb::MemberPromoteResponse& message);
StatusResponse from_wire(const etcdserverpb::StatusResponse& message);
HashKvResponse from_wire(const etcdserverpb::HashKVResponse& message);
HashResponse from_wire(const etcdserverpb::HashResponse& message);
DefragmentResponse from_wire(const etcdserverpb::DefragmentResponse& message);
MoveLeaderResponse from_wire(const etcdserverpb::MoveLeaderResponse& message);
DowngradeResponse from_wire(const etcdserverpb::DowngradeResponse& message);
AlarmListResponse from_wire(const etcdserverpb::AlarmResponse& message);

}  // namespace cairn::client
