// Everything the core can ever ask for, gathered since the last take.
// A value, taken by the replica on its thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/trace_event.h"
#include "raft/message.h"
#include "raft/persist.h"
#include "raft/types.h"

namespace cairn::raft {

// Reads of this request are linearizable once `index` is applied here.
struct ReadGrant {
    std::uint64_t request{};
    Index index;
    bool operator==(const ReadGrant&) const = default;
};

// No leader is known, or the leader refused: nothing was promised; ask again later.
struct ReadRefusal {
    std::uint64_t request{};
    Errc reason{};
    bool operator==(const ReadRefusal&) const = default;
};

struct RoleChange {
    Role role = Role::kFollower;
    Term term;
    NodeId leader;  // none when unknown
    bool operator==(const RoleChange&) const = default;
};

// A follower needs what the log no longer has: a snapshot of the state machine that contains the
// entry at `at_least`. What is behind that entry the log keeps for it.
struct SnapshotWanted {
    NodeId to;
    Index at_least;
    bool operator==(const SnapshotWanted&) const = default;
};

// How a TransferLeader input ended. Always answered: kNotLeader here, kBadLeaderTransferee for a
// stranger, a learner or when there is nobody else, kTimeoutLeaderTransfer when it did not happen
// within an election timeout or somebody else leads now; success at once when `to` is this leader.
// One answer stands for all that asked for the same transfer, and ends one to somebody else.
struct TransferResult {
    NodeId to;
    std::optional<Errc> error;
    bool operator==(const TransferResult&) const = default;
};

// Kinds of TraceEvent::kind that the core emits.
enum class TraceKind : std::uint16_t {
    kBecame = 1,       // detail: Role
    kIgnored,          // detail: MessageKind; the input was stale, foreign or not for this role
    kVoteGranted,      // peer: candidate
    kVoteRefused,      // peer: candidate
    kAppendRejected,   // a follower refused; index: prev
    kTruncated,        // index: the first entry dropped
    kCommitted,        // index: the new commit index
    kQuorumLost,       // check-quorum: a leader stepped down
    kTransferStarted,  // peer: transferee
    kTransferEnded,    // detail: 1 when leadership moved to the peer
    kRefusedProposal,  // detail: Errc
    kCompacted,        // index: the new floor
    kSnapshotWanted,   // peer: the follower that the log cannot bring up to date
    kSnapshotRefused,  // index: its last; this member has it already, or is installing another
    kInstalling,       // index: the last of the snapshot
    kInstalled,        // index: the new floor
    kConfChanged,      // index: the entry; the configuration in effect is another
    kLogStalled,       // no write of the log came to an end: a leader stepped down
};

// TraceEvent::detail of a kIgnored input that is not a message: a tick, a transfer.
inline constexpr std::uint16_t kNotAMessage = 0xffff;

// Order of execution for the replica: `messages` and `persist` may start at once and together
// (whatever rests on a write is withheld by the core until Persisted); `committed` goes to the
// state machine in order. One Ready carries at most one batch.
struct Ready {
    // The core cannot go on: an entry it does not understand, or a leader that contradicts what is
    // committed here (somebody lost data). Nothing else of this Ready may be used.
    std::optional<Error> halt;
    std::vector<Message> messages;
    std::optional<PersistBatch> persist;
    // Committed and durable here; consecutive; each entry is handed out once in a run.
    std::vector<Entry> committed;
    std::vector<ReadGrant> reads;
    std::vector<ReadRefusal> reads_refused;
    // Each is to be answered by SnapshotSent, and its follower is named once until then.
    std::vector<SnapshotWanted> snapshots_wanted;
    // The snapshot that an InstallSnapshot brought is to replace the state machine, over any crash:
    // answered by SnapshotInstalled, or the member halts. Nothing is handed out in between. When an
    // InstallSnapshot is stepped and the next Ready does not carry this, its files are of no use.
    std::optional<SnapshotMeta> install;
    // Certainly never entered any log.
    std::vector<RefusedProposal> refused;
    std::optional<TransferResult> transfer;
    std::optional<RoleChange> role;  // the newest, when role, term or known leader changed
    std::vector<TraceEvent> trace;

    bool operator==(const Ready&) const = default;
};

}  // namespace cairn::raft
