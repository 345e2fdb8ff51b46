// Snapshots and the members: who is none any more gets no more of one.
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "catch.h"

#include "server/replica/snapshot_flow.h"

namespace cairn::server {
namespace {

constexpr NodeId kLeader{1};
constexpr NodeId kFollower{2};
constexpr NodeId kThird{3};

NodeView leads() {
    NodeView view;
    view.leader = kLeader;
    view.term = Term{7};
    view.is_leader = true;
    return view;
}

// A turn that says who the members are.
Effects members(const std::vector<NodeId>& ids) {
    PeerSet peers;
    for (const NodeId id : ids) {
        peers.members.emplace_back().set_id(id.value);
    }
    Effects effects;
    effects.peers = std::make_shared<const PeerSet>(std::move(peers));
    return effects;
}

SnapshotEffects take(SnapshotFlow& flow) {
    SnapshotEffects out;
    flow.take_effects(out);
    return out;
}

}  // namespace

TEST_CASE("who is removed gets no more of a snapshot", "[replica][snapshot]") {
    storage::SnapshotManifest manifest;
    manifest.meta.last = {Term{7}, Index{100}};
    manifest.files.push_back({"f0", 10, 0});
    SnapshotFlow flow(kLeader, {});
    Effects turn = members({kLeader, kFollower, kThird});
    turn.snapshots_wanted = {{kFollower, Index{90}}, {kThird, Index{90}}};
    flow.on_turn(turn, leads());
    for (const auto& work : take(flow).work) {
        const auto& build = std::get<BuildSnapshot>(work);
        flow.on_result(SnapshotBuilt{build.to, build.run, std::optional(manifest)});
        flow.on_lane(build.to, true);
    }
    CHECK(take(flow).send.size() == 2);

    flow.on_turn(members({kLeader, kFollower, kThird}), leads());
    CHECK(take(flow).empty());
    flow.on_turn(members({kLeader, kThird}), leads());
    const auto out = take(flow);
    CHECK(out.lanes == std::vector{std::pair{kFollower, false}});
    REQUIRE(out.work.size() == 1);
    CHECK(std::get<DropSnapshot>(out.work.front()).to == kFollower);
    CHECK(flow.stats().sending == 1);
    // The core has forgotten it: its last word comes too late.
    flow.on_message(kFollower, SnapshotDone{});
    CHECK(take(flow).empty());
    flow.on_message(kThird, SnapshotDone{});
    CHECK(take(flow).events.size() == 1);
}

}  // namespace cairn::server
