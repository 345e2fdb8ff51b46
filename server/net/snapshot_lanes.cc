#include "server/net/snapshot_lanes.h"

#include <utility>
#include <variant>
#include <vector>

#include "server/peer/snapshot_codec.h"

namespace cairn::server::net {

SnapshotLanes::SnapshotLanes(boost::asio::io_context& reactor, PeerIdentity identity,
                             const PeerHub& hub, Hooks hooks, Metrics& metrics)
    : reactor_(reactor),
      identity_(std::move(identity)),
      hub_(hub),
      hooks_(std::move(hooks)),
      metrics_(metrics) {}

void SnapshotLanes::want(NodeId to, bool wanted) {
    if (const auto former = dialled_.find(to); former != dialled_.end()) {
        former->second->stop();
        dialled_.erase(former);
    }
    const auto address = hub_.address_of(to);
    if (!wanted || !address) {
        return;
    }
    const auto link = std::make_shared<PeerLink>(
        reactor_, *address, identity_,
        PeerLink::Hooks{
            .on_lost = [this](NodeId id) { hooks_.on_lane(id, false); },
            .on_log = hooks_.on_log,
            .on_connected = [this](NodeId id) { hooks_.on_lane(id, true); },
            .on_answer = [this](NodeId id, ByteView payload) { return on_answer(id, payload); }},
        metrics_);
    link->set_lane(peer::Lane::kSnapshots);
    dialled_[to] = link;
    link->start();
}

void SnapshotLanes::follow() {
    std::vector<NodeId> moved;
    for (const auto& [to, link] : dialled_) {
        if (hub_.address_of(to) != link->address()) {
            moved.push_back(to);
        }
    }
    for (const NodeId to : moved) {
        if (dialled_.contains(to)) {  // the hook may have given it up meanwhile
            want(to, true);
            hooks_.on_lane(to, false);
        }
    }
}

bool SnapshotLanes::on_answer(NodeId from, ByteView payload) {
    auto message = peer::decode_snapshot_message(payload);
    if (message.has_error() || std::holds_alternative<SnapshotOffer>(message.value()) ||
        std::holds_alternative<SnapshotChunk>(message.value())) {
        return false;
    }
    hooks_.on_message(from, std::move(message).value());
    return true;
}

void SnapshotLanes::send(NodeId to, const SnapshotMessage& message) {
    frame_.clear();
    peer::append_snapshot_frame(message, frame_);
    if (std::holds_alternative<SnapshotOffer>(message) ||
        std::holds_alternative<SnapshotChunk>(message)) {
        if (const auto link = dialled_.find(to); link != dialled_.end()) {
            link->second->send_frame(frame_);
            link->second->flush();
        }
    } else if (const auto found = opened_.find(to); found != opened_.end()) {
        if (const auto session = found->second.lock(); session != nullptr) {
            session->send_frame(frame_);
        }
    }
}

void SnapshotLanes::on_session(const std::shared_ptr<PeerSession>& session, bool open) {
    if (open) {
        opened_[session->from()] = session;
        return;
    }
    const auto known = opened_.find(session->from());
    if (known != opened_.end() && known->second.lock() == session) {
        opened_.erase(known);
        hooks_.on_lane_lost(session->from());
    }
}

void SnapshotLanes::stop() {
    for (const auto& [to, link] : dialled_) {
        link->stop();
    }
    dialled_.clear();
    opened_.clear();
}

}  // namespace cairn::server::net
