// The administrator: adds, promotes, updates and removes members, one change at a time; starts who
// was added and takes down for good who was removed.
// Owned by the world; one thread.
// Never asks for a change that leaves fewer than a majority of voters with their data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/prng.h"
#include "proto/cairn/command.pb.h"
#include "raft/conf_change.h"
#include "sim/basics.h"
#include "sim/options.h"
#include "sim/parts.h"
#include "sim/sim_node.h"
#include "sim/workload.h"

namespace cairn::sim {

class Admin {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    Admin(const WorldParts& world, Prng prng, Nodes& nodes, Workload& workload);

    void start();
    void handle();
    // No more changes; what is under way comes to its end, and the nodes follow.
    void heal();
    // All members were started or are lost, those that clients know as voters have their vote, and
    // no removed one runs any more.
    [[nodiscard]] bool settled() const;

  private:
    struct Change {
        command::CommandKind command = command::UNKNOWN;
        raft::ConfChangeKind kind = raft::ConfChangeKind::kUpdate;
        NodeIndex node{};
        bool is_learner = false;
    };

    void follow();
    [[nodiscard]] bool is_named(const SimNode& node) const;
    void maybe_change();
    void propose(const Change& change);
    [[nodiscard]] std::optional<Change> draw_change();
    [[nodiscard]] std::optional<Change> addition(bool is_learner);
    [[nodiscard]] std::optional<Change> promotion();
    [[nodiscard]] std::optional<Change> removal(bool leader);
    [[nodiscard]] std::optional<Change> update();
    [[nodiscard]] bool leaves_quorum(const Change& change) const;
    [[nodiscard]] NodeIndex pick(const std::vector<NodeId>& ids);

    const Options& options_;
    Prng prng_;
    EventQueue& queue_;
    SafetyChecker& safety_;
    Counters& counters_;
    Nodes& nodes_;
    Workload& workload_;
    bool verbose_;
    bool healed_ = false;
    Time next_change_ = 0;
};

}  // namespace cairn::sim
