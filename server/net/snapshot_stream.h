// SnapshotStream: one Maintenance/Snapshot call: has a snapshot built, reads it piece by piece on
// the pool, and gives each message to its session when the client has taken those before.
// Owned by the ClientSession; on the reactor's thread, but for the reading.
// Never holds more memory than a few pieces, nor the snapshot's files once the call has ended.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "proto/wire/grpc_status.h"
#include "proto/wire/stream_event.h"
#include "server/net/node_ports.h"
#include "server/net/read_pool.h"
#include "server/net/response_budget.h"
#include "storage/saved_snapshot.h"

namespace cairn::server::net {

class SnapshotStream final : public ResponseBudget::Waiter,
                             public std::enable_shared_from_this<SnapshotStream> {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // Whom it works for.
    class Client {
      public:
        virtual ~Client() = default;
        virtual void on_snapshot_message(wire::StreamId stream,
                                         std::shared_ptr<HeldAnswer> message) = 0;
        virtual void on_snapshot_end(wire::StreamId stream, wire::GrpcStatus status) = 0;
    };

    // Of the snapshot in one message; etcd has 32 KiB.
    static constexpr std::size_t kPieceBytes = 128U * 1024U;
    // What may wait for the client when the next piece is read.
    static constexpr std::size_t kAheadBytes = 2 * kPieceBytes;
    // How long a client may take nothing: the snapshot's files take room on the disk.
    static constexpr std::chrono::seconds kStallMax{60};

    SnapshotStream(NodePorts& node, boost::asio::any_io_executor reactor,
                   std::weak_ptr<Client> client, wire::StreamId stream);

    // Once. What follows comes by the client's calls, never from within this one.
    void begin();
    // So much of what was given is not taken yet: reads on when that is little.
    void on_queued(std::size_t bytes);
    // Whether the client has taken nothing for too long; to be asked about once a second.
    [[nodiscard]] bool is_stalled(std::size_t queued_bytes, TimePoint now);
    // The call has ended, one way or the other: no call of the client follows. Must come last.
    void release();

    void on_room() override;

  private:
    using Source = storage::SavedSnapshotSource;

    void on_built(Result<std::shared_ptr<const storage::BuiltSnapshot>> built);
    void read();
    void starve();
    // `last`: whether this was the digest.
    void on_read(const Result<bool>& last, std::shared_ptr<HeldAnswer> message);
    void end(wire::GrpcStatus status);

    NodePorts& node_;
    const boost::asio::any_io_executor reactor_;
    const std::weak_ptr<Client> client_;
    const wire::StreamId stream_;
    ReadPool::Wanted wanted_ = ReadPool::want();
    std::shared_ptr<Source> source_;  // the pool's while reading_
    const TimePoint begun_;
    std::size_t last_queued_ = 0;
    TimePoint last_taken_;  // when last_queued_ became what it is
    bool reading_ = false;
    bool starved_ = false;
    bool released_ = false;
};

}  // namespace cairn::server::net
