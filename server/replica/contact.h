// Since when this member has been in touch with whom: names the likely cause of a timeout.
// Owned by the replica; one thread.
// Never used for anything but the reason of an answer.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "raft/types.h"
#include "server/replica/peers.h"

namespace cairn::server {

class Contact {
  public:
    // `silence_ticks`: who says nothing for so long is not connected.
    Contact(NodeId self, std::uint64_t silence_ticks)
        : self_(self), silence_ticks_(silence_ticks) {}

    void heard(NodeId node, std::uint64_t now_ticks);
    void lost(NodeId node);
    // Forgets everybody else.
    void keep(const PeerSet& peers);
    // A leader other than the last known one appeared.
    void elected(std::uint64_t now_ticks) { elected_at_ = now_ticks; }

    // Whether it was heard of lately, over a connection that has not broken since.
    [[nodiscard]] bool is_connected(NodeId node, std::uint64_t now_ticks) const {
        return connected_since(node, now_ticks, now_ticks);
    }
    // Why a request that began at `start_ticks` got no answer until now. As etcd decides: a leader
    // elected soon after the start means the one before failed; else no connection to the leader
    // (or, on the leader, to a quorum) through the whole time; else just a timeout.
    [[nodiscard]] Errc timeout_reason(std::uint64_t start_ticks, std::uint64_t now_ticks,
                                      NodeId leader, const raft::ConfState& conf) const;

  private:
    struct Peer {
        NodeId node{};
        bool connected = false;
        std::uint64_t since{};       // start of the unbroken contact
        std::uint64_t last_heard{};  // Invariant: >= since while connected.
    };

    Peer* find(NodeId node);
    [[nodiscard]] bool connected_since(NodeId node, std::uint64_t start, std::uint64_t now) const;
    [[nodiscard]] bool quorum_since(const std::vector<NodeId>& voters, std::uint64_t start,
                                    std::uint64_t now) const;

    NodeId self_;
    std::uint64_t silence_ticks_;
    std::uint64_t elected_at_ = 0;
    std::vector<Peer> peers_;  // at most kPeersMax
};

}  // namespace cairn::server
