#include "server/replica/proposals.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/buggify.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/conf_change.h"
#include "storage/command.h"

namespace cairn::server {
namespace {

// Answered waiters behind one that still waits keep their place in the ring: so many places for
// each call that may wait.
constexpr std::uint64_t kSpanFactor = 8;

// What a change of the members is to the core. A new voter is none until it has the log: a second
// member that is not there yet would else stop the first (dissertation §4.2.1). The leader gives it
// its vote later (server/replica/membership.h).
raft::ConfChangeKind change_kind(command::CommandKind kind) {
    if (kind == command::MEMBER_REMOVE) {
        return raft::ConfChangeKind::kRemove;
    }
    if (kind == command::MEMBER_UPDATE) {
        return raft::ConfChangeKind::kUpdate;
    }
    return kind == command::MEMBER_ADD ? raft::ConfChangeKind::kAddLearner
                                       : raft::ConfChangeKind::kAddVoter;
}

raft::Propose to_proposal(const storage::Command& command) {
    raft::Propose propose{.id = command.id, .payload = storage::encode_command(command)};
    if (storage::is_member_change(command.kind)) {
        command::MemberInfo info;
        const ByteView request = command.request.view();
        const bool parsed = info.ParseFromArray(request.data(), static_cast<int>(request.size()));
        CAIRN_ASSERT(parsed);  // the api layer made it
        propose.kind = raft::EntryKind::kConfig;
        propose.payload = raft::encode_conf_change({.kind = change_kind(command.kind),
                                                    .node = NodeId{info.id()},
                                                    .context = std::move(propose.payload)});
    }
    return propose;
}

}  // namespace

Proposals::Proposals(NodeId member, std::uint64_t boot, ProposalLimits limits, Index applied,
                     Calls& calls)
    : member_(member), boot_(boot), limits_(limits), calls_(calls), applied_(applied) {}

bool Proposals::has_place(std::uint64_t bytes, Index commit) const {
    return !calls_.full() && waiters_.size() < calls_.pending_max() * kSpanFactor &&
           (bytes_ == 0 || bytes_ + bytes <= limits_.bytes_max) &&
           commit <= applied_ + limits_.apply_gap_max;
}

void Proposals::submit(Submit submit, raft::Raft& raft) {
    const bool queue = !raft.leader() || first_queued_ < waiters_.end_number();
    const std::uint64_t bytes = submit.request.size();
    if (!has_place(bytes, raft.commit()) || CAIRN_BUGGIFY("replica.no_place")) {
        ++failed_;
        calls_.answer(submit.call, ProposalOutcome{NotApplied{Errc::kTooManyRequests}});
        return;
    }
    bytes_ += bytes;
    const std::uint64_t sequence = waiters_.push(Waiter{.call = submit.call,
                                                        .start_ticks = calls_.now_ticks(),
                                                        .state = State::kQueued,
                                                        .kind = submit.kind,
                                                        .request = std::move(submit.request),
                                                        .bytes = bytes});
    calls_.open(submit.call, CallSlot{.kind = CallKind::kProposal, .number = sequence});
    ++pending_;
    if (!queue) {
        propose_queued(raft);
    }
}

void Proposals::propose_queued(raft::Raft& raft) {
    while (first_queued_ < waiters_.end_number() && raft.leader()) {
        propose(first_queued_++, raft);
    }
    drop_done();
}

void Proposals::propose(std::uint64_t sequence, raft::Raft& raft) {
    Waiter& waiter = waiters_.at(sequence);
    if (waiter.state == State::kDone) {
        return;
    }
    waiter.state = State::kProposed;
    waiter.term = raft.term();
    const ProposalId id{.member = member_, .boot = boot_, .sequence = sequence};
    raft::Propose proposal =
        to_proposal(storage::Command{.kind = waiter.kind,
                                     .id = id,
                                     .decided_in = waiter.term,
                                     .request = std::exchange(waiter.request, {})});
    if (proposal.kind == raft::EntryKind::kConfig && raft.role() == raft::Role::kLeader) {
        changes_.push_back(std::move(proposal));
    } else {
        raft.step(std::move(proposal));
    }
}

void Proposals::refuse_queued(Errc reason) {
    for (; first_queued_ < waiters_.end_number(); ++first_queued_) {
        Waiter& waiter = waiters_.at(first_queued_);
        if (waiter.state == State::kQueued) {
            end(waiter, ProposalOutcome{NotApplied{reason}});
        }
    }
    drop_done();
}

void Proposals::cancel(std::uint64_t sequence) {
    if (!waiters_.contains(sequence) || waiters_.at(sequence).state == State::kDone) {
        std::erase_if(held_, [&](const Held& held) {
            if (held.sequence != sequence) {
                return false;
            }
            --pending_;
            calls_.close(CallId{}, ProposalOutcome{});
            return true;
        });
        return;
    }
    Waiter& waiter = waiters_.at(sequence);
    waiter.call = CallId{};
    if (waiter.state == State::kQueued) {
        CAIRN_PROBE("replica.queued_call_cancelled");
        // Nobody waits for it, and no log has seen it: it need not run at all.
        end(waiter, ProposalOutcome{NotApplied{Errc::kCanceled}});
        drop_done();
    }
}

void Proposals::on_refused(const raft::RefusedProposal& refused) {
    if (refused.id.member != member_ || refused.id.boot != boot_ ||
        !waiters_.contains(refused.id.sequence)) {
        return;
    }
    Waiter& waiter = waiters_.at(refused.id.sequence);
    if (waiter.state != State::kProposed) {
        return;
    }
    const bool lost_leader =
        refused.reason == Errc::kNotLeader || refused.reason == Errc::kNoLeader;
    const Errc reason = lost_leader ? Errc::kLeaderChanged : refused.reason;
    end(waiter, ProposalOutcome{NotApplied{reason}});
    drop_done();
}

void Proposals::on_applied(storage::ApplyOutput& output) {
    applied_ = output.applied.index;
    // First what was applied, then what no longer can be: both may be in the same output.
    for (storage::ApplyResult& result : output.results) {
        on_result(result);
    }
    if (output.applied.term > applied_term_) {
        applied_term_ = output.applied.term;
        end_superseded(applied_term_);
    }
    drop_done();
}

void Proposals::on_result(storage::ApplyResult& result) {
    if (result.id.member != member_ ||
        (result.id.boot != boot_ && !CAIRN_MUTANT(answer_of_another_boot)) ||
        !waiters_.contains(result.id.sequence)) {
        return;  // its waiter gave up before
    }
    Waiter& waiter = waiters_.at(result.id.sequence);
    if (waiter.state != State::kProposed) {
        return;
    }
    Applied outcome{
        .error = result.error, .revision = result.revision, .body = std::move(result.body)};
    if (result.wait_collected > collected_ && waiter.call) {
        CAIRN_PROBE("replica.answer_waits_for_collector");
        held_.push_back(Held{.sequence = result.id.sequence,
                             .wait_collected = result.wait_collected,
                             .call = waiter.call,
                             .outcome = std::move(outcome)});
        waiter.state = State::kDone;
        bytes_ -= waiter.bytes;
        return;
    }
    end(waiter, ProposalOutcome{std::move(outcome)});
}

void Proposals::end_superseded(Term applied_term) {
    for (std::uint64_t sequence = waiters_.begin_number(); sequence < first_queued_; ++sequence) {
        Waiter& waiter = waiters_.at(sequence);
        if (waiter.state == State::kDone) {
            continue;
        }
        if (waiter.term >= applied_term + (CAIRN_MUTANT(given_up_in_its_own_term) ? 1 : 0)) {
            break;
        }
        CAIRN_PROBE("replica.proposal_superseded");
        end(waiter, ProposalOutcome{NotApplied{Errc::kLeaderChanged}});
    }
}

void Proposals::on_installed(raft::EntryId last) {
    applied_term_ = std::max(applied_term_, last.term);
    for (std::uint64_t sequence = waiters_.begin_number(); sequence < first_queued_; ++sequence) {
        Waiter& waiter = waiters_.at(sequence);
        if (waiter.state == State::kProposed) {
            CAIRN_PROBE("replica.unknown_by_snapshot");
            end(waiter, ProposalOutcome{Unknown{Errc::kTimeout}});
        }
    }
    drop_done();
}

void Proposals::on_collected(std::int64_t revision) {
    collected_ = std::max(collected_, revision);
    std::erase_if(held_, [&](Held& held) {
        if (held.wait_collected > collected_) {
            return false;
        }
        --pending_;
        calls_.close(held.call, ProposalOutcome{std::move(held.outcome)});
        return true;
    });
}

bool Proposals::expired(const Waiter& waiter) const {
    return waiter.state == State::kDone ||
           calls_.now_ticks() - waiter.start_ticks >= limits_.timeout_ticks;
}

void Proposals::end_expired(Errc reason) {
    Waiter& waiter = waiters_.front();
    if (waiter.state == State::kQueued) {
        CAIRN_PROBE("replica.queued_call_timed_out");
        end(waiter, ProposalOutcome{NotApplied{reason}});
    } else if (waiter.state == State::kProposed) {
        if (CAIRN_MUTANT(timeout_says_not_applied)) {
            end(waiter, ProposalOutcome{NotApplied{reason}});
            return drop_done();
        }
        end(waiter, ProposalOutcome{Unknown{reason}});
    }
    drop_done();
}

template <class Outcome>
void Proposals::end(Waiter& waiter, Outcome outcome) {
    bytes_ -= waiter.bytes;
    waiter.request = Bytes{};
    if (!std::holds_alternative<Applied>(outcome)) {
        ++failed_;
    }
    waiter.state = State::kDone;
    --pending_;
    calls_.close(waiter.call, std::move(outcome));
}

void Proposals::drop_done() {
    while (!waiters_.empty() && waiters_.front().state == State::kDone) {
        waiters_.pop();
    }
    first_queued_ = std::max(first_queued_, waiters_.begin_number());
}

}  // namespace cairn::server
