#include "raft/lease.h"

#include "base/mutant.h"

namespace cairn::raft {

void Lease::set_clock(std::uint64_t now_ns) {
    if (now_ns < now_ns_) {
        reset();
        promise();
    }
    now_ns_ = now_ns;
    clock_is_newer_ = true;
    if (!vote_held_until_ns_) {
        vote_held_until_ns_ = now_ns_ + promise_ns_;
    }
}

bool Lease::holds_vote() const {
    return enabled() && !CAIRN_MUTANT(lease_without_promise) &&
           (!vote_held_until_ns_ || now_ns_ < *vote_held_until_ns_);
}

void Lease::reset() {
    asked_.reset();
    held_until_ns_ = 0;
}

void Lease::begin_term() {
    reset();
    given_up_ = false;
}

void Lease::asked(std::uint64_t round) {
    if (enabled() && !asked_) {
        asked_ = Asked{round, now_ns_};
    }
}

void Lease::confirmed(std::uint64_t round) {
    if (asked_ && asked_->round <= round) {
        // Counted from the question: the promise may be as old as that.
        const std::uint64_t since = CAIRN_MUTANT(lease_from_the_answer) ? now_ns_ : asked_->at_ns;
        held_until_ns_ = since + lease_ns();
        asked_.reset();
    }
}

bool Lease::is_held() const {
    return enabled() && clock_is_newer_ && now_ns_ < held_until_ns_ &&
           (!given_up_ || CAIRN_MUTANT(lease_survives_transfer));
}

}  // namespace cairn::raft
