// What goes wrong and when: faults drawn one after the other, each undone after a while.
// Owned by the world; one thread.
// Never touches what was synced: every fault is one that the cluster must survive.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/prng.h"
#include "sim/basics.h"
#include "sim/event_queue.h"
#include "sim/options.h"
#include "sim/parts.h"
#include "sim/sim_net.h"
#include "sim/sim_node.h"

namespace cairn::sim {

class Nemesis {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    Nemesis(const WorldParts& world, Prng prng, Nodes& nodes);

    void start();
    void handle(const NemesisEvent& event);
    // Ends all faults and starts no more; nodes that are down come up again soon.
    void heal();

  private:
    using Undo = std::function<void()>;

    void strike();
    NodeIndex victim();
    NodeIndex other_than(NodeIndex node);
    Time duration();
    void crash(NodeIndex node);
    void crash_at_effect(NodeIndex node);
    void crash_all();
    void crash_in_recovery(NodeIndex node);
    void pause(NodeIndex node);
    void isolate(NodeIndex node);
    void split();
    void one_way(NodeIndex node);
    void cut_link(NodeIndex node);
    void clog(NodeIndex node);
    void slow_disk(NodeIndex node);
    void transfer(NodeIndex node);
    void cut_pairs(std::vector<std::pair<NodeIndex, NodeIndex>> pairs);
    void undo_later(Undo undo);
    void say(const char* what, NodeIndex node) const;

    const Options& options_;
    Prng prng_;
    EventQueue& queue_;
    SimNet& net_;
    Nodes& nodes_;
    bool verbose_;
    bool healed_ = false;
    std::vector<Undo> undos_;  // by NemesisEvent::arg - 1; empty when done
};

}  // namespace cairn::sim
