// Handing leadership over (dissertation §3.10).
#include <algorithm>

#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

// The voter that would have to catch up least, of those that are alive and will stay.
NodeId Core::best_follower() const {
    const Progress* best = nullptr;
    for (const Progress& progress : tracker_.all()) {
        const std::vector<NodeId>& voters = log_.conf().voters;
        const bool eligible = progress.id() != config_.id &&
                              progress.active(config_.election_ticks) &&
                              std::binary_search(voters.begin(), voters.end(), progress.id());
        if (eligible && (best == nullptr || progress.match() > best->match())) {
            best = &progress;
        }
    }
    return best == nullptr ? NodeId{} : best->id();
}

void Core::on_transfer_leader(NodeId to) {
    if (at_.role != Role::kLeader) {
        answer_transfer(to, Errc::kNotLeader);
        return;
    }
    const NodeId wanted = to ? to : best_follower();
    if (wanted == config_.id || !tracker_.is_voter(wanted)) {
        answer_transfer(wanted, wanted == config_.id ? std::nullopt
                                                     : std::optional(Errc::kBadLeaderTransferee));
        return;
    }
    if (transfer_ && transfer_->to == wanted) {
        return;  // joins the one under way
    }
    if (transfer_) {
        end_transfer(Errc::kTimeoutLeaderTransfer);
    }
    transfer_ = Transfer{.to = wanted};
    trace(TraceKind::kTransferStarted, 0, wanted);
    Progress* progress = tracker_.find(wanted);
    if (progress->match() < log_.last()) {
        progress->nudge();
        leading_.appends_due = true;
    }
    maybe_ask_transferee(*progress);
}

// Asked again with every answer of the transferee until it campaigns or time is up: the message
// may be lost.
void Core::maybe_ask_transferee(const Progress& progress) {
    if (transfer_ && transfer_->to == progress.id() && progress.match() == log_.last()) {
        lease_.give_up();
        send(progress.id(), TimeoutNow{});
    }
}

// Dissertation §3.10: an election timeout is long enough, then proposals are taken again.
void Core::tick_transfer() {
    if (transfer_ && ++transfer_->elapsed >= config_.election_ticks &&
        !CAIRN_MUTANT(transfer_without_end)) {
        CAIRN_PROBE("raft.transfer_timed_out");
        end_transfer(Errc::kTimeoutLeaderTransfer);
    }
}

void Core::end_transfer(std::optional<Errc> error) {
    trace(TraceKind::kTransferEnded, error ? 0 : 1, transfer_->to);
    answer_transfer(transfer_->to, error);
    transfer_.reset();
}

void Core::answer_transfer(NodeId to, std::optional<Errc> error) {
    out_.transfer = TransferResult{.to = to, .error = error};
}

void Core::on_timeout_now(Message& message) {
    if (message.from != at_.leader || !may_campaign()) {
        ignore(message);
        return;
    }
    CAIRN_PROBE("raft.campaigns_when_asked");
    start_vote(Campaigning::kTransfer);
}

}  // namespace cairn::raft
