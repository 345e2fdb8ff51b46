// All connections with other members, both ways.
// Owned by the Node; on the reactor's thread.
// Never interprets a message, and never keeps two connections from the same member on one lane.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "proto/cairn/command.pb.h"
#include "server/net/log_limit.h"
#include "server/net/peer_link.h"
#include "server/net/peer_session.h"
#include "server/replica/peers.h"

namespace cairn::server::net {

// Links to members that greeted before this one knew of them.
inline constexpr std::size_t kNewcomersMax = 16;
// A member that was removed stays so long, and is kept in touch with: its clients get their
// answers, it hears that its removal is committed, and the others what it had to say as a leader
// (etcd: 1 s, too).
inline constexpr std::chrono::seconds kRemovedStay{1};

class PeerHub {
  public:
    struct Hooks {
        std::function<void(raft::Message)> on_message;
        std::function<void(NodeId)> on_lost;
        std::function<void(NodeId, const std::string&)> on_log;
        // The lane of snapshots: from its dialler, and when a connection begins and ends.
        std::function<void(NodeId, SnapshotMessage)> on_snapshot{};
        std::function<void(const std::shared_ptr<PeerSession>&, bool open)> on_lane{};
        // A member, or who was named as one at the start, says that this one is out for good.
        std::function<void()> on_removed = [] {};
    };
    // `others`: whom to reach until follow() knows better.
    PeerHub(boost::asio::io_context& reactor, PeerIdentity identity,
            const std::vector<PeerAddress>& others, Hooks hooks, Metrics& metrics);

    void start();
    void stop();
    // The members have changed: links are made, changed and closed, those of who was removed after
    // kRemovedStay. Until this member is one of them itself, the list is of the past (its log is
    // being filled), or it was removed and is to be told so: then nobody is forgotten.
    void follow(std::shared_ptr<const PeerSet> peers);
    // Takes over a connection that another member opened. When there are too many, the oldest one
    // that has not greeted gives way and is counted: a member greets within a round trip, strangers
    // that say nothing must not keep it out.
    void accept(boost::asio::ip::tcp::socket socket);
    // Queues and sends one turn's messages.
    void send(const std::vector<raft::Message>& messages);

    // Its URLs are those of this member's entry in the list of members, once there is one.
    [[nodiscard]] const PeerIdentity& identity() const { return identity_; }
    // The newest kind of command that all members are known to know: what this one may write.
    [[nodiscard]] command::CommandKind newest_common_command() const;
    // Where a member is reached.
    [[nodiscard]] std::optional<PeerAddress> address_of(NodeId id) const;
    [[nodiscard]] std::size_t known() const { return links_.size(); }
    [[nodiscard]] std::size_t connected() const;

  private:
    // Makes the link, or makes it anew when the address is another.
    void link_to(const PeerAddress& address);
    void on_removed_by(NodeId id);
    // With all connections to it.
    void drop_link(NodeId id);
    // The same, but after kRemovedStay.
    void part_from(NodeId id);
    void forget_all_but(const std::vector<NodeId>& kept);
    void greet_as(const command::MemberInfo& self);
    // False when all have greeted.
    bool close_oldest_stranger();
    [[nodiscard]] peer::HelloReply on_hello(const peer::Hello& hello);
    [[nodiscard]] peer::Standing standing_of(const peer::Hello& hello) const;
    // A member of this cluster that this one does not know: it may have joined while this one was
    // down, and lead. To answer it takes a link.
    void meet(const peer::Hello& hello);
    void on_greeted(const std::shared_ptr<PeerSession>& session);
    void say(NodeId id, const std::string& text);

    boost::asio::io_context& reactor_;
    PeerIdentity identity_;
    Hooks hooks_;
    Metrics& metrics_;
    std::shared_ptr<const PeerSet> peers_ = std::make_shared<const PeerSet>();
    std::map<NodeId, std::shared_ptr<PeerLink>> links_;
    struct Parting {
        std::shared_ptr<PeerLink> link;
        boost::asio::steady_timer end;
    };
    std::map<NodeId, Parting> parting_;  // none of links_
    std::vector<NodeId> newcomers_;      // of links_, oldest first; at most kNewcomersMax
    // As their last greetings said. Ids of links_: it stands as long as the member does, since one
    // that is away must be able to go on with what was written meanwhile.
    std::map<NodeId, std::uint32_t> newest_commands_;
    std::shared_ptr<const PeerSession::Hooks> session_hooks_;
    std::vector<std::weak_ptr<PeerSession>> sessions_;  // in the order in which they came
    // Of sessions_; ids as of links_ and parting_.
    std::map<std::pair<NodeId, peer::Lane>, std::weak_ptr<PeerSession>> greeted_;
    const std::size_t sessions_max_;
    LogLimit said_;
    bool started_ = false;
};

}  // namespace cairn::server::net
