#include "server/replica/contact.h"

#include <algorithm>

namespace cairn::server {
namespace {

// Members of one cluster, with room for those that came and went since it was last looked at.
constexpr std::size_t kPeersMax = 64;

}  // namespace

Contact::Peer* Contact::find(NodeId node) {
    for (Peer& peer : peers_) {
        if (peer.node == node) {
            return &peer;
        }
    }
    if (peers_.size() >= kPeersMax) {
        return nullptr;
    }
    return &peers_.emplace_back(Peer{.node = node});
}

void Contact::heard(NodeId node, std::uint64_t now_ticks) {
    Peer* peer = find(node);
    if (peer == nullptr) {
        return;
    }
    if (!peer->connected || now_ticks - peer->last_heard > silence_ticks_) {
        peer->connected = true;
        peer->since = now_ticks;
    }
    peer->last_heard = now_ticks;
}

void Contact::lost(NodeId node) {
    if (Peer* peer = find(node); peer != nullptr) {
        peer->connected = false;
    }
}

void Contact::keep(const PeerSet& peers) {
    std::erase_if(peers_, [&](const Peer& peer) {
        return std::none_of(peers.members.begin(), peers.members.end(),
                            [&](const auto& member) { return member.id() == peer.node.value; });
    });
}

bool Contact::connected_since(NodeId node, std::uint64_t start, std::uint64_t now) const {
    if (node == self_) {
        return true;
    }
    return std::any_of(peers_.begin(), peers_.end(), [&](const Peer& peer) {
        return peer.node == node && peer.connected && peer.since <= start &&
               now - peer.last_heard <= silence_ticks_;
    });
}

bool Contact::quorum_since(const std::vector<NodeId>& voters, std::uint64_t start,
                           std::uint64_t now) const {
    const auto count =
        static_cast<std::size_t>(std::count_if(voters.begin(), voters.end(), [&](NodeId voter) {
            return connected_since(voter, start, now);
        }));
    return voters.empty() || count > voters.size() / 2;
}

Errc Contact::timeout_reason(std::uint64_t start_ticks, std::uint64_t now_ticks, NodeId leader,
                             const raft::ConfState& conf) const {
    // etcd: the start lies within two election timeouts before the newest leader was elected.
    const std::uint64_t window = 2 * silence_ticks_;
    if (start_ticks < elected_at_ && elected_at_ - start_ticks < window) {
        return Errc::kTimeoutLeaderFailure;
    }
    if (!leader) {
        return Errc::kTimeout;
    }
    const bool connected = leader == self_
                               ? quorum_since(conf.voters, start_ticks, now_ticks) &&
                                     quorum_since(conf.voters_outgoing, start_ticks, now_ticks)
                               : connected_since(leader, start_ticks, now_ticks);
    return connected ? Errc::kTimeout : Errc::kTimeoutConnectionLost;
}

}  // namespace cairn::server
