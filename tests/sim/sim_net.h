// The network between the nodes: delays, loss, repeats, other orders, cuts in any direction, clogs.
// Owned by the world; one thread.
// Never changes a message: members may trust each other's bytes, not their arrival.
#pragma once

#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "raft/message.h"
#include "sim/basics.h"
#include "sim/counters.h"
#include "sim/event_queue.h"
#include "sim/options.h"

namespace cairn::sim {

class SimNet {
  public:
    SimNet(const Options& options, Prng prng, EventQueue& queue, Counters& counters);

    // Schedules the message's arrivals: none, one or two.
    void send(NodeIndex from, NodeIndex to, raft::Message message);

    // One direction of one link.
    void cut(NodeIndex from, NodeIndex to, bool on) { link(from, to).cuts += on ? 1 : -1; }
    // Nothing arrives on this direction before `until`; then everything does.
    void clog(NodeIndex from, NodeIndex to, Time until) { link(from, to).clogged_until = until; }
    [[nodiscard]] bool is_cut(NodeIndex from, NodeIndex to) { return link(from, to).cuts > 0; }
    // Everything takes `factor` times as long on this direction; 1 again: as before.
    void slow(NodeIndex from, NodeIndex to, Time factor) { link(from, to).factor = factor; }
    // No loss, no repeats, no long delays from now on; all cuts and clogs end.
    void heal();

    // Events for the sender: a broken connection noticed. The node's life is filled in by the
    // world.
    struct Loss {
        NodeIndex at{};
        NodeIndex peer{};
    };
    [[nodiscard]] std::vector<Loss>& losses() { return losses_; }

  private:
    struct Link {
        std::int32_t cuts = 0;
        Time clogged_until = 0;
        Time last_arrival = 0;
        Time factor = 1;
    };
    Link& link(NodeIndex from, NodeIndex to) { return links_[from * nodes_ + to]; }
    Time draw_delay();

    NetOptions options_;
    Prng prng_;
    EventQueue& queue_;
    Counters& counters_;
    std::uint32_t nodes_;
    std::vector<Link> links_;
    std::vector<Loss> losses_;
};

// min + an exponential part with the given mean.
Time draw_time(Prng& prng, Time min, Time mean);

}  // namespace cairn::sim
