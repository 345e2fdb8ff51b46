#include "server/net/snapshot_stream.h"

#include <algorithm>
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

// The list of files is there decoded, once more for reading, and as the bytes that go out.
constexpr std::uint64_t kListCopies = 3;

}  // namespace

SnapshotStream::SnapshotStream(Ports ports, boost::asio::any_io_executor reactor,
                               std::weak_ptr<Client> client, wire::StreamId stream)
    : ports_(std::move(ports)),
      reactor_(std::move(reactor)),
      client_(std::move(client)),
      stream_(stream),
      begun_(StallWatch::Clock::now()),
      taking_{StallWatch(begun_, kStillMax)} {}

void SnapshotStream::begin() {
    if (++ports_.metrics.client_snapshots > kClientSnapshotsMax) {
        boost::asio::post(reactor_, [self = shared_from_this()] {
            self->end(api::to_status(Errc::kTooManyRequests));
        });
        return;
    }
    // Weakly: what is not wanted any more is forgotten on another thread.
    ports_.build(wanted_, [weak = weak_from_this()](
                              Result<std::shared_ptr<const storage::BuiltSnapshot>> built) {
        if (const auto self = weak.lock(); self != nullptr) {
            self->on_built(std::move(built));
        }
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
    const storage::SnapshotManifest& manifest = built.value()->manifest;
    list_.bytes = storage::saved_snapshot_bytes(manifest) - manifest.bytes();
    source_ = std::make_shared<Source>(ports_.files, std::move(built).value());
    read();
}

void SnapshotStream::on_queued(std::size_t bytes) {
    if (source_ != nullptr && !reading_ && waiting_.lack == Lack::kNothing &&
        bytes <= kAheadBytes) {
        read();
    }
}

void SnapshotStream::read() {
    auto message = std::make_shared<HeldAnswer>(ports_.responses, wanted_);
    if (!claim_list() || !message->reserve(kMessageClaim)) {
        wait_for(Lack::kRoom);
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
    if (!ports_.readers.submit(wanted_, std::move(work))) {
        wait_for(Lack::kThread);
        return;
    }
    reading_ = true;
    waiting_.since.reset();
}

bool SnapshotStream::claim_list() {
    if (list_.room == nullptr) {
        list_.room = ports_.responses->claim_for_write(kListCopies * list_.bytes);
    }
    return list_.room != nullptr;
}

// At the latest until the next second.
void SnapshotStream::wait_for(Lack lack) {
    if (!waiting_.since.has_value()) {
        waiting_.since = StallWatch::Clock::now();
        ports_.metrics.response_waits += lack == Lack::kRoom ? 1U : 0U;
    }
    waiting_.lack = lack;
    if (lack == Lack::kRoom) {
        ports_.responses->count_starved(1);
        if (!std::exchange(waiting_.listed, true)) {
            ports_.responses->wait(weak_from_this());
        }
    }
}

void SnapshotStream::end_waiting() {
    if (std::exchange(waiting_.lack, Lack::kNothing) == Lack::kRoom) {
        ports_.responses->count_starved(-1);
    }
}

void SnapshotStream::on_room() {
    waiting_.listed = false;
    if (waiting_.lack == Lack::kRoom) {
        end_waiting();
        read();
    }
}

bool SnapshotStream::on_second(std::size_t queued_bytes, TimePoint now) {
    taking_.watch.on_taken(taking_.untaken -
                           std::min<std::uint64_t>(taking_.untaken, queued_bytes));
    taking_.untaken = queued_bytes;
    if (taking_.watch.is_stalled(queued_bytes, now)) {
        ++ports_.metrics.client_snapshots_stalled;
        return false;
    }
    if (waiting_.since.has_value() && now - *waiting_.since >= kStillMax) {
        refuse();
    } else if (waiting_.lack != Lack::kNothing) {
        end_waiting();
        read();
    }
    return true;
}

// For want of what it has waited for.
void SnapshotStream::refuse() {
    const bool no_room = waiting_.lack == Lack::kRoom;
    end_waiting();
    waiting_.since.reset();
    ++ports_.metrics.client_snapshots_refused;
    end(api::to_status(no_room ? ResponseBudget::no_room() : Error(Errc::kTooManyRequests)));
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
    ports_.metrics.client_snapshot_bytes += message->body.size();
    taking_.untaken += message->body.size();
    if (last.value()) {
        source_.reset();  // nothing is read after the digest
        const std::chrono::duration<double> took = StallWatch::Clock::now() - begun_;
        ports_.metrics.client_snapshot_seconds.Observe(took.count());
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

// What reads at this moment keeps the source a little longer, and lets go of it by itself.
void SnapshotStream::release() {
    if (std::exchange(released_, true)) {
        return;
    }
    --ports_.metrics.client_snapshots;
    *wanted_ = false;
    end_waiting();
    if (!reading_) {
        source_.reset();
    }
    list_.room.reset();
}

}  // namespace cairn::server::net
