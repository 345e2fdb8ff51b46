#include "server/replica/snapshot_flow.h"

#include <utility>
#include <variant>

#include "base/overload.h"

namespace cairn::server {

SnapshotFlow::SnapshotFlow(NodeId self, const SnapshotLimits& limits)
    : limits_(limits), sender_(limits_, out_, stats_), receiver_(self, limits_, out_, stats_) {}

void SnapshotFlow::on_turn(const Effects& effects, const NodeView& view) {
    sender_.on_view(view);
    receiver_.on_view(view);
    if (effects.peers != nullptr) {
        sender_.on_peers(*effects.peers);
    }
    for (const raft::SnapshotWanted& wanted : effects.snapshots_wanted) {
        sender_.wanted(wanted);
    }
    if (effects.install.has_value() || effects.install_refused) {
        receiver_.on_verdict(effects.install.has_value());
    }
}

void SnapshotFlow::tick() {
    sender_.tick();
    receiver_.tick();
}

void SnapshotFlow::on_message(NodeId from, SnapshotMessage message) {
    std::visit(Overload{[&](SnapshotOffer& offer) { receiver_.on(from, offer); },
                        [&](SnapshotChunk& chunk) { receiver_.on(from, std::move(chunk)); },
                        [&](auto& answer) { sender_.on(from, answer); }},
               message);
}

void SnapshotFlow::on_result(SnapshotResult result) {
    std::visit(Overload{[&](SnapshotBuilt& built) { sender_.on(std::move(built)); },
                        [&](PieceRead& read) { sender_.on(std::move(read)); },
                        [&](auto& other) { receiver_.on(std::move(other)); }},
               result);
}

void SnapshotFlow::take_effects(SnapshotEffects& out) {
    out.clear();
    std::swap(out, out_);
}

}  // namespace cairn::server
