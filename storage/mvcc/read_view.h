// One moment of the store, to be read by anybody: ranges at its revision or an older one.
// Immutable; any thread; holds an engine snapshot, so keep it no longer than the read takes.
// Never sees half an entry: it is published after each apply.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "raft/types.h"
#include "storage/engine.h"
#include "storage/mvcc/read_guard.h"

namespace cairn::storage::mvcc {

class KeyCounts;

class ReadView {
  public:
    // `counts` is what all views of one engine share; may be null.
    ReadView(std::shared_ptr<const EngineReader> reader, raft::EntryId applied,
             std::int64_t revision, std::int64_t compacted, std::shared_ptr<KeyCounts> counts);

    // The same moment, for threads that may not wait for a disk: reads that would have to end with
    // kNotInMemory. Keeps what it needs of this view alive.
    [[nodiscard]] ReadView in_memory() const;

    [[nodiscard]] raft::EntryId applied() const { return applied_; }
    // The store's revision at this moment; 1 for an empty store.
    [[nodiscard]] std::int64_t revision() const { return revision_; }
    // 0 when never compacted.
    [[nodiscard]] std::int64_t compacted() const { return compacted_; }

    // Appends the serialized RangeResponse without its header to `body`. The request is validated.
    // kCompacted, kFutureRev; kIo, kCorrupt from the engine; what the guard says, if there is one.
    Result<void> range(const etcdserverpb::RangeRequest& request, std::string& body,
                       ReadGuard* guard = nullptr) const;
    // A Txn that only reads; appends the serialized TxnResponse without its header.
    Result<void> read_txn(const etcdserverpb::TxnRequest& request, std::string& body,
                          ReadGuard* guard = nullptr) const;

    struct HashKv {
        std::uint32_t hash{};
        std::int64_t compact_revision{};
        std::int64_t hash_revision{};
    };
    // Over all versions up to `revision` (<= 0: the newest) that a reader can still see.
    // Equal on all members at equal (revision, compacted); kCompacted, kFutureRev.
    [[nodiscard]] Result<HashKv> hash_kv(std::int64_t revision, ReadGuard* guard = nullptr) const;

    // All members with their attributes, sorted by id.
    [[nodiscard]] Result<std::vector<command::MemberInfo>> members() const;
    // Sorted; see list_removed_members.
    [[nodiscard]] Result<std::vector<NodeId>> removed_members() const;
    // Alarms raised, sorted by (member, type).
    [[nodiscard]] Result<std::vector<etcdserverpb::AlarmMember>> alarms() const;

  private:
    std::shared_ptr<const EngineReader> reader_;
    std::shared_ptr<const EngineReader> memory_reader_;  // null: reader_ never waits
    raft::EntryId applied_;
    std::int64_t revision_;
    std::int64_t compacted_;
    std::shared_ptr<KeyCounts> counts_;
};

}  // namespace cairn::storage::mvcc
