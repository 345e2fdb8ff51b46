// The leader's lease for reads without a round of messages (dissertation §6.4.1), and the promise
// of followers that it stands on: who answers a heartbeat votes for nobody else for a while. Owned
// by the core, on the replica's thread. Never trusts ticks: those of a member that was stopped may
// come late and all at once.
#pragma once

#include <cstdint>
#include <optional>

#include "raft/config.h"

namespace cairn::raft {

class Lease {
  public:
    explicit Lease(const Config& config) : promise_ns_(config.lease_promise_ns) {}

    [[nodiscard]] bool enabled() const { return promise_ns_ > 0; }
    [[nodiscard]] std::uint64_t promise_ns() const { return promise_ns_; }
    // This member's clock, one that never goes back and goes on while the machine sleeps. Later
    // than whatever was stepped before it. Should it go back, nothing is granted, and all promised.
    void set_clock(std::uint64_t now_ns);

    // As follower. A heartbeat was taken, and its answer leaves after the next set_clock.
    void promise() { vote_held_until_ns_.reset(); }
    // The leader that had the promise wants it no more.
    void release() { vote_held_until_ns_ = 0; }
    // Whether no other than the leader may have this member's vote. From the start on: what it
    // promised in an earlier run is not known.
    [[nodiscard]] bool holds_vote() const;

    // As leader. Nothing is granted: a new term, or a new configuration.
    void reset();
    // The next leader may have been called: its voters ask nobody. For the rest of the term.
    void give_up() { given_up_ = true; }
    void begin_term();
    // Whether a member that promises so much promises enough.
    [[nodiscard]] bool suffices(std::uint64_t promise_ns) const {
        return enabled() && promise_ns >= promise_ns_;
    }
    // A heartbeat with a new round leaves now.
    void asked(std::uint64_t round);
    // Every needed majority has answered all rounds up to `round` with a promise.
    void confirmed(std::uint64_t round);
    // A read came: it may not be granted by a clock that was read before.
    void read_came() { clock_is_newer_ = false; }
    void granted(std::uint64_t reads) { reads_ += reads; }
    [[nodiscard]] std::uint64_t reads() const { return reads_; }
    // Whether nobody else can have been elected when set_clock was last called.
    [[nodiscard]] bool is_held() const;

  private:
    struct Asked {
        std::uint64_t round{};
        std::uint64_t at_ns{};
    };

    // What of the promise a leader relies on: its clock may be slower than a follower's by a tenth.
    [[nodiscard]] std::uint64_t lease_ns() const { return promise_ns_ - promise_ns_ / 10; }

    std::uint64_t promise_ns_;
    std::uint64_t now_ns_ = 0;
    bool clock_is_newer_ = false;
    std::optional<std::uint64_t> vote_held_until_ns_;  // none: from the next set_clock on
    std::optional<Asked> asked_;                       // the oldest round that is not confirmed
    std::uint64_t held_until_ns_ = 0;
    bool given_up_ = false;
    std::uint64_t reads_ = 0;
};

}  // namespace cairn::raft
