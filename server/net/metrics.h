// Everything the server counts, and its text for /metrics (names as etcd's where they exist).
// Owned by the Node. Plain counters belong to the reactor; histograms may be fed from any thread.
// Never formats anything on a hot path: the text is made at a scrape.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "proto/wire/grpc_method.h"
#include "proto/wire/h2_budget.h"
#include "server/replica/snapshot_stats.h"
#include "server/replica/view.h"

namespace cairn::server::net {

inline constexpr std::size_t kGrpcCodeCount = 17;

// One gRPC method's counters (grpc_server_…_total).
struct MethodCounters {
    std::uint64_t started{};
    std::uint64_t received{};
    std::uint64_t sent{};
    std::array<std::uint64_t, kGrpcCodeCount> handled{};
};

// What a scrape needs from the rest of the server.
struct ScrapeFacts {
    NodeView node;
    std::int64_t revision{};
    std::int64_t compacted{};
    std::uint64_t db_bytes{};
    std::uint64_t wal_bytes_written{};
    std::uint64_t wal_segments{};
    std::uint64_t open_calls{};
    std::uint64_t peers_known{};
    std::uint64_t peers_connected{};
    std::uint64_t newest_common_command{};
    wire::H2Budget requests;
    std::uint64_t response_bytes_held{};
    std::uint64_t response_bytes_max{};
    SnapshotStats snapshots;
};

class Metrics {
  public:
    Metrics();

    // The text exposition format, version 0.0.4.
    [[nodiscard]] std::string text(const ScrapeFacts& facts) const;

  private:
    prometheus::Registry registry_;

  public:
    prometheus::Histogram& wal_fsync_seconds;
    prometheus::Histogram& apply_seconds;
    prometheus::Histogram& flush_seconds;
    prometheus::Histogram& snapshot_send_seconds;     // from when it was wanted
    prometheus::Histogram& snapshot_receive_seconds;  // to the end of its installation
    prometheus::Histogram& client_snapshot_seconds;   // from the call to the last message

    std::array<MethodCounters, wire::kMethodCount> methods{};
    std::uint64_t client_bytes_received{};
    std::uint64_t client_bytes_sent{};
    std::uint64_t client_connections_opened{};
    std::uint64_t client_connections_closed{};
    std::uint64_t connections_refused{};
    std::uint64_t peer_bytes_received{};
    std::uint64_t peer_bytes_sent{};
    std::uint64_t peer_messages_dropped{};
    std::uint64_t response_waits{};           // calls that had to wait for room
    std::uint64_t response_refusals{};        // calls refused for want of it
    std::uint64_t response_stalls{};          // connections ended for not taking their answers
    std::uint64_t reads_cancelled_waiting{};  // nobody wanted them before they began
    std::uint64_t reads_cancelled_running{};  // and while they ran
    std::uint64_t client_snapshots{};         // now
    std::uint64_t client_snapshot_bytes{};    // given to their connections
    std::uint64_t client_snapshots_stalled{};
    std::uint64_t client_snapshots_refused{};  // after they had begun
    std::uint64_t slow_applies{};
    std::uint64_t log_lines_dropped{};
    std::map<std::string, std::uint64_t> promotions_failed{};  // by the errors' texts
};

}  // namespace cairn::server::net
