// ServerConfig: all that a server is told when it starts, checked; and how it comes from flags.
// Plain values; read by every part of the server, written by none after the start.
// Must never touch a file, a socket or a name service.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/url.h"
#include "server/flags.h"

namespace cairn::server {

// One member of --initial-cluster.
struct InitialMember {
    std::string name;
    std::vector<std::string> peer_urls;  // sorted texts, at least one

    bool operator==(const InitialMember&) const = default;
};

enum class ClusterState : std::uint8_t { kNew, kExisting };
enum class LogOutput : std::uint8_t { kStderr, kStdout };

// Above this a message would no longer fit the frames between members.
inline constexpr std::uint64_t kMaxRequestBytesMax = 32U * 1024U * 1024U;
// Below this not even a value of etcd's largest size could be read; above, it is a mistake.
inline constexpr std::uint64_t kResponseBudgetBytesMin = 2U * 1024U * 1024U;
inline constexpr std::uint64_t kResponseBudgetBytesMax = 1ULL << 40U;
// Less would be a snapshot for every hiccup, and a flush of the engine for every half of it; more
// would not fit a member's memory.
inline constexpr std::uint64_t kLogBytesKeptMin = 1024U * 1024U;
inline constexpr std::uint64_t kLogBytesKeptMax = 1ULL << 34U;
inline constexpr std::uint64_t kLogEntriesKeptMin = 10'000;
inline constexpr std::uint64_t kLogEntriesKeptMax = 1'000'000'000;
// etcd's limit, so that an operator's mistake of units is found.
inline constexpr std::chrono::milliseconds kElectionTimeoutMax{50'000};
// More members than this are a mistake in --initial-cluster: every one votes.
inline constexpr std::size_t kInitialMembersMax = 64;

struct ServerConfig {
    std::string name;
    std::string data_dir;  // never empty

    std::vector<Url> listen_client_urls;  // at least one each; scheme http; IP or localhost
    std::vector<Url> listen_peer_urls;
    std::vector<std::string> advertise_client_urls;
    std::vector<std::string> initial_advertise_peer_urls;

    // What the first start makes of the cluster; not looked at again once there is data. Sorted
    // by name; the member called `name` is there, with initial_advertise_peer_urls.
    std::vector<InitialMember> initial_cluster;
    // Why initial_cluster cannot be what the flags say: an error of the first start only, because
    // a member with data ignores these flags.
    std::optional<Error> initial_error;
    std::string initial_cluster_token;
    ClusterState initial_cluster_state = ClusterState::kNew;

    // Invariant: election_timeout >= 5 * heartbeat_interval > 0.
    std::chrono::milliseconds heartbeat_interval{100};
    std::chrono::milliseconds election_timeout{1000};
    bool strict_reconfig_check = true;
    std::uint64_t max_learners = 1;
    bool force_new_cluster = false;
    bool pre_vote = true;
    bool lease_reads = false;

    std::uint64_t max_request_bytes = 0;                  // in [1, kMaxRequestBytesMax]
    std::uint64_t max_txn_ops = 0;                        // at least 1
    std::uint64_t response_budget_bytes = 0;              // in [kResponse…Min, kResponse…Max]
    std::uint64_t log_bytes_max = 0;                      // in [kLogBytesKeptMin, kLogBytesKeptMax]
    std::uint64_t log_entries_max = 0;                    // in [kLogEntriesKept…Min, …Max]
    std::uint64_t snapshot_rate_bytes = 0;                // a second; 0: no limit
    std::uint32_t max_concurrent_streams = 0;             // at least 1
    std::chrono::nanoseconds grpc_keepalive_min_time{0};  // 0: clients may ping as they like

    LogLevel log_level = LogLevel::kInfo;
    LogFormat log_format = LogFormat::kConsole;
    LogOutput log_output = LogOutput::kStderr;

    // What the log should say at the start: flags without effect, variables not known.
    std::vector<std::string> warnings;

    // Of election_timeout: whole heartbeats, at least 5.
    [[nodiscard]] std::uint32_t election_ticks() const;
};

// Whether two lists of URLs are the same as far as can be told without a resolver.
bool same_urls(const std::vector<std::string>& left, const std::vector<std::string>& right);
// Why two lists differ, as etcd says it in parentheses.
std::string url_difference(const std::vector<std::string>& advertised,
                           const std::vector<std::string>& initial);

// Checks what the flags say together. Error: kInvalidConfig, in etcd's words where etcd has the
// case; the program ends with kExitConfig.
Result<ServerConfig> build_config(const CommandLine& line);

}  // namespace cairn::server
