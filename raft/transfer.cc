// Handing leadership over (dissertation §3.10).
#include "raft/core.h"

namespace cairn::raft {

// The voter that would have to catch up least, of those that are alive.
NodeId Core::best_follower() const {
    const Progress* best = nullptr;
    for (const Progress& progress : tracker_.all()) {
        const bool eligible =
            progress.id() != config_.id && progress.active() && tracker_.is_voter(progress.id());
        if (eligible && (best == nullptr || progress.match() > best->match())) {
            best = &progress;
        }
    }
    return best == nullptr ? NodeId{} : best->id();
}

void Core::on_transfer_leader(NodeId to) {
    const NodeId wanted = to || at_.role != Role::kLeader ? to : best_follower();
    if (at_.role != Role::kLeader || wanted == config_.id || !tracker_.is_voter(wanted) ||
        wanted == leading_.transferee) {
        trace(TraceKind::kIgnored, kNotAMessage, wanted);
        return;
    }
    if (leading_.transferee) {
        end_transfer(false);
    }
    leading_.transferee = wanted;
    leading_.transfer_elapsed = 0;
    trace(TraceKind::kTransferStarted, 0, wanted);
    Progress* progress = tracker_.find(wanted);
    if (progress->match() < log_.last()) {
        progress->nudge();
        leading_.appends_due = true;
    }
    maybe_finish_transfer(*progress);
}

// Asked again with every answer of the transferee until it campaigns or time is up: the message
// may be lost.
void Core::maybe_finish_transfer(const Progress& progress) {
    if (leading_.transferee == progress.id() && progress.match() == log_.last()) {
        send(progress.id(), TimeoutNow{});
    }
}

void Core::end_transfer(bool moved) {
    trace(TraceKind::kTransferEnded, moved ? 1 : 0, leading_.transferee);
    leading_.transferee = {};
    leading_.transfer_elapsed = 0;
}

void Core::on_timeout_now(Message& message) {
    if (message.from != at_.leader || !may_campaign()) {
        ignore(message);
        return;
    }
    start_vote(Campaigning::kTransfer);
}

}  // namespace cairn::raft
