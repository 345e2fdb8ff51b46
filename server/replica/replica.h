// The replica: consensus, proposals, reads and apply driven as one pure state machine.
// Owned by the shell (or the simulator) and used on one thread.
// Never blocks, reads a clock, touches a file or logs: events in, effects out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/trace_event.h"
#include "raft/config.h"
#include "raft/persist.h"
#include "raft/raft.h"
#include "server/replica/effect.h"
#include "server/replica/event.h"
#include "server/replica/membership_limits.h"
#include "server/replica/view.h"
#include "storage/state_machine.h"

namespace cairn::server {

struct ReplicaConfig {
    raft::Config raft;
    std::uint64_t boot{};  // drawn at random by the shell at each start; part of every proposal id

    // A proposal or read without an answer for so long ends as Unknown / ReadFailed (etcd: 5 s + 2
    // election timeouts), in ticks.
    std::uint64_t request_timeout_ticks = 70;
    // A linearizable read round without an answer is asked again after so many ticks (etcd: 500
    // ms).
    std::uint64_t read_retry_ticks = 5;

    std::uint64_t pending_bytes_max = 256U * 1024U * 1024U;  // requests of those, together
    std::uint64_t pending_calls_max = 100'000;  // waiters of both kinds; over it: kTooManyRequests
    MembershipLimits membership{};
    std::uint64_t apply_bytes_max = 4U * 1024U * 1024U;  // entries of one Effects::apply
};

class Replica {
  public:
    // From what the log and the engine hold. Errors as Raft::restore's.
    static Result<std::unique_ptr<Replica>> restore(const ReplicaConfig& config,
                                                    raft::Recovered recovered,
                                                    storage::AppliedState applied);
    Replica(const Replica&) = delete;
    Replica& operator=(const Replica&) = delete;
    ~Replica();

    // Total: never fails; after a halt everything is ignored.
    void step(Event event);
    // Moves everything asked for since the last call into `out` (cleared first). Step many, take
    // once: that is the group commit.
    void take_effects(Effects& out);
    [[nodiscard]] const NodeView& view() const;

    // For raft/invariants.h and tests.
    [[nodiscard]] const raft::Raft& raft() const;
    // The flight recorder: the newest events stepped, oldest first, without their payloads. `kind`
    // is the event's position in Event; `arg` counts ticks.
    [[nodiscard]] std::vector<TraceEvent> recent_events() const;

  private:
    class Impl;
    explicit Replica(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::server
