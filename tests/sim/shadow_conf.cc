#include "sim/shadow_conf.h"

#include <cstddef>
#include <cstdint>
#include <set>

namespace cairn::sim {
namespace {

constexpr std::size_t kHeaderBytes = 10;

}  // namespace

std::optional<ShadowChange> read_change(const Bytes& payload) {
    const auto byte = [&](std::size_t at) {
        return std::uint64_t{static_cast<unsigned char>(payload.view()[at])};
    };
    if (payload.size() < kHeaderBytes || byte(0) != 1) {
        return std::nullopt;
    }
    ShadowChange change{.kind = static_cast<raft::ConfChangeKind>(byte(1)), .node = {}};
    for (std::size_t at = 0; at < 8; ++at) {
        change.node.value += byte(2 + at) << (8 * at);
    }
    return change;
}

std::optional<raft::ConfState> conf_after(const raft::ConfState& conf, const ShadowChange& change) {
    using Kind = raft::ConfChangeKind;
    std::set<NodeId> voters(conf.voters.begin(), conf.voters.end());
    std::set<NodeId> learners(conf.learners.begin(), conf.learners.end());
    const bool votes = voters.contains(change.node);
    const bool is_in = votes || learners.contains(change.node);
    const bool leaves = change.kind == Kind::kLeaveJoint;
    if (leaves == conf.voters_outgoing.empty()) {
        return std::nullopt;
    }
    bool sensible = false;
    bool becomes_joint = false;
    switch (change.kind) {
        case Kind::kBootstrapVoter:
            sensible = !is_in;
            voters.insert(change.node);
            break;
        case Kind::kAddVoter:
            sensible = !votes;
            becomes_joint = true;
            learners.erase(change.node);
            voters.insert(change.node);
            break;
        case Kind::kAddLearner:
            sensible = !is_in;
            learners.insert(change.node);
            break;
        case Kind::kRemove:
            becomes_joint = votes;
            learners.erase(change.node);
            voters.erase(change.node);
            sensible = is_in && !voters.empty();
            break;
        case Kind::kUpdate: sensible = is_in; break;
        case Kind::kLeaveJoint: sensible = true; break;
    }
    if (!sensible) {
        return std::nullopt;
    }
    raft::ConfState after;
    after.voters.assign(voters.begin(), voters.end());
    after.learners.assign(learners.begin(), learners.end());
    if (becomes_joint) {
        after.voters_outgoing = conf.voters;
        after.auto_leave = true;
    }
    return after;
}

}  // namespace cairn::sim
