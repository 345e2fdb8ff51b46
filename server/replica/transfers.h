// Calls that wait for leadership to be handed over.
// Owned by the replica; one thread.
// Never decides who may lead: the core does.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "raft/raft.h"
#include "server/replica/calls.h"
#include "server/replica/event.h"

namespace cairn::server {

class Transfers {
  public:
    Transfers(std::uint64_t timeout_ticks, Calls& calls)
        : timeout_ticks_(timeout_ticks), calls_(calls) {}

    // As etcd's MoveLeader answers: kNotLeader on a follower, kBadLeaderTransferee for who cannot
    // lead, success at once when nothing has to move.
    void submit(const TransferLeader& transfer, raft::Raft& raft);
    void cancel(CallId call);
    // Once a turn: done when another member is known to lead, failed when it is not the wanted one
    // or after timeout_ticks.
    void check(const raft::Raft& raft);

  private:
    struct Waiter {
        CallId call{};
        NodeId to{};  // none: anybody else
        std::uint64_t start_ticks{};
    };

    std::uint64_t timeout_ticks_;
    Calls& calls_;
    std::vector<Waiter> waiters_;  // bounded by the replica's pending calls
};

}  // namespace cairn::server
