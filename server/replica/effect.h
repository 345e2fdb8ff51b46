// Everything a replica asks of the world since the last take: the full boundary, outward.
// One value, reused from turn to turn; filled and executed on the replica's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/trace_event.h"
#include "raft/message.h"
#include "raft/persist.h"
#include "raft/ready.h"
#include "raft/types.h"
#include "server/replica/completion.h"
#include "server/replica/peers.h"

namespace cairn::server {

// The shell executes: halt first (and then nothing else, but `send` if it can); `send` and
// `persist` may start together and run in any order between themselves, batches in their order; at
// most one `apply` is ever in flight: the next non-empty one comes only after StateApplied for the
// one before.
struct Effects {
    // The member must stop at once. All that may still leave is `send`: of a leader, a word to its
    // successor.
    std::optional<Error> halt;
    std::vector<raft::Message> send;
    std::optional<raft::PersistBatch> persist;
    std::vector<raft::Entry> apply;
    // Each is answered by one SnapshotSent.
    std::vector<raft::SnapshotWanted> snapshots_wanted;
    // Replace the state machine by the snapshot that has arrived. No apply is in flight, and none
    // follows before the answer, a SnapshotInstalled; or the member fails.
    std::optional<raft::SnapshotMeta> install;
    // The InstallSnapshot that was stepped since the last take is of no use.
    bool install_refused = false;
    std::vector<Completion> completions;
    std::shared_ptr<const PeerSet> peers;  // when they changed: before the messages of `send` leave
    std::vector<TraceEvent> trace;
    bool view_changed = false;  // Replica::view() differs from what it was at the last take

    // Keeps the capacity of the vectors.
    void clear() {
        halt.reset();
        send.clear();
        persist.reset();
        apply.clear();
        snapshots_wanted.clear();
        install.reset();
        install_refused = false;
        completions.clear();
        peers.reset();
        trace.clear();
        view_changed = false;
    }
};

}  // namespace cairn::server
