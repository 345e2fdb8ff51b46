#include "server/net/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "base/assert.h"
#include "proto/wire/grpc_status.h"
#include "server/net/version.h"

namespace cairn::server::net {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// etcd's buckets: 1 ms, doubled 14 times.
prometheus::Histogram::BucketBoundaries doubling_buckets(double first, int count) {
    prometheus::Histogram::BucketBoundaries bounds;
    for (int i = 0; i < count; ++i, first *= 2) {
        bounds.push_back(first);
    }
    return bounds;
}

prometheus::Histogram& add_histogram(prometheus::Registry& registry, const char* name,
                                     const char* help,
                                     const prometheus::Histogram::BucketBoundaries& bounds) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

// Collects single-value families for one scrape.
class Page {
  public:
    void gauge(const char* name, const char* help, double value, Labels labels = {}) {
        ClientMetric& metric = add(name, help, MetricType::Gauge);
        metric.gauge.value = value;
        metric.label = std::move(labels);
    }
    void counter(const char* name, const char* help, std::uint64_t value, Labels labels = {}) {
        ClientMetric& metric = add(name, help, MetricType::Counter);
        metric.counter.value = static_cast<double>(value);
        metric.label = std::move(labels);
    }
    std::vector<MetricFamily> families;

  private:
    // Metrics of one name in a row make one family.
    ClientMetric& add(const char* name, const char* help, MetricType type) {
        if (families.empty() || families.back().name != name) {
            MetricFamily family;
            family.name = name;
            family.help = help;
            family.type = type;
            families.push_back(std::move(family));
        }
        return families.back().metric.emplace_back();
    }
};

double as_double(std::uint64_t value) { return static_cast<double>(value); }

void add_node(Page& page, const ScrapeFacts& facts) {
    const NodeView& node = facts.node;
    page.gauge("etcd_server_has_leader",
               "Whether or not a leader exists. 1 is existence, 0 is not.", node.leader ? 1 : 0);
    page.gauge("etcd_server_is_leader",
               "Whether or not this member is a leader. 1 if is, 0 otherwise.",
               node.is_leader ? 1 : 0);
    page.gauge("etcd_server_is_learner",
               "Whether or not this member is a learner. 1 if is, 0 otherwise.",
               node.is_learner ? 1 : 0);
    page.gauge("cairn_voters", "Members with a vote, by the newest configuration in the log.",
               as_double(node.voters));
    page.gauge("cairn_learners", "Members without a vote, by the newest configuration in the log.",
               as_double(node.learners));
    page.gauge(
        "etcd_server_id",
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.", 1,
        {{"server_id", fmt::format("{:x}", node.member.value)}});
    page.gauge("etcd_server_version",
               "Which version is running. 1 for 'server_version' label with current version.", 1,
               {{"server_version", std::string(kEtcdVersion)}});
    page.gauge("cairn_build_info", "The program's own version.", 1,
               {{"version", std::string(kCairnVersion)}});
    page.counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.",
                 node.leader_changes);
    page.gauge("etcd_server_proposals_committed_total",
               "The total number of consensus proposals committed.",
               as_double(node.proposals_committed));
    page.gauge("etcd_server_proposals_applied_total",
               "The total number of consensus proposals applied.",
               as_double(node.proposals_applied));
    page.gauge("etcd_server_proposals_pending",
               "The current number of pending proposals to commit.",
               as_double(node.proposals_pending));
    page.counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.",
                 node.proposals_failed);
    page.counter("etcd_server_read_indexes_failed_total",
                 "The total number of failed read indexes seen.", node.read_indexes_failed);
    page.counter("cairn_lease_reads_total",
                 "Batches of linearizable reads that the leader's lease let through at once.",
                 node.lease_reads);
    page.gauge("cairn_log_stalled",
               "1 while no write of the raft log has ended for an election timeout. 0 otherwise.",
               node.log_stalled ? 1 : 0);
    page.counter("cairn_stalled_step_downs_total",
                 "Times this member ceased to lead since no write of its raft log ended.",
                 node.stalled_step_downs);
    page.gauge("cairn_raft_term", "The current raft term.", as_double(node.term.value));
    page.gauge("cairn_raft_last_index", "The last index of the raft log.",
               as_double(node.last.value));
    page.gauge("cairn_raft_floor_index", "The raft log holds what is above this index.",
               as_double(node.floor.value));
    page.gauge("cairn_calls_open", "Client calls waiting for the replica.",
               as_double(facts.open_calls));
}

