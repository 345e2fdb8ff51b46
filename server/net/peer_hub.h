// All connections with other members, both ways.
// Owned by the Node; on the reactor's thread.
// Never interprets a message, and never keeps two connections from the same member on one lane.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "server/net/log_limit.h"
#include "server/net/peer_link.h"
#include "server/net/peer_session.h"

namespace cairn::server::net {

class PeerHub {
  public:
    struct Hooks {
        std::function<void(raft::Message)> on_message;
        std::function<void(NodeId)> on_lost;
        std::function<void(NodeId, const std::string&)> on_log;
        // The lane of snapshots: from its dialler, and when a connection begins and ends.
        std::function<void(NodeId, SnapshotMessage)> on_snapshot{};
        std::function<void(const std::shared_ptr<PeerSession>&, bool open)> on_lane{};
    };
    PeerHub(boost::asio::io_context& reactor, PeerIdentity identity,
            const std::vector<PeerAddress>& others, const Hooks& hooks, Metrics& metrics);

    void start();
    void stop();
    // Takes over a connection that another member opened. When there are too many, the oldest one
    // that has not greeted gives way and is counted: a member greets within a round trip, strangers
    // that say nothing must not keep it out.
    void accept(boost::asio::ip::tcp::socket socket);
    // Queues and sends one turn's messages.
    void send(const std::vector<raft::Message>& messages);

    // Where a member is reached.
    [[nodiscard]] std::optional<PeerAddress> address_of(NodeId id) const;
    [[nodiscard]] std::size_t known() const { return links_.size(); }
    [[nodiscard]] std::size_t connected() const;

  private:
    // False when all have greeted.
    bool close_oldest_stranger();
    void on_greeted(const std::shared_ptr<PeerSession>& session);

    PeerIdentity identity_;
    Metrics& metrics_;
    std::function<void(const std::shared_ptr<PeerSession>&, bool open)> on_lane_;
    std::map<NodeId, std::shared_ptr<PeerLink>> links_;
    std::shared_ptr<const PeerSession::Hooks> session_hooks_;
    std::vector<std::weak_ptr<PeerSession>> sessions_;  // in the order in which they came
    // Of sessions_; ids as of links_.
    std::map<std::pair<NodeId, peer::Lane>, std::weak_ptr<PeerSession>> greeted_;
    const std::size_t sessions_max_;
    LogLimit said_;
};

}  // namespace cairn::server::net
