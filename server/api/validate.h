// validate_*: the checks of a request that need no state, in etcd's order and with its errors.
// Pure functions on parsed requests; any thread.
// Never looks at stored data: revisions, leases and permissions are checked where they are read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::server::api {

// --max-txn-ops and --max-request-bytes.
struct RequestLimits {
    std::size_t txn_ops_max = 128;
    std::size_t request_bytes_max = 1'572'864;
};

// kEmptyKey; kInvalidSortOption for an order or target outside the enums.
Result<void> validate_range(const etcdserverpb::RangeRequest& request);

// kEmptyKey, kValueProvided, kLeaseProvided, in this order.
Result<void> validate_put(const etcdserverpb::PutRequest& request);

// kEmptyKey.
Result<void> validate_delete_range(const etcdserverpb::DeleteRangeRequest& request);

// kTooManyOps, then what is wrong with a compare or operation of either branch (kKeyNotFound for
// an operation of no kind), then kDuplicateKey. Nested Txns have what their parents left of
// `txn_ops_max`.
Result<void> validate_txn(const etcdserverpb::TxnRequest& request, std::size_t txn_ops_max);

// kInvalidArgument for an action outside the enum, and for raising or clearing an alarm outside its
// enum: etcd 3.5 dies of both, and of the second again at each start.
Result<void> validate_alarm(const etcdserverpb::AlarmRequest& request);

// kRequestTooLarge when the log entry that etcd would make of a request of `request_bytes` encoded
// bytes is above the limit. For requests that go through the log only.
Result<void> validate_request_size(std::size_t request_bytes, const RequestLimits& limits);

// Whether a Txn holds only Ranges (in both branches), so that it needs no log entry.
bool is_read_only(const etcdserverpb::TxnRequest& request);

// Whether the answer of a Txn may hold more than numbers, whichever branch is taken: an operation
// gives stored pairs, or the keys of an interval.
bool may_answer_long(const etcdserverpb::TxnRequest& request);

// Whether a read-only Txn may be answered from local state: it has operations, and each of them
// asks for no more. (etcd also answers a Txn without operations locally: a stale read.)
bool is_serializable(const etcdserverpb::TxnRequest& request);

}  // namespace cairn::server::api
