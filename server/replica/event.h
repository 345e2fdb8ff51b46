// Everything that can happen to a replica: the full boundary, inward.
// Values, made by the shell (or the simulator), consumed on the replica's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "proto/cairn/command.pb.h"
#include "raft/message.h"
#include "raft/types.h"
#include "storage/state_machine.h"

namespace cairn::server {

// One tick of time (raft::Config counts in ticks; so do the replica's timeouts).
struct Tick {};

// See raft::ClockRead.
struct ClockRead {
    std::uint64_t now_ns{};
};

// A message from a peer. `message.to` is this member. An InstallSnapshot is stepped when its files
// are whole and durable here; the Effects say later whether to `install` them or, taken next, that
// they are of no use.
struct Receive {
    raft::Message message;
};

// A client's write. Answered by exactly one Completion with a ProposalOutcome, unless cancelled.
struct Submit {
    CallId call;
    command::CommandKind kind = command::UNKNOWN;
    Bytes request;
};

// A client wants to read linearizably. Answered by exactly one ReadGranted or ReadFailed, unless
// cancelled.
struct SubmitRead {
    CallId call;
};

// The client left or its deadline passed: no completion is wanted, though one that this turn had
// decided on already may still come. The command, if any, runs on.
struct Cancel {
    CallId call;
};

// The log's thread: all batches up to `seq` are durable.
struct LogPersisted {
    PersistSeq seq;
};

// A write or sync of the log failed, or the state machine cannot go on: final.
struct StorageFailed {
    Error error;
};

// The state thread applied what the last Effects::apply asked for.
struct StateApplied {
    storage::ApplyOutput output;
};

// The engine's durable state now includes everything up to `applied`.
struct StateFlushed {
    Index applied;
};

// Garbage up to `revision` is removed here.
struct GarbageCollected {
    std::int64_t revision{};
};

// The transport lost messages to `node`.
struct PeerLost {
    NodeId node;
};

// Hand leadership to `to` (none: the best follower). Answered by one TransferDone.
struct TransferLeader {
    CallId call;
    NodeId to;
};

// A snapshot for `to` is over; see raft::SnapshotSent.
struct SnapshotSent {
    NodeId to;
    std::optional<Index> last;
};

// Effects::install is done: this is the state machine's state now, over any crash.
struct SnapshotInstalled {
    raft::SnapshotMeta snapshot;
    std::int64_t revision{};
    std::shared_ptr<const storage::Membership> members{};  // as it has them
};

// Refuse new calls from now on; those in flight run to their end.
struct Shutdown {};

using Event = std::variant<Tick, ClockRead, Receive, Submit, SubmitRead, Cancel, LogPersisted,
                           StorageFailed, StateApplied, StateFlushed, GarbageCollected, PeerLost,
                           TransferLeader, SnapshotSent, SnapshotInstalled, Shutdown>;

}  // namespace cairn::server
