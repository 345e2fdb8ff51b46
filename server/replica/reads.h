// Linearizable reads: batched into ReadIndex rounds, granted once the index is applied here.
// Owned by the replica; one thread.
// Never grants a read on a round that began before the read did.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "raft/raft.h"
#include "server/replica/calls.h"
#include "server/replica/event.h"
#include "server/replica/sequence_ring.h"

namespace cairn::server {

struct ReadLimits {
    std::uint64_t timeout_ticks{};
    std::uint64_t retry_ticks{};
};

// Each round covers all reads that wait when it begins, so an answer to any round since then frees
// a read; a lost round is replaced by the next one.
class Reads {
  public:
    // `boot` makes the numbers of rounds unlike those of this member's earlier runs.
    Reads(ReadLimits limits, std::uint64_t boot, Calls& calls);

    void submit(SubmitRead submit);
    // Once a turn: begins a round when there are new reads, when the leader is another one than was
    // asked last, or when the last round is retry_ticks old. Nothing while no leader is known.
    void maybe_ask(raft::Raft& raft);
    void cancel(std::uint64_t number);
    void on_grant(const raft::ReadGrant& grant);
    // Answers the reads whose index is applied.
    void on_applied(Index applied);
    void on_tick();

    [[nodiscard]] std::uint64_t failed() const { return failed_; }

  private:
    struct Waiter {
        CallId call{};  // none: cancelled
        std::uint64_t start_ticks{};
        Index index{};  // none: not granted yet
    };
    struct Round {
        std::uint64_t end{};  // covers the reads before this number
    };
    struct Asked {
        NodeId leader{};
        Term term{};
        std::uint64_t ticks{};
    };

    void drop_answered_rounds();

    ReadLimits limits_;
    Calls& calls_;
    SequenceRing<Waiter> waiters_{1};  // start_ticks never fall
    SequenceRing<Round> rounds_;       // by ReadIndex::request; at most kRoundsMax
    // Invariant: exactly the reads before granted_end_ have an index; those from asked_end_ on are
    // in no round; granted_end_ <= asked_end_.
    std::uint64_t granted_end_ = 1;
    std::uint64_t asked_end_ = 1;
    Asked asked_;
    Index applied_;
    std::uint64_t failed_ = 0;
};

}  // namespace cairn::server
