// Read-only facts about the replica, for response headers, Status, health and metrics.
// A value, copied out by the shell after each turn; no raft types.
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace cairn::server {

struct NodeView {
    NodeId member;
    NodeId leader;  // none when unknown
    Term term;
    Index commit;
    Index applied;
    Index last;
    Index floor;  // the log holds what is above it
    bool is_leader = false;
    bool is_learner = false;
    std::uint64_t voters{};  // of the newest configuration in the log
    std::uint64_t learners{};
    bool stopping = false;
    std::uint64_t leader_changes{};  // seen by this member since its start
    std::uint64_t proposals_pending{};
    std::uint64_t proposals_committed{};  // = commit index, as etcd counts
    std::uint64_t proposals_applied{};
    std::uint64_t proposals_failed{};
    std::uint64_t read_indexes_failed{};
    std::uint64_t lease_reads{};         // granted by the lease alone: batches of reads
    bool flush_behind = false;           // no entries are taken before the engine is flushed
    bool log_stalled = false;            // no write of the log has ended for an election timeout
    std::uint64_t stalled_step_downs{};  // of this member as leader, for that reason

    bool operator==(const NodeView&) const = default;
};

}  // namespace cairn::server
