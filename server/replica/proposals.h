// The fate of every write of this member's clients: admission, waiting, exactly one outcome.
// Owned by the replica; one thread.
// Never calls an outcome NotApplied unless the command cannot take effect any more.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "proto/cairn/command.pb.h"
#include "raft/raft.h"
#include "server/replica/calls.h"
#include "server/replica/event.h"
#include "server/replica/sequence_ring.h"
#include "storage/state_machine.h"

namespace cairn::server {

struct ProposalLimits {
    std::uint64_t timeout_ticks{};
    std::uint64_t bytes_max{};  // requests of all that wait, together; one always fits
    // Committed and not yet applied here, in entries, above which nothing is taken: as in etcd each
    // member looks at itself, beside what the leader's core refuses.
    std::uint64_t apply_gap_max{};
};

// Outcomes, each decided in one place:
//   Applied     its entry was applied (on_applied)
//   NotApplied  refused by the core or here, so that it never entered a log; or an entry of a later
//               term than the one it was proposed in was applied first: log terms never fall, and
//               only that term's leader may have appended it (on_applied)
//   Unknown     it was proposed, and no answer came in time (on_tick), or what would tell was
//   passed
//               over by a snapshot (on_installed)
class Proposals {
  public:
    // `applied`: what the state machine holds at the start.
    Proposals(NodeId member, std::uint64_t boot, ProposalLimits limits, Index applied,
              Calls& calls);

    // Proposes at once, or when a leader becomes known (as etcd holds a proposal until then).
    void submit(Submit submit, raft::Raft& raft);
    // Changes of members that this member, as leader, is to judge before the core gets them.
    [[nodiscard]] std::vector<raft::Propose> take_changes() { return std::exchange(changes_, {}); }
    // Proposes what was held back, once a leader is known.
    void propose_queued(raft::Raft& raft);
    // Answers what was held back with NotApplied{reason}.
    void refuse_queued(Errc reason);

    void cancel(std::uint64_t sequence);
    void on_refused(const raft::RefusedProposal& refused);
    // Moves the bodies out of `output`.
    void on_applied(storage::ApplyOutput& output);
    // A snapshot up to `last` replaced the state machine: what was proposed may be in it or not.
    void on_installed(raft::EntryId last);
    void on_collected(std::int64_t revision);
    // Ends what began timeout_ticks ago or earlier; `reason(start_ticks)` names the cause.
    template <class Reason>
    void on_tick(Reason reason) {
        while (!waiters_.empty() && expired(waiters_.front())) {
            end_expired(reason(waiters_.front().start_ticks));
        }
    }

    [[nodiscard]] std::uint64_t pending() const { return pending_; }
    [[nodiscard]] std::uint64_t failed() const { return failed_; }

  private:
    enum class State : std::uint8_t { kQueued, kProposed, kDone };
    struct Waiter {
        CallId call{};  // none: cancelled
        std::uint64_t start_ticks{};
        State state = State::kDone;
        Term term{};  // it may be in the log of this term only; set when proposed
        command::CommandKind kind = command::UNKNOWN;  // these two while queued
        Bytes request{};
        std::uint64_t bytes{};  // what it counts for
    };
    // An applied compaction whose client waits for the garbage to be gone.
    struct Held {
        std::uint64_t sequence{};
        std::int64_t wait_collected{};
        CallId call{};
        Applied outcome{};
    };

    [[nodiscard]] bool has_place(std::uint64_t bytes, Index commit) const;
    [[nodiscard]] bool expired(const Waiter& waiter) const;
    void end_expired(Errc reason);
    void propose(std::uint64_t sequence, raft::Raft& raft);
    void on_result(storage::ApplyResult& result);
    void end_superseded(Term applied_term);
    template <class Outcome>
    void end(Waiter& waiter, Outcome outcome);
    void drop_done();

    NodeId member_;
    std::uint64_t boot_;
    ProposalLimits limits_;
    Calls& calls_;

    SequenceRing<Waiter> waiters_{1};  // by ProposalId::sequence; start_ticks and term never fall
    // Invariant: exactly the waiters from here on are kQueued (or done again).
    std::uint64_t first_queued_ = 1;
    std::uint64_t bytes_ = 0;  // of the waiters that are not done
    std::vector<raft::Propose> changes_;
    std::vector<Held> held_;
    std::int64_t collected_ = 0;
    Term applied_term_;
    Index applied_;
    std::uint64_t pending_ = 0;
    std::uint64_t failed_ = 0;
};

}  // namespace cairn::server
