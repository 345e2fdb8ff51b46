#include "storage/mvcc/read_view.h"

#include <utility>

#include "storage/alarm_store.h"
#include "storage/member_store.h"
#include "storage/mvcc/hash.h"
#include "storage/mvcc/range.h"
#include "storage/mvcc/txn_eval.h"

namespace cairn::storage::mvcc {

ReadView::ReadView(std::shared_ptr<const EngineReader> reader, raft::EntryId applied,
                   std::int64_t revision, std::int64_t compacted, std::shared_ptr<KeyCounts> counts)
    : reader_(std::move(reader)),
      memory_reader_(reader_->memory_only()),
      applied_(applied),
      revision_(revision),
      compacted_(compacted),
      counts_(std::move(counts)) {}

ReadView ReadView::in_memory() const {
    ReadView view(*this);
    if (view.memory_reader_ != nullptr) {
        view.reader_ = std::move(view.memory_reader_);
        view.counts_ = nullptr;  // they may read what has changed since from a disk
    }
    return view;
}

Result<void> ReadView::range(const etcdserverpb::RangeRequest& request, std::string& body,
                             ReadGuard* guard) const {
    return run_range(*reader_, {revision_, compacted_, counts_.get()}, request, body, guard);
}

Result<void> ReadView::read_txn(const etcdserverpb::TxnRequest& request, std::string& body,
                                ReadGuard* guard) const {
    return run_read_txn(*reader_, {revision_, compacted_, counts_.get()}, request, body, guard);
}

Result<ReadView::HashKv> ReadView::hash_kv(std::int64_t revision, ReadGuard* guard) const {
    CAIRN_TRY(const std::int64_t at, readable_revision(revision, {revision_, compacted_}));
    CAIRN_TRY(const std::uint32_t hash, hash_versions(*reader_, at, compacted_, guard));
    return HashKv{hash, compacted_, at};
}

Result<std::vector<command::MemberInfo>> ReadView::members() const {
    return list_members(*reader_);
}

Result<std::vector<NodeId>> ReadView::removed_members() const {
    return list_removed_members(*reader_);
}

Result<std::vector<etcdserverpb::AlarmMember>> ReadView::alarms() const {
    return list_alarms(*reader_);
}

}  // namespace cairn::storage::mvcc
