// SnapshotStream: one Maintenance/Snapshot call: has a snapshot built, reads it piece by piece on
// the pool, and gives each message to its session when the client has taken those before.
// Owned by the ClientSession; on the reactor's thread, but for the reading.
// Never holds more memory than a few pieces and the list of the snapshot's files, which both count
// in the budget, nor the files once the call has ended; and, once its snapshot is built, never
// stands still for long. The build is not timed: it takes what it takes to read the state.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>

#include "proto/wire/grpc_status.h"
#include "proto/wire/stream_event.h"
#include "server/net/metrics.h"
#include "server/net/read_pool.h"
#include "server/net/response_budget.h"
#include "server/net/snapshot_thread.h"
#include "server/net/stall_watch.h"
#include "storage/saved_snapshot.h"

namespace cairn::server::net {

class SnapshotStream final : public ResponseBudget::Waiter,
                             public std::enable_shared_from_this<SnapshotStream> {
  public:
    using TimePoint = StallWatch::Clock::time_point;

    // Whom it works for.
    class Client {
      public:
        virtual ~Client() = default;
        virtual void on_snapshot_message(wire::StreamId stream,
                                         std::shared_ptr<HeldAnswer> message) = 0;
        virtual void on_snapshot_end(wire::StreamId stream, wire::GrpcStatus status) = 0;
    };

    // What it needs of the node, which outlives it.
    struct Ports {
        Metrics& metrics;
        ReadPool& readers;
        std::shared_ptr<ResponseBudget> responses;
        storage::FileSystem& files;
        // Called back on the reactor, unless nobody wants it any more.
        std::function<void(SnapshotThread::Wanted, SnapshotThread::OnBuilt)> build;
    };

    // Of the snapshot in one message; etcd has 32 KiB.
    static constexpr std::size_t kPieceBytes = 128U * 1024U;
    // What may wait for the client when the next piece is read.
    static constexpr std::size_t kAheadBytes = 2 * kPieceBytes;
    // How long one may stand still, since its snapshot's files take room on the disk: because its
    // client takes next to nothing, or because the member has no room or no thread for it.
    static constexpr std::chrono::seconds kStillMax{60};

    SnapshotStream(Ports ports, boost::asio::any_io_executor reactor, std::weak_ptr<Client> client,
                   wire::StreamId stream);

    // Once. What follows comes by the client's calls, never from within this one.
    void begin();
    // So much of what was given is not taken yet: reads on when that is little.
    void on_queued(std::size_t bytes);
    // About once a second; ends the call when the member has kept it waiting for too long. False:
    // the client has taken next to nothing for too long.
    [[nodiscard]] bool on_second(std::size_t queued_bytes, TimePoint now);
    // The call has ended, one way or the other: no call of the client follows. Must come last.
    void release();

    void on_room() override;

  private:
    using Source = storage::SavedSnapshotSource;
    // For what the next piece waits.
    enum class Lack : std::uint8_t { kNothing, kRoom, kThread };
    // The manifest, as source_ has it, and what is claimed for it.
    struct List {
        std::uint64_t bytes = 0;
        std::shared_ptr<const void> room;
    };
    struct Waiting {
        Lack lack = Lack::kNothing;
        std::optional<TimePoint> since;  // until a piece is being read
        bool listed = false;             // in the budget, which calls on_room
    };
    struct Taking {
        StallWatch watch;
        std::uint64_t untaken = 0;  // by the client, when it was looked at last, and given since
    };

    void on_built(Result<std::shared_ptr<const storage::BuiltSnapshot>> built);
    void read();
    [[nodiscard]] bool claim_list();
    void wait_for(Lack lack);
    void end_waiting();
    void refuse();
    // `last`: whether this was the digest.
    void on_read(const Result<bool>& last, std::shared_ptr<HeldAnswer> message);
    void end(wire::GrpcStatus status);

    const Ports ports_;
    const boost::asio::any_io_executor reactor_;
    const std::weak_ptr<Client> client_;
    const wire::StreamId stream_;
    const ReadPool::Wanted wanted_ = ReadPool::want();
    const TimePoint begun_;
    std::shared_ptr<Source> source_;  // the pool's while reading_
    List list_;
    Waiting waiting_;
    Taking taking_;
    bool reading_ = false;
    bool released_ = false;
};

}  // namespace cairn::server::net
