// The connections that carry snapshots: dialled by a leader, in order and whole as long as they
// stand, and broken by cuts, by loss and by the end of either side.
// Owned by the world; one thread.
// Never delivers behind a break what was sent before it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/prng.h"
#include "server/replica/snapshot_message.h"
#include "sim/basics.h"
#include "sim/counters.h"
#include "sim/event_queue.h"
#include "sim/options.h"
#include "sim/sim_net.h"

namespace cairn::sim {

class SimNode;

class SimLanes {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    // All outlive it.
    struct Parts {
        const Options& options;
        EventQueue& queue;
        SimNet& net;
        Counters& counters;
        TraceHash& trace;
    };
    SimLanes(const Parts& parts, Prng prng);
    void set_nodes(Nodes& nodes) { nodes_ = &nodes; }

    // `from` wants a connection to `to`, a new one, until it wants none.
    void want(NodeIndex from, NodeIndex to, bool wanted);
    [[nodiscard]] bool is_wanted(NodeIndex from, NodeIndex to) const {
        return lanes_[from * count_ + to].wanted;
    }
    // Pieces that have reached `to` and were damaged on their way.
    [[nodiscard]] std::uint64_t damaged_to(NodeIndex to) const { return damaged_to_[to]; }
    // On the connection that this kind of message belongs to; dropped while there is none.
    void send(NodeIndex from, NodeIndex to, server::SnapshotMessage message);
    void on_node_down(NodeIndex node);
    void handle(const LaneEvent& event);
    // No message is lost or damaged any more.
    void heal() { healed_ = true; }

  private:
    struct Sent {
        server::SnapshotMessage message{};
        bool damaged = false;
    };
    struct Direction {
        std::deque<Sent> messages{};
        Time last_arrival{};
    };
    struct Lane {
        bool wanted = false;
        bool up = false;
        std::uint64_t epoch{};     // counts connections: events of an earlier one are void
        std::uint64_t accepted{};  // the epoch of the one that the other side holds; 0: none
        Direction forth{};
        Direction back{};
    };

    Lane& lane(NodeIndex dialer, NodeIndex acceptor) { return lanes_[dialer * count_ + acceptor]; }
    void after(Time delay, LaneEvent event) { parts_.queue.after(delay, event); }
    void connect(const LaneEvent& event);
    void deliver(const LaneEvent& event, bool forth);
    void take_down(NodeIndex dialer, NodeIndex acceptor);
    void lose(NodeIndex dialer, NodeIndex acceptor);
    // Whether it did.
    bool maybe_damage(server::SnapshotMessage& message);

    Parts parts_;
    Prng prng_;
    Nodes* nodes_ = nullptr;
    std::uint32_t count_;
    std::vector<Lane> lanes_;
    std::vector<std::uint64_t> damaged_to_;
    bool healed_ = false;
};

}  // namespace cairn::sim
