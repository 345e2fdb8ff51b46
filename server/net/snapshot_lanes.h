// The connections that carry snapshots: those dialled to followers, and those that leaders opened.
// Owned by the Node; every method on the reactor's thread.
// Never on the way of heartbeats: these are other connections than PeerHub's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "base/ids.h"
#include "server/net/metrics.h"
#include "server/net/peer_hub.h"
#include "server/net/peer_link.h"
#include "server/net/peer_session.h"
#include "server/replica/snapshot_message.h"

namespace cairn::server::net {

class SnapshotLanes {
  public:
    struct Hooks {
        std::function<void(NodeId, bool up)> on_lane;  // one that want() asked for
        std::function<void(NodeId)> on_lane_lost;      // one that a leader had opened
        std::function<void(NodeId, SnapshotMessage)> on_message;
        std::function<void(NodeId, const std::string&)> on_log;
    };
    // `hub` outlives it.
    SnapshotLanes(boost::asio::io_context& reactor, PeerIdentity identity, const PeerHub& hub,
                  Hooks hooks, Metrics& metrics);

    // Dials `to` and keeps dialling, or stops.
    void want(NodeId to, bool wanted);
    // The hub's addresses have changed: those that are kept are dialled where their members are
    // now.
    void follow();
    // On the connection that this kind of message belongs to; dropped while there is none.
    void send(NodeId to, const SnapshotMessage& message);
    // As PeerHub::Hooks::on_lane.
    void on_session(const std::shared_ptr<PeerSession>& session, bool open);
    void stop();

  private:
    bool on_answer(NodeId from, ByteView payload);

    boost::asio::io_context& reactor_;
    PeerIdentity identity_;
    const PeerHub& hub_;
    Hooks hooks_;
    Metrics& metrics_;
    std::map<NodeId, std::shared_ptr<PeerLink>> dialled_;
    std::map<NodeId, std::weak_ptr<PeerSession>> opened_;
    std::string frame_;  // reused
};

}  // namespace cairn::server::net