void add_storage(Page& page, const ScrapeFacts& facts) {
    page.gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
               static_cast<double>(facts.revision));
    page.gauge("etcd_debugging_mvcc_compact_revision",
               "The revision of the last compaction in store.",
               static_cast<double>(facts.compacted));
    page.gauge("etcd_mvcc_db_total_size_in_bytes",
               "Total size of the underlying database physically allocated in bytes.",
               as_double(facts.db_bytes));
    page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes",
               "Total size of the underlying database logically in use in bytes.",
               as_double(facts.db_bytes));
    page.gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.",
               as_double(facts.wal_bytes_written));
    page.gauge("cairn_wal_segments", "Segment files of the log.", as_double(facts.wal_segments));
}

std::string type_of(wire::StreamingKind kind) {
    switch (kind) {
        case wire::StreamingKind::kUnary: return "unary";
        case wire::StreamingKind::kServerStream: return "server_stream";
        case wire::StreamingKind::kClientStream: return "client_stream";
        case wire::StreamingKind::kBidi: return "bidi_stream";
    }
    CAIRN_UNREACHABLE();
}

void add_methods(Page& page, const std::array<MethodCounters, wire::kMethodCount>& methods) {
    struct Column {
        const char* name;
        const char* help;
        std::uint64_t MethodCounters::*value;
    };
    const std::array<Column, 3> columns{{
        {"grpc_server_started_total", "Total number of RPCs started on the server.",
         &MethodCounters::started},
        {"grpc_server_msg_received_total",
         "Total number of RPC stream messages received on the server.", &MethodCounters::received},
        {"grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server.",
         &MethodCounters::sent},
    }};
    const auto labels_of = [](std::size_t id) {
        const auto& info = wire::method_info(static_cast<wire::MethodId>(id));
        return Labels{{"grpc_method", std::string(info.name())},
                      {"grpc_service", std::string(info.service())},
                      {"grpc_type", type_of(info.kind)}};
    };
    for (const auto& column : columns) {
        for (std::size_t id = 0; id < methods.size(); ++id) {
            if (methods[id].started > 0) {
                page.counter(column.name, column.help, methods[id].*column.value, labels_of(id));
            }
        }
    }
    for (std::size_t id = 0; id < methods.size(); ++id) {
        for (std::size_t code = 0; code < kGrpcCodeCount; ++code) {
            if (methods[id].handled[code] > 0) {
                Labels labels = labels_of(id);
                labels.insert(
                    labels.begin(),
                    {"grpc_code",
                     std::string(wire::grpc_code_name(static_cast<wire::GrpcCode>(code)))});
                page.counter("grpc_server_handled_total",
                             "Total number of RPCs completed on the server, regardless of success "
                             "or failure.",
                             methods[id].handled[code], std::move(labels));
            }
        }
    }
}

// From /proc/self, as the usual client libraries report.
void add_process(Page& page) {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        const auto seconds = [](const timeval& time) {
            return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
        };
        page.gauge("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
                   seconds(usage.ru_utime) + seconds(usage.ru_stime));
        page.families.back().type = MetricType::Counter;
        page.families.back().metric.back().counter.value =
            page.families.back().metric.back().gauge.value;
    }
    std::uint64_t virtual_pages = 0;
    std::uint64_t resident_pages = 0;
    if (std::ifstream statm("/proc/self/statm"); statm >> virtual_pages >> resident_pages) {
        const auto page_bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
        page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
                   as_double(resident_pages * page_bytes));
        page.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.",
                   as_double(virtual_pages * page_bytes));
    }
    std::error_code ignored;
    std::uint64_t open_files = 0;
    for (std::filesystem::directory_iterator it("/proc/self/fd", ignored), end; it != end;
         it.increment(ignored)) {
        ++open_files;
    }
    rlimit limit{};
    page.gauge("process_open_fds", "Number of open file descriptors.", as_double(open_files));
    page.gauge("os_fd_used", "The number of used file descriptors.", as_double(open_files));
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        page.gauge("process_max_fds", "Maximum number of open file descriptors.",
                   static_cast<double>(limit.rlim_cur));
        page.gauge("os_fd_limit", "The file descriptor limit.",
                   static_cast<double>(limit.rlim_cur));
    }
}

}  // namespace

