// The way from committed entries to the state machine: one apply in flight, in log order.
// Owned by the replica; one thread.
// Never holds more than the core's log does: entries share their payloads with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "raft/types.h"

namespace cairn::server {

class ApplyFlow {
  public:
    // Everything up to `applied` is in the state machine already.
    ApplyFlow(Index applied, std::uint64_t bytes_max) : applied_(applied), bytes_max_(bytes_max) {}

    // The entries committed next; `entries` is left empty.
    void push(std::vector<raft::Entry>& entries);
    // The next entries to apply, into the empty `out`: none while an apply is in flight, at most
    // bytes_max of them and of the long answers they may have, but at least one.
    void take(std::vector<raft::Entry>& out);
    // The apply in flight is over; it went up to `applied`, which is all of what was taken.
    void on_applied(Index applied);

    // A snapshot is to replace the state machine: what waits is in it. True when nothing is in
    // flight, so that it may begin; else it may when on_applied has been called.
    [[nodiscard]] bool pause();
    // It has: everything up to `applied` is in the state machine.
    void resume(Index applied);

    [[nodiscard]] Index applied() const { return applied_; }

  private:
    Index applied_;         // Invariant: applied_ <= in_flight_to_.
    Index in_flight_to_{};  // none: no apply in flight
    // Invariant: queue_[head_...] are consecutive and begin behind what is applied or in flight.
    std::vector<raft::Entry> queue_;
    std::size_t head_ = 0;
    std::uint64_t bytes_max_;
};

}  // namespace cairn::server
