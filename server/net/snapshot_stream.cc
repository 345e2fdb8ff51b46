#include "server/net/snapshot_stream.h"

#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "proto/etcd/rpc_maintenance.pb.h"
#include "server/api/api_error.h"
#include "server/net/version.h"

namespace cairn::server::net {
namespace {

// The piece is there twice while its message is made of it, and a message has a few bytes more.
constexpr std::uint64_t kMessageClaim = 2 * SnapshotStream::kPieceBytes + 1024;

// Whether this was the last message, whose blob is the digest.
Result<bool> write_message(storage::SavedSnapshotSource& source, HeldAnswer& message) {
    const bool last = source.bytes_left() == 0;
    etcdserverpb::SnapshotResponse response;
    if (last) {
        response.set_blob(source.digest());
    } else {
        CAIRN_TRY(std::string piece, source.next(SnapshotStream::kPieceBytes));
        response.set_blob(std::move(piece));
    }
    response.set_remaining_bytes(source.bytes_left());
    response.set_version(fmt::format("cairn {}", kCairnVersion));
    CAIRN_TRY(message.grow(response.ByteSizeLong()));
    response.SerializeToString(&message.body);
    message.settle();
    return last;
}

// Of a member at once: each has a file open and room for a message.
constexpr std::uint64_t kClientSnapshotsMax = 8;

}  // namespace

SnapshotStream::SnapshotStream(NodePorts& node, boost::asio::any_io_executor reactor,
                               std::weak_ptr<Client> client, wire::StreamId stream)
    : node_(node),
      reactor_(std::move(reactor)),
      client_(std::move(client)),
      stream_(stream),
      begun_(std::chrono::steady_clock::now()),
      last_taken_(begun_) {}

void SnapshotStream::begin() {
    if (++node_.metrics.client_snapshots > kClientSnapshotsMax) {
        boost::asio::post(reactor_, [self = shared_from_this()] {
            self->end(api::to_status(Errc::kTooManyRequests));
        });
        return;
    }
    node_.snapshots.build_for_client(
        [self = shared_from_this()](Result<std::shared_ptr<const storage::BuiltSnapshot>> built) {
            self->on_built(std::move(built));
        });
}

void SnapshotStream::on_built(Result<std::shared_ptr<const storage::BuiltSnapshot>> built) {
    if (released_) {
        return;
    }
    if (built.has_error()) {
        end(api::to_status(built.error()));
        return;
    }
    source_ = std::make_shared<Source>(node_.files, std::move(built).value());
    last_taken_ = std::chrono::steady_clock::now();
    read();
}

void SnapshotStream::on_queued(std::size_t bytes) {
    if (source_ != nullptr && !reading_ && !starved_ && bytes <= kAheadBytes) {
        read();
    }
}

void SnapshotStream::read() {
    auto message = std::make_shared<HeldAnswer>(node_.responses, wanted_);
    if (!message->reserve(kMessageClaim)) {
        starve();
        return;
    }
    auto work = [self = shared_from_this(), source = source_,
                 message = std::move(message)](bool still_wanted) mutable {
        Result<bool> last = Errc::kCanceled;
        if (still_wanted) {
            last = write_message(*source, *message);
        }
        source.reset();
        const boost::asio::any_io_executor reactor = self->reactor_;
        boost::asio::post(reactor, [self = std::move(self), last = std::move(last),
                                    message = std::move(message)]() mutable {
            self->on_read(last, std::move(message));
        });
    };
    reading_ = true;
    if (!node_.readers.submit(wanted_, std::move(work))) {
        reading_ = false;
        end(api::to_status(Errc::kTooManyRequests));
    }
}

void SnapshotStream::starve() {
    starved_ = true;
    ++node_.metrics.response_waits;
    node_.responses->count_starved(1);
    node_.responses->wait(weak_from_this());
    if (node_.responses->has_room(kMessageClaim)) {
        node_.responses->wake_soon();  // given back just before it waited
    }
}

void SnapshotStream::on_room() {
    if (!starved_) {
        return;
    }
    starved_ = false;
    node_.responses->count_starved(-1);
    read();
}

void SnapshotStream::on_read(const Result<bool>& last, std::shared_ptr<HeldAnswer> message) {
    reading_ = false;
    const auto client = client_.lock();
    if (released_ || client == nullptr) {
        source_.reset();
        return;
    }
    if (last.has_error()) {
        end(api::to_status(last.error()));
        return;
    }
    node_.metrics.client_snapshot_bytes += message->body.size();
    if (last.value()) {
        source_.reset();  // nothing is read after the digest
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
        node_.metrics.client_snapshot_seconds.Observe(took.count());
    }
    client->on_snapshot_message(stream_, std::move(message));
    if (last.value()) {
        end({});
    }
}

void SnapshotStream::end(wire::GrpcStatus status) {
    if (const auto client = client_.lock(); client != nullptr && !released_) {
        client->on_snapshot_end(stream_, std::move(status));
    }
}

bool SnapshotStream::is_stalled(std::size_t queued_bytes, TimePoint now) {
    if (queued_bytes != last_queued_ || queued_bytes == 0) {
        last_queued_ = queued_bytes;
        last_taken_ = now;
    }
    return now - last_taken_ >= kStallMax;
}

// What reads at this moment keeps the source a little longer, and lets go of it by itself.
void SnapshotStream::release() {
    if (std::exchange(released_, true)) {
        return;
    }
    --node_.metrics.client_snapshots;
    *wanted_ = false;
    if (std::exchange(starved_, false)) {
        node_.responses->count_starved(-1);
    }
    if (!reading_) {
        source_.reset();
    }
}

}  // namespace cairn::server::net
