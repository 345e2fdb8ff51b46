// The part of ClientSession that sends snapshots.
#include <utility>

#include "server/net/client_session.h"

namespace cairn::server::net {
namespace {

// Of one connection at once: what waits on it of them is not held back by what else does.
constexpr std::size_t kSnapshotsMax = 2;

}  // namespace

void ClientSession::begin_snapshot(wire::StreamId stream) {
    if (snapshots_.size() >= kSnapshotsMax) {
        finish(stream, calls_.at(stream), api::format_error(Error(Errc::kTooManyRequests)));
        return;
    }
    const SnapshotStream::Ports ports{
        node_.metrics, node_.readers, node_.responses, node_.files,
        [&snapshots = node_.snapshots](SnapshotThread::Wanted wanted,
                                       SnapshotThread::OnBuilt on_built) {
            snapshots.build_for_client(std::move(wanted), std::move(on_built));
        }};
    auto snapshot =
        std::make_shared<SnapshotStream>(ports, socket_.get_executor(), weak_from_this(), stream);
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

// Reads on for those whose clients have taken what was there.
void ClientSession::feed_snapshots() {
    for (const auto& [stream, snapshot] : snapshots_) {
        snapshot->on_queued(session_.queued_bytes(stream));
    }
}

// One that ends leaves the map.
void ClientSession::look_after_snapshots() {
    const auto now = Clock::now();
    for (auto it = snapshots_.begin(); it != snapshots_.end();) {
        const auto [stream, snapshot] = *it++;
        if (!snapshot->on_second(session_.queued_bytes(stream), now)) {
            // A text would wait behind what is not taken.
            session_.reset(stream, wire::H2Code::kEnhanceYourCalm);
            forget(stream);
        }
    }
}

}  // namespace cairn::server::net
