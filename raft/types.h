// The nouns of the consensus core: entries, hard state, configurations, roles.
// Values, owned by whoever holds them; any thread.
// Never says anything about messages, disks or clocks: storage/ sees this file too.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace cairn::raft {

// The values are part of the log's format (docs/formats/wal.md): never renumber.
enum class EntryKind : std::uint8_t {
    kNoop = 0,     // a new leader's first entry (Raft paper §8)
    kCommand = 1,  // a state-machine command; the payload is opaque to the core
    kConfig = 2,   // a ConfChange (raft/conf_change.h)
};

// Names an entry: in all logs of a cluster at most one entry has this name (Log Matching).
// Index 0 with term 0 is the place before the first entry.
struct EntryId {
    Term term;
    Index index;

    // By index alone would be wrong across terms; ordered by term first, as §5.4.1 compares logs.
    constexpr auto operator<=>(const EntryId&) const = default;
};

struct Entry {
    EntryId id;
    EntryKind kind = EntryKind::kNoop;
    Bytes payload;

    // What the entry counts for in every limit that is in bytes; headers of small entries included.
    [[nodiscard]] std::uint64_t cost_bytes() const { return payload.size() + 32; }
    bool operator==(const Entry&) const = default;
};

// What a member must remember across a crash (Raft paper figure 2), and the commit index as a hint.
struct HardState {
    Term term;
    NodeId vote;   // whom this member voted for in `term`; none when nobody
    Index commit;  // rides along, never written by itself: a restart may find an older one

    bool operator==(const HardState&) const = default;
};

// Who takes part. All lists are sorted, without duplicates and without the id of nobody; what comes
// from outside may lie (is_well_formed).
// Joint consensus (dissertation §4.3): while `voters_outgoing` is not empty, both majorities
// decide.
struct ConfState {
    std::vector<NodeId> voters;
    std::vector<NodeId> voters_outgoing;
    std::vector<NodeId> learners;       // replicate, never vote nor count
    std::vector<NodeId> learners_next;  // become learners when the joint configuration is left
    bool auto_leave = false;

    bool operator==(const ConfState&) const = default;
};

inline bool is_well_formed(const ConfState& conf) {
    const auto is_set = [](const std::vector<NodeId>& ids) {
        return (ids.empty() || ids.front()) &&
               std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end();
    };
    return is_set(conf.voters) && is_set(conf.voters_outgoing) && is_set(conf.learners) &&
           is_set(conf.learners_next);
}

// The log's floor: everything up to `last` is in the state machine (or in a snapshot of it),
// and `conf` is the configuration in effect after `last`.
struct SnapshotMeta {
    EntryId last;
    ConfState conf;

    bool operator==(const SnapshotMeta&) const = default;
};

enum class Role : std::uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
inline constexpr std::uint8_t kRoleCount = 4;

}  // namespace cairn::raft