Metrics::Metrics()
    : wal_fsync_seconds(add_histogram(registry_, "etcd_disk_wal_fsync_duration_seconds",
                                      "The latency distributions of fsync called by WAL.",
                                      doubling_buckets(0.001, 14))),
      apply_seconds(add_histogram(registry_, "cairn_state_apply_duration_seconds",
                                  "The latency distributions of applying one batch of entries.",
                                  doubling_buckets(0.0001, 20))),
      flush_seconds(add_histogram(registry_, "etcd_disk_backend_commit_duration_seconds",
                                  "The latency distributions of commit called by backend.",
                                  doubling_buckets(0.001, 14))),
      snapshot_send_seconds(add_histogram(
          registry_, "etcd_network_snapshot_send_total_duration_seconds",
          "Total latency distributions of v3 snapshot sends.", doubling_buckets(0.1, 10))),
      snapshot_receive_seconds(add_histogram(
          registry_, "etcd_network_snapshot_receive_total_duration_seconds",
          "Total latency distributions of v3 snapshot receives.", doubling_buckets(0.1, 10))),
      client_snapshot_seconds(add_histogram(
          registry_, "etcd_disk_backend_snapshot_duration_seconds",
          "The latency distribution of snapshots sent to clients.", doubling_buckets(0.01, 17))) {}

namespace {

void add_snapshots(Page& page, const SnapshotStats& stats) {
    page.counter("etcd_network_snapshot_send_success", "Total number of successful snapshot sends.",
                 stats.sends);
    page.counter("etcd_network_snapshot_send_failures", "Total number of snapshot send failures.",
                 stats.sends_failed);
    page.gauge("etcd_network_snapshot_send_inflights_total",
               "Total number of inflight snapshot sends.", as_double(stats.sending));
    page.counter("etcd_network_snapshot_receive_success",
                 "Total number of successful snapshot receives.", stats.receives);
    page.counter("etcd_network_snapshot_receive_failures",
                 "Total number of snapshot receive failures.", stats.receives_failed);
    page.gauge("etcd_network_snapshot_receive_inflights_total",
               "Total number of inflight snapshot receives.", as_double(stats.receiving));
    page.gauge("etcd_server_snapshot_apply_in_progress_total",
               "1 if the server is applying the incoming snapshot. 0 if none.",
               stats.installing ? 1 : 0);
    page.counter("cairn_snapshot_sent_bytes_total", "Bytes of snapshots sent to members.",
                 stats.bytes_sent);
    page.counter("cairn_snapshot_received_bytes_total", "Bytes of snapshots received and written.",
                 stats.bytes_received);
}

void add_client_snapshots(Page& page, const Metrics& metrics) {
    page.gauge("cairn_client_snapshots", "Snapshots on their way to clients.",
               as_double(metrics.client_snapshots));
    page.counter("cairn_client_snapshot_bytes_total", "Bytes of snapshots given to clients.",
                 metrics.client_snapshot_bytes);
    page.counter("cairn_client_snapshots_stalled_total",
                 "Snapshots given up because their clients took next to nothing for a minute.",
                 metrics.client_snapshots_stalled);
    page.counter("cairn_client_snapshots_refused_total",
                 "Snapshots given up because there was no room or no thread for a minute.",
                 metrics.client_snapshots_refused);
}

void add_requests(Page& page, const wire::H2Budget& requests) {
    page.gauge("cairn_request_bytes", "Memory of clients' requests that have no answer yet.",
               as_double(requests.request_bytes));
    page.gauge("cairn_client_streams", "Open calls of clients, those without a message included.",
               as_double(requests.streams));
    page.counter("cairn_requests_refused_total",
                 "Calls refused because too many bytes of requests waited.",
                 requests.requests_refused);
    page.counter("cairn_streams_refused_total",
                 "Calls refused at their headers because too many were open.",
                 requests.streams_refused);
    page.counter("cairn_client_connections_ended_total",
                 "Connections ended because of what their clients sent.", requests.sessions_ended);
}

void add_responses(Page& page, const Metrics& metrics, const ScrapeFacts& facts) {
    page.gauge("cairn_response_bytes",
               "Memory of answers that are being written or wait for their clients.",
               as_double(facts.response_bytes_held));
    page.gauge("cairn_response_budget_bytes", "The most that those may take together.",
               as_double(facts.response_bytes_max));
    page.counter("cairn_response_waits_total", "Calls that waited for room for their answer.",
                 metrics.response_waits);
    page.counter("cairn_response_refused_total",
                 "Calls refused because there was no room for their answer.",
                 metrics.response_refusals);
    page.counter("cairn_response_stalled_total",
                 "Connections ended because they did not take their answers while others waited.",
                 metrics.response_stalls);
    const char* cancelled = "cairn_reads_cancelled_total";
    const char* help = "Scans dropped because their client left or its deadline passed.";
    page.counter(cancelled, help, metrics.reads_cancelled_running, {{"state", "running"}});
    page.counter(cancelled, help, metrics.reads_cancelled_waiting, {{"state", "waiting"}});
}

void add_promotions(Page& page, const Metrics& metrics) {
    const auto promote = static_cast<std::size_t>(wire::MethodId::kClusterMemberPromote);
    page.counter("etcd_server_learner_promote_successes",
                 "The total number of successful learner promotions.",
                 metrics.methods[promote].handled[0]);
    for (const auto& [reason, count] : metrics.promotions_failed) {
        page.counter("etcd_server_learner_promote_failures",
                     "The total number of failed learner promotions (likely learner not ready).",
                     count, {{"Reason", reason}});
    }
}

}  // namespace

