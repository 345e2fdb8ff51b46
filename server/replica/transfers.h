// Calls that wait for leadership to be handed over.
// Owned by the replica; one thread.
// Never decides who may lead or how long it may take: the core does.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "raft/raft.h"
#include "raft/ready.h"
#include "server/replica/calls.h"
#include "server/replica/event.h"

namespace cairn::server {

class Transfers {
  public:
    explicit Transfers(Calls& calls) : calls_(calls) {}

    // Starts a transfer, or joins the one under way.
    void submit(const TransferLeader& transfer, raft::Raft& raft);
    void cancel(CallId call);
    void on_result(const raft::TransferResult& result);

  private:
    struct Waiter {
        CallId call{};
        NodeId to{};  // none: anybody else
    };

    Calls& calls_;
    std::vector<Waiter> waiters_;  // all of one transfer; bounded by the replica's pending calls
};

}  // namespace cairn::server
