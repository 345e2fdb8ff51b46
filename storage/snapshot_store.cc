#include "storage/snapshot_store.h"

#include <algorithm>

namespace cairn::storage {

Result<std::optional<raft::PersistBatch>> follow_install(
    const std::optional<raft::SnapshotMeta>& installed, raft::EntryId applied,
    raft::Recovered& recovered) {
    if (!installed) {
        return std::optional<raft::PersistBatch>();
    }
    const raft::EntryId last = installed->last;
    if (recovered.floor.last.index >= last.index) {
        return std::optional<raft::PersistBatch>();
    }
    // Nothing is applied above a snapshot before the log begins anew at it.
    if (applied != last) {
        return Error(Errc::kCorrupt,
                     "the engine began as a snapshot that the log knows nothing of, and went on: "
                     "they are not of one member, or one of them is an old copy");
    }
    raft::PersistBatch batch;
    batch.floor = *installed;
    batch.restart = true;
    // Who has voted in a term has said so durably before: none was cast in a later one.
    if (recovered.hard_state.term < last.term) {
        recovered.hard_state.term = last.term;
        recovered.hard_state.vote = {};
    }
    recovered.hard_state.commit = std::max(recovered.hard_state.commit, last.index);
    batch.hard_state = recovered.hard_state;
    recovered.floor = *installed;
    recovered.entries.clear();
    return std::optional(std::move(batch));
}

}  // namespace cairn::storage
