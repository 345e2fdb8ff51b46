// The part of ClientSession that sends snapshots.
#include <utility>

#include "server/net/client_session.h"

namespace cairn::server::net {

void ClientSession::begin_snapshot(wire::StreamId stream) {
    auto snapshot =
        std::make_shared<SnapshotStream>(node_, socket_.get_executor(), weak_from_this(), stream);
    snapshots_.emplace(stream, snapshot);
    snapshot->begin();
}

void ClientSession::on_snapshot_message(wire::StreamId stream,
                                        std::shared_ptr<HeldAnswer> message) {
    ++node_.metrics.methods[static_cast<std::size_t>(wire::MethodId::kMaintenanceSnapshot)].sent;
    const ByteView body = message->body;
    session_.send_message(stream, body, std::move(message));
    flush();
    feed_snapshots();
}

void ClientSession::on_snapshot_end(wire::StreamId stream, wire::GrpcStatus status) {
    end_call(stream, calls_.at(stream), std::move(status));
    flush();
}

// Reads on for those whose clients have taken what was there. One that fails leaves the map.
void ClientSession::feed_snapshots() {
    for (auto it = snapshots_.begin(); it != snapshots_.end();) {
        const auto [stream, snapshot] = *it++;
        snapshot->on_queued(session_.queued_bytes(stream));
    }
}

void ClientSession::end_stalled_snapshots() {
    const auto now = Clock::now();
    for (auto it = snapshots_.begin(); it != snapshots_.end();) {
        const auto [stream, snapshot] = *it++;
        if (snapshot->is_stalled(session_.queued_bytes(stream), now)) {
            ++node_.metrics.client_snapshots_stalled;
            session_.reset(stream, wire::H2Code::kEnhanceYourCalm);
            forget(stream);
        }
    }
}

}  // namespace cairn::server::net
