#include "sim/atlas.h"

#include <algorithm>

#include "sim/quorums.h"

namespace cairn::sim {
namespace {

// How far the whole ones of a half are above its half, after the worst of all that may yet come:
// each removal that hits a whole one, each vote for one that is not.
template <class Whole>
bool stays_majority(const std::vector<NodeId>& voters, const std::vector<MemberChange>& changes,
                    const SafetyChecker& safety, const Whole& is_whole) {
    const auto whole = std::count_if(voters.begin(), voters.end(), is_whole);
    std::ptrdiff_t above = 2 * whole - static_cast<std::ptrdiff_t>(voters.size());
    for (const MemberChange& change : changes) {
        const NodeId id = safety.id_of(change.node);
        const bool votes = std::binary_search(voters.begin(), voters.end(), id);
        const bool takes_whole = change.command == command::MEMBER_REMOVE && votes && is_whole(id);
        const bool adds_damaged = change.gives_vote() && !votes && !is_whole(id);
        above -= takes_whole || adds_damaged ? 1 : 0;
    }
    return above > 0;
}

}  // namespace

bool Atlas::is_safe(std::optional<NodeIndex> damaged, std::optional<MemberChange> change) const {
    std::vector<MemberChange> changes = workload_.open_changes();
    if (change) {
        changes.push_back(*change);
    }
    const auto is_whole = [&](NodeId id) {
        const NodeIndex node = world_.safety.index_of(id);
        return node != damaged && !nodes_[node]->damaged();
    };
    const raft::ConfState& conf = world_.safety.applied_conf();
    return stays_majority(conf.voters, changes, world_.safety, is_whole) &&
           (conf.voters_outgoing.empty() ||
            stays_majority(conf.voters_outgoing, changes, world_.safety, is_whole));
}

bool Atlas::may_damage(NodeIndex node) const {
    return world_.options.disk.unbounded || is_safe(node, std::nullopt);
}

bool Atlas::may_change(const MemberChange& change) const { return is_safe(std::nullopt, change); }

bool Atlas::has_quorum() const {
    const auto is_left = [&](NodeId id) { return !nodes_[world_.safety.index_of(id)]->lost(); };
    const std::vector<ConfPtr> confs = world_.safety.deciding_confs();
    return std::all_of(confs.begin(), confs.end(),
                       [&](const ConfPtr& conf) { return is_quorum(*conf, is_left); });
}

}  // namespace cairn::sim
