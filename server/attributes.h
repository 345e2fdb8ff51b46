// Tells the cluster this member's name and client URLs, once after each start (etcd: publish).
// Owned by the Node; on the reactor's thread.
// Never gives up but on what is malformed: what was not applied is proposed again while nothing
// else is in flight.
#pragma once

#include <cstdint>
#include <memory>

#include "proto/cairn/command.pb.h"
#include "server/net/replica_driver.h"
#include "server/replay_mark.h"

namespace cairn::server {

class AttributePublisher : public net::CallOwner,
                           public std::enable_shared_from_this<AttributePublisher> {
  public:
    AttributePublisher(net::ReplicaDriver& driver, command::MemberInfo self);

    // Proposes when a leader is known and the cluster does not know these attributes yet.
    void on_tick();

    void on_completion(std::uint64_t token, const Completion& completion) override;
    void on_turn_end() override {}

  private:
    [[nodiscard]] bool known_already() const;

    net::ReplicaDriver& driver_;
    command::MemberInfo self_;
    ReplayMark replayed_;
    bool in_flight_ = false;
    bool done_ = false;
};

}  // namespace cairn::server
