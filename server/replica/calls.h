// What proposals, reads and transfers share: the clock in ticks, the way to answer, the limits.
// Owned by the replica; one thread.
// Never decides what an answer says.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "server/replica/call_index.h"
#include "server/replica/completion.h"

namespace cairn::server {

class Calls {
  public:
    explicit Calls(std::uint64_t pending_max) : pending_max_(pending_max) {}

    [[nodiscard]] std::uint64_t now_ticks() const { return now_ticks_; }
    void tick() { ++now_ticks_; }

    // Waiting calls, and cancelled ones whose command still runs.
    [[nodiscard]] bool full() const { return pending_ >= pending_max_; }
    [[nodiscard]] std::uint64_t pending_max() const { return pending_max_; }

    void open(CallId call, CallSlot slot) {
        index_.insert(call, slot);
        ++pending_;
    }
    // The client wants no answer: forgets the call, not the work.
    std::optional<CallSlot> cancel(CallId call) { return index_.take(call); }
    // The work is over; `call` is none when it was cancelled.
    template <class Outcome>
    void close(CallId call, Outcome outcome) {
        --pending_;
        if (call) {
            index_.take(call);
            answer(call, std::move(outcome));
        }
    }
    // Answers a call that never waited.
    template <class Outcome>
    void answer(CallId call, Outcome outcome) {
        completions_.push_back(Completion{.call = call, .result = std::move(outcome)});
    }
    // Swaps the answers gathered so far into `out`, which must be empty, and stamps them.
    void take(Term term, std::vector<Completion>& out) {
        out.swap(completions_);
        for (Completion& completion : out) {
            completion.term = term;
        }
    }

  private:
    CallIndex index_;
    std::vector<Completion> completions_;
    std::uint64_t now_ticks_ = 0;
    std::uint64_t pending_ = 0;
    std::uint64_t pending_max_;
};

}  // namespace cairn::server
