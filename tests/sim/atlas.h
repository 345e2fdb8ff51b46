// The fault atlas: who still has its data, and what may therefore be done to the cluster.
// Owned by the world; one thread.
// Never lets damage and changes of the members add up to a lost quorum, whatever becomes of the
// changes whose outcome nobody knows yet.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "sim/basics.h"
#include "sim/parts.h"
#include "sim/sim_node.h"
#include "sim/workload.h"

namespace cairn::sim {

class Atlas {
  public:
    using Nodes = std::vector<std::unique_ptr<SimNode>>;
    // All outlive it.
    Atlas(const WorldParts& world, const Nodes& nodes, const Workload& workload)
        : world_(world), nodes_(nodes), workload_(workload) {}

    // Without the node's data, too, those whose data is whole stay a majority.
    [[nodiscard]] bool may_damage(NodeIndex node) const;
    // The same after this change, and when it does not happen.
    [[nodiscard]] bool may_change(const MemberChange& change) const;
    // Those that are not lost can decide in every configuration by which they may have to.
    [[nodiscard]] bool has_quorum() const;

  private:
    [[nodiscard]] bool is_safe(std::optional<NodeIndex> damaged,
                               std::optional<MemberChange> change) const;

    const WorldParts& world_;
    const Nodes& nodes_;
    const Workload& workload_;
};

}  // namespace cairn::sim
