// What goes wrong and when: faults drawn one after the other, each undone after a while.
// Owned by the world; one thread.
// Never damages more copies than the cluster can lose, unless the run is an unbounded one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/prng.h"
#include "sim/atlas.h"
#include "sim/basics.h"
#include "sim/event_queue.h"
#include "sim/options.h"
#include "sim/parts.h"
#include "sim/sim_net.h"
#include "sim/sim_node.h"
#include "sim/workload.h"

namespace cairn::sim {

// One fault, by its number in the run: the draws of each are its own, so that leaving one out does
// not change what the others are.
struct Strike {
    std::uint64_t number{};
    Time time{};
    const char* what = "";
    NodeIndex node{};
};

class Nemesis {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    // All outlive it.
    Nemesis(const WorldParts& world, Prng prng, const Atlas& atlas, Nodes& nodes,
            Workload& workload);

    void start();
    void handle(const NemesisEvent& event);
    // Ends all faults and starts no more; nodes that are down come up again soon.
    void heal();
    [[nodiscard]] const std::vector<Strike>& strikes() const { return strikes_; }

  private:
    using Undo = std::function<void()>;

    void strike();
    NodeIndex victim();
    NodeIndex other_than(NodeIndex node);
    Time duration();
    void crash(NodeIndex node);
    void crash_at_effect(NodeIndex node);
    void crash_in_recovery(NodeIndex node);
    void pause(NodeIndex node);
    void isolate(NodeIndex node);
    void one_way(NodeIndex node);
    void cut_link(NodeIndex node);
    void clog(NodeIndex node);
    void slow_disk(NodeIndex node);
    void transfer(NodeIndex node);
    void crash_loop(NodeIndex node);
    void swizzle(NodeIndex node);
    void slow_link(NodeIndex node);
    void hang_disk(NodeIndex node);
    void disk_error(NodeIndex node);
    void disk_full(NodeIndex node);
    void rot(NodeIndex node);
    void misdirect(NodeIndex node);
    void clock_jump(NodeIndex node);
    void clock_stop(NodeIndex node);
    void overload(NodeIndex node);
    void crash_all(NodeIndex node);
    void split(NodeIndex node);
    void damage(NodeIndex node, SimNode::Damage kind);
    void cut_pairs(std::vector<std::pair<NodeIndex, NodeIndex>> pairs);
    void undo_later(Undo undo);
    void note(const char* what, NodeIndex node);

    const WorldParts& world_;
    Prng prng_;
    Prng dice_;  // of the strike under way
    const Atlas& atlas_;
    Nodes& nodes_;
    Workload& workload_;
    bool healed_ = false;
    std::uint64_t struck_ = 0;
    std::vector<Strike> strikes_;
    std::vector<Undo> undos_;  // by NemesisEvent::arg - 1; empty when done
};

}  // namespace cairn::sim