std::string Metrics::text(const ScrapeFacts& facts) const {
    Page page;
    add_node(page, facts);
    add_storage(page, facts);
    page.counter("etcd_network_client_grpc_received_bytes_total",
                 "The total number of bytes received from grpc clients.", client_bytes_received);
    page.counter("etcd_network_client_grpc_sent_bytes_total",
                 "The total number of bytes sent to grpc clients.", client_bytes_sent);
    page.gauge("cairn_client_connections", "Open client connections.",
               as_double(client_connections_opened - client_connections_closed));
    page.counter("cairn_connections_refused_total",
                 "Connections of clients and peers closed at once because there were too many.",
                 connections_refused);
    add_requests(page, facts.requests);
    add_responses(page, *this, facts);
    page.counter("cairn_peer_received_bytes_total", "Bytes received from peers.",
                 peer_bytes_received);
    page.counter("cairn_peer_sent_bytes_total", "Bytes sent to peers.", peer_bytes_sent);
    page.counter("cairn_peer_messages_dropped_total",
                 "Messages to peers dropped because the connection was down or full.",
                 peer_messages_dropped);
    page.gauge("cairn_peers_known", "Other members of the cluster.", as_double(facts.peers_known));
    page.gauge("cairn_peers_connected", "Other members this one has a connection to.",
               as_double(facts.peers_connected));
    page.gauge("cairn_newest_common_command",
               "The newest kind of command that all members are known to know.",
               as_double(facts.newest_common_command));
    page.counter("etcd_server_slow_apply_total",
                 "The total number of slow apply requests (likely overloaded from slow disk).",
                 slow_applies);
    page.counter("cairn_log_lines_dropped_total", "Log lines lost to a full queue.",
                 log_lines_dropped);
    add_snapshots(page, facts.snapshots);
    add_client_snapshots(page, *this);
    add_promotions(page, *this);
    add_methods(page, methods);
    add_process(page);
    for (auto& family : registry_.Collect()) {
        page.families.push_back(std::move(family));
    }
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, page.families);
    return out.str();
}

}  // namespace cairn::server::net
