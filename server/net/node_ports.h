// What client sessions need of the node they belong to.
// Owned by the Node, outlives every session; on the reactor's thread.
// Never owns anything: it names the parts.
#pragma once

#include <cstdint>
#include <functional>

#include "base/ids.h"
#include "proto/wire/h2_limits.h"
#include "server/api/dispatcher.h"
#include "server/net/metrics.h"
#include "server/net/read_pool.h"
#include "server/net/replica_driver.h"

namespace cairn::server::net {

struct NodePorts {
    ReplicaDriver& driver;
    const api::Dispatcher& dispatcher;
    Metrics& metrics;
    ReadPool& readers;
    std::function<ScrapeFacts()> facts;
    wire::H2Limits limits;
};

}  // namespace cairn::server::net
