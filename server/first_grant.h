// Asks the replica for a first grant as soon as there is a leader, lest the ReadGate stay shut
// until a client comes: when the quorum is gone by then, it would get nothing of what is here.
// Owned by the Node; on the reactor's thread.
// Never gives up: what was not granted is asked again while nothing else is in flight.
#pragma once

#include <cstdint>
#include <memory>

#include "server/api/read_gate.h"
#include "server/net/replica_driver.h"
#include "server/replay_mark.h"

namespace cairn::server {

class FirstGrant : public net::CallOwner, public std::enable_shared_from_this<FirstGrant> {
  public:
    // Both outlive it.
    FirstGrant(net::ReplicaDriver& driver, api::ReadGate& gate) : driver_(driver), gate_(gate) {}

    void on_tick();

    void on_completion(std::uint64_t token, const Completion& completion) override;
    void on_turn_end() override {}

  private:
    net::ReplicaDriver& driver_;
    api::ReadGate& gate_;
    ReplayMark replayed_;
    bool in_flight_ = false;
    bool done_ = false;
};

}  // namespace cairn::server
