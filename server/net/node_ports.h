// What client sessions need of the node they belong to.
// Owned by the Node, outlives every session; on the reactor's thread.
// Never owns anything alone: it names the parts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "base/ids.h"
#include "base/result.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "proto/wire/h2_limits.h"
#include "server/api/dispatcher.h"
#include "server/api/read_gate.h"
#include "server/net/metrics.h"
#include "server/net/peer_hub.h"
#include "server/net/read_pool.h"
#include "server/net/replica_driver.h"
#include "server/net/response_budget.h"
#include "server/net/snapshot_driver.h"
#include "storage/file_system.h"

namespace cairn::server::net {

struct NodePorts {
    ReplicaDriver& driver;
    const PeerHub& peers;
    const api::Dispatcher& dispatcher;
    Metrics& metrics;
    ReadPool& readers;
    std::shared_ptr<ResponseBudget> responses;  // shared: answers on their way keep it
    std::function<ScrapeFacts()> facts;
    wire::H2Limits limits;
    storage::FileSystem& files;
    SnapshotDriver& snapshots;
    api::ReadGate reads{};
    // What health goes by when to read them takes long: the alarms as they were last read.
    Result<std::vector<etcdserverpb::AlarmMember>> alarms_known;
    // While one of the readers reads them anew: how long all who ask wait for that. Null: none
    // does.
    std::shared_ptr<boost::asio::steady_timer> alarms_read{};
};

}  // namespace cairn::server::net
