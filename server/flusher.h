// Decides when the engine's memory goes to disk, so that the log's floor can follow.
// Owned by the Node; on the reactor's thread, the flush itself on a thread of its own.
// Never flushes for an entry: the log already made it durable.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/ids.h"
#include "base/result.h"
#include "server/net/metrics.h"
#include "server/net/replica_driver.h"
#include "storage/state_machine.h"

namespace cairn::server {

class Flusher {
  public:
    // What is kept of the log for other members.
    struct LogKept {
        std::uint64_t bytes_max{};
        std::uint64_t entries_max{};
    };
    Flusher(boost::asio::io_context& reactor, net::ReplicaDriver& driver,
            const storage::StateMachine& machine, net::Metrics& metrics, const LogKept& kept);

    // Tells the replica what was flushed before this start, so that the log's floor can follow.
    void start(Index flushed);
    // Flushes when the log waits for it, at 64 MiB of unflushed data, 64 MiB or half of what is
    // kept for others of log written since the last flush, or five minutes with something to flush.
    void on_second();
    // Waits for a flush under way.
    void stop();

  private:
    [[nodiscard]] bool is_due() const;
    void flush();
    void on_flushed(Result<Index> flushed, double seconds);

    boost::asio::io_context& reactor_;
    net::ReplicaDriver& driver_;
    const storage::StateMachine& machine_;
    net::Metrics& metrics_;
    const LogKept log_since_max_;
    boost::asio::thread_pool thread_{1};
    std::chrono::steady_clock::time_point last_flush_ = std::chrono::steady_clock::now();
    std::uint64_t log_bytes_at_flush_ = 0;
    Index flushed_;
    bool running_ = false;
};

}  // namespace cairn::server
