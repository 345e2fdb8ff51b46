// The administrator: adds, promotes, updates and removes members, one change at a time; starts who
// was added and takes down for good who was removed.
// Owned by the world; one thread.
// Never asks for a change that the atlas does not allow.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/prng.h"
#include "sim/atlas.h"
#include "sim/basics.h"
#include "sim/parts.h"
#include "sim/sim_node.h"
#include "sim/workload.h"

namespace cairn::sim {

class Admin {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    // All outlive it.
    Admin(const WorldParts& world, Prng prng, const Atlas& atlas, Nodes& nodes, Workload& workload);

    void start();
    void handle();
    // No more changes; what is under way comes to its end, and the nodes follow.
    void heal();
    // All members were started or are lost, those that clients know as voters have their vote, and
    // no removed one runs any more.
    [[nodiscard]] bool settled() const;

  private:
    void follow();
    [[nodiscard]] bool is_named(const SimNode& node) const;
    [[nodiscard]] bool is_in_the_way(const SimNode& node) const;
    void maybe_change();
    void propose(const MemberChange& change);
    [[nodiscard]] Request request_of(const MemberChange& change);
    [[nodiscard]] std::optional<MemberChange> draw_change();
    [[nodiscard]] std::optional<MemberChange> addition(bool is_learner);
    [[nodiscard]] std::optional<MemberChange> promotion();
    [[nodiscard]] std::optional<MemberChange> removal(bool leader);
    [[nodiscard]] std::optional<MemberChange> update();
    [[nodiscard]] bool makes_sense(const MemberChange& change) const;
    [[nodiscard]] NodeIndex pick(const std::vector<NodeId>& ids);

    const WorldParts& world_;
    Prng prng_;
    const Atlas& atlas_;
    Nodes& nodes_;
    Workload& workload_;
    bool healed_ = false;
    Time next_change_ = 0;
};

}  // namespace cairn::sim
