// Everything that can ever happen to the core.
// Values, made by the replica, on its thread. An input is never refused: a stale or malformed one
// is ignored with a trace event.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"
#include "raft/message.h"

namespace cairn::raft {

// One tick of the replica's clock has passed (Config counts in ticks).
struct Tick {};

// A clock of this machine that never goes back and goes on while it sleeps, read after everything
// else of this turn came in. Only with Config::lease_promise_ns.
struct ClockRead {
    std::uint64_t now_ns{};
};

// A message from another member. `message.to` is this member.
struct Receive {
    Message message;
};

// A client of this member wants `payload` in the log. The outcome is one of: an entry carrying it
// is committed; Ready::refused names it (it certainly never entered a log); or an entry of a later
// term than Raft::term() was at this call is applied first (then it never will be committed).
struct Propose {
    ProposalId id;
    Bytes payload;
    // kCommand, or kConfig with an encoded ConfChange. One change of the configuration at a time:
    // while one is under way a leader refuses the next (kTooManyRequests), and refuses at once what
    // makes no sense (kMemberExists, kMemberNotFound, kMemberNotEnoughStarted for the last voter).
    EntryKind kind = EntryKind::kCommand;
};

// A batch of this member's clients wants to read at the newest state. `request` is unique across
// this member's runs: the replica counts from a start drawn at random for each boot. Answered by a
// ReadGrant with the same number, or a ReadRefusal; a request lost with a message or a leader is
// not answered at all: the replica asks again with a new number.
struct ReadIndex {
    std::uint64_t request{};
};

// All batches up to `seq` are durable.
struct Persisted {
    PersistSeq seq;
};

// The state machine has applied everything up to `index`.
struct Applied {
    Index index;
};

// The log up to `index` is no longer needed by this member's own state machine: it has flushed it.
// The core keeps what a member still lacks, as long as that is within Config::log_bytes_max
// and log_entries_max.
struct Compact {
    Index index;
};

// The transport lost messages to `node` (a broken connection): stop streaming, probe.
struct PeerUnreachable {
    NodeId node;
};

// Hand leadership to `to`; none: to the best follower. Ignored on a member that does not lead.
struct TransferLeader {
    NodeId to;
};

// A snapshot for `to`, which Ready::snapshots_wanted asked for, is over: all of it has arrived
// there and was handed to its core (`last` is what it goes up to), or (none) it came to nothing and
// may be tried again.
struct SnapshotSent {
    NodeId to;
    std::optional<Index> last;
};

// The snapshot that Ready::install asked for is this member's state now, over any crash.
struct SnapshotInstalled {
    SnapshotMeta snapshot;
};

// This member cannot write any more and is about to stop: as leader it leaves its office, with a
// word to the follower that has most of the log, if there is one.
struct LeaveOffice {};

// Campaign now, with a pre-vote. For tests and for a single-node start without waiting.
struct Campaign {};

using Input = std::variant<Tick, ClockRead, Receive, Propose, ReadIndex, Persisted, Applied,
                           Compact, PeerUnreachable, TransferLeader, SnapshotSent,
                           SnapshotInstalled, LeaveOffice, Campaign>;

}  // namespace cairn::raft
