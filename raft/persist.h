// What the core asks of the log on disk and what it gets back after a restart.
// Values; handed from the replica to the log's thread.
// This, raft/types.h and raft/conf_change.h are all that storage/ may see of the core.
#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"
#include "raft/types.h"

namespace cairn::raft {

// One unit of durable writing. Batches are written in the order of `seq`, and each is applied to
// the log as a whole: floor, then hard state, then entries.
struct PersistBatch {
    // Echoed in Persisted{seq}; from 1, without gaps, within one run; 0 in the bootstrap batch. The
    // log on disk does not keep it.
    PersistSeq seq;
    // When set: entries up to floor->last are no longer needed and may be deleted once this batch
    // is durable. It never lies above an entry that this batch or an earlier one truncates.
    std::optional<SnapshotMeta> floor;
    std::optional<HardState> hard_state;
    // Consecutive indexes. When entries[0].index is not one past the log's end, the log is first
    // truncated to entries[0].index - 1 (a follower dropping a conflicting suffix, §5.3).
    std::vector<Entry> entries;
    // With `floor` only: the floor is an installed snapshot's, and nothing that the log holds is of
    // use any more, above it or below (Raft paper §7).
    bool restart = false;

    bool operator==(const PersistBatch&) const = default;
};

// The log as found on disk. A new, empty log: all zero and no entries.
struct Recovered {
    HardState hard_state;
    SnapshotMeta floor;
    std::vector<Entry> entries;  // consecutive, from floor.last.index + 1

    bool operator==(const Recovered&) const = default;
};

}  // namespace cairn::raft
