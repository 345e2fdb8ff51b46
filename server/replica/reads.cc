#include "server/replica/reads.h"

#include <algorithm>

#include "base/buggify.h"
#include "base/mutant.h"
#include "base/prng.h"
#include "base/probe.h"

namespace cairn::server {
namespace {

// Rounds whose answers are still recognised; an answer to an older one is ignored.
constexpr std::uint64_t kRoundsMax = 4096;

// Far from the starts of other boots, and from the end of the numbers.
std::uint64_t first_round(std::uint64_t boot) {
    std::uint64_t state = boot;
    return (splitmix64(state) >> 1U) + 1;
}

}  // namespace

Reads::Reads(ReadLimits limits, std::uint64_t boot, Calls& calls)
    : limits_(limits), calls_(calls), rounds_(first_round(boot)) {}

void Reads::submit(SubmitRead submit) {
    if (calls_.full()) {
        ++failed_;
        calls_.answer(submit.call, ReadFailed{Errc::kTooManyRequests});
        return;
    }
    const std::uint64_t number =
        waiters_.push(Waiter{.call = submit.call, .start_ticks = calls_.now_ticks()});
    calls_.open(submit.call, CallSlot{.kind = CallKind::kRead, .number = number});
}

void Reads::maybe_ask(raft::Raft& raft) {
    if (granted_end_ == waiters_.end_number() || !raft.leader()) {
        return;
    }
    const bool fresh = asked_end_ < waiters_.end_number();
    const bool other_leader = asked_.leader != raft.leader() || asked_.term != raft.term();
    const bool overdue = calls_.now_ticks() - asked_.ticks >= limits_.retry_ticks &&
                         !CAIRN_MUTANT(lost_read_not_asked_again);
    if (!fresh && !other_leader && !overdue && !CAIRN_BUGGIFY("replica.read_asked_early")) {
        return;
    }
    if (!fresh) {
        CAIRN_PROBE("replica.read_asked_again");
    }
    asked_ = Asked{.leader = raft.leader(), .term = raft.term(), .ticks = calls_.now_ticks()};
    asked_end_ = waiters_.end_number();
    if (rounds_.size() >= kRoundsMax) {
        rounds_.pop();
    }
    const std::uint64_t request = rounds_.push(Round{.end = asked_end_});
    raft.step(raft::ReadIndex{.request = request});
}

void Reads::cancel(std::uint64_t number) {
    if (waiters_.contains(number)) {
        waiters_.at(number).call = CallId{};
    }
}

void Reads::on_grant(const raft::ReadGrant& grant) {
    if (!rounds_.contains(grant.request)) {
        CAIRN_PROBE("replica.read_grant_too_late");
        return;  // all its reads are answered or over
    }
    const std::uint64_t end =
        CAIRN_MUTANT(grant_for_later_reads) ? asked_end_ : rounds_.at(grant.request).end;
    for (std::uint64_t number = granted_end_; number < end; ++number) {
        waiters_.at(number).index = grant.index;
    }
    granted_end_ = std::max(granted_end_, end);
    drop_answered_rounds();
    on_applied(applied_);
}

void Reads::drop_answered_rounds() {
    while (!rounds_.empty() && rounds_.front().end <= granted_end_) {
        rounds_.pop();
    }
}

void Reads::on_applied(Index applied) {
    applied_ = applied;
    while (waiters_.begin_number() < granted_end_ &&
           (waiters_.front().index <= applied || CAIRN_MUTANT(read_before_applied))) {
        calls_.close(waiters_.front().call, ReadGranted{.applied = applied});
        waiters_.pop();
    }
}

void Reads::on_tick() {
    while (!waiters_.empty() &&
           calls_.now_ticks() - waiters_.front().start_ticks >= limits_.timeout_ticks) {
        const bool granted = waiters_.begin_number() < granted_end_;
        if (granted) {
            CAIRN_PROBE("replica.read_waits_too_long_for_apply");
        }
        ++failed_;
        calls_.close(waiters_.front().call,
                     ReadFailed{granted ? Errc::kTimeoutWaitAppliedIndex : Errc::kTimeout});
        waiters_.pop();
    }
    granted_end_ = std::max(granted_end_, waiters_.begin_number());
    asked_end_ = std::max(asked_end_, waiters_.begin_number());
    drop_answered_rounds();
}

}  // namespace cairn::server
