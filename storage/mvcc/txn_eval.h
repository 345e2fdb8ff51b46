// One etcd Txn: all guards first, then the checks of the branches they chose, then the operations.
// Functions of the reader (and of the WriteTxn they write through); one thread.
// Never validates what server/api has: sizes, duplicates and empty keys are looked at there.
#pragma once

#include <string>

#include "base/result.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "storage/mvcc/range.h"
#include "storage/mvcc/write_txn.h"

namespace cairn::storage::mvcc {

// Appends the TxnResponse without its header to `body`. An error means nothing may stay of it: the
// caller rolls the overlay back. kLeaseNotFound, kKeyNotFound, kFutureRev, kCompacted.
Result<void> run_txn(WriteTxn& txn, const etcdserverpb::TxnRequest& request, std::string& body);

// The same for a Txn whose operations are Ranges (and such Txns) alone (asserted); on an error
// `body` is unchanged. `guard` as run_range's.
Result<void> run_read_txn(const EngineReader& reader, const ReadBounds& bounds,
                          const etcdserverpb::TxnRequest& request, std::string& body,
                          ReadGuard* guard = nullptr);

// Whether a put stands anywhere in it, in a branch taken or not.
bool contains_put(const etcdserverpb::TxnRequest& request);

}  // namespace cairn::storage::mvcc
