#include "server/recovery.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "raft/conf_change.h"
#include "server/bootstrap.h"
#include "server/lone_member.h"
#include "server/net/cluster_query.h"
#include "server/net/descriptors.h"
#include "storage/rocks_engine.h"
#include "storage/wal_format.h"

namespace cairn::server {
namespace {

// etcd: 5 s and two election timeouts.
constexpr std::uint64_t kRequestTimeoutMs = 5000;
constexpr std::uint64_t kReadRetryMs = 500;
// Of the log dropped at each heartbeat: more than a member can write meanwhile, and in a few
// hundredths of the time.
constexpr std::uint64_t kCompactEntriesPerMs = 328;

// What a start must find free before it opens the engine, which writes when it is opened: RocksDB
// 7.8 ends in an assertion there when the disk is full.
constexpr std::uint64_t kOpenBytes = 1024U * 1024U;
// A flush takes no more, whatever the log has above the engine.
constexpr std::uint64_t kReplayBytesMax = 64U * 1024U * 1024U;

Error lost_identity(const DataDir& dir, const std::string& found) {
    return {Errc::kCorrupt,
            fmt::format("{}: a member's data is there ({}) and its IDENTITY file is not: put that "
                        "file back from a copy. Only what never served may be moved away to start "
                        "over",
                        dir.path(), found)};
}

// What a first start leaves that was cut off before its identity: the cluster's first entries, or
// less. A member that has gone on has voted or seen a later term.
bool is_unfinished(const raft::Recovered& recovered) {
    return !recovered.floor.last.index && recovered.hard_state.term <= Term{1} &&
           !recovered.hard_state.vote &&
           std::all_of(recovered.entries.begin(), recovered.entries.end(), [](const auto& entry) {
               return entry.kind == raft::EntryKind::kConfig && entry.id.term <= Term{1};
           });
}

// The log's files, newest first. A name that is none of them is an error.
Result<std::vector<std::string>> log_files(storage::FileSystem& files, const DataDir& dir) {
    CAIRN_TRY(auto names, files.list(dir.log_path()));
    for (const auto& name : names) {
        if (!storage::wal::parse_segment_name(name) && !storage::wal::parse_spare_name(name)) {
            return lost_identity(dir, "wal/" + name);
        }
    }
    std::reverse(names.begin(), names.end());
    return names;
}

// Removes what an unfinished first start left, and refuses to touch anything else. The engine is
// opened only after the identity is durable, so an engine without it is not unfinished.
Result<void> start_over(storage::FileSystem& files, const DataDir& dir,
                        const storage::LogOptions& log_options) {
    CAIRN_TRY(const auto all, files.list(dir.path()));
    if (std::find(all.begin(), all.end(), kRestoringName) != all.end()) {
        return Error{Errc::kCorrupt,
                     dir.path() +
                         ": \"cairn snapshot restore\" was cut off here: run it again, or "
                         "remove what is there"};
    }
    const auto engine = std::find_if(all.begin(), all.end(), [](const std::string& name) {
        return name == "db" || name.starts_with("db-");
    });
    if (engine != all.end()) {
        return lost_identity(dir, *engine);
    }
    CAIRN_TRY(const bool has_log, files.exists(dir.log_path()));
    if (!has_log) {
        return ok();
    }
    CAIRN_TRY(auto names, log_files(files, dir));
    if (!names.empty()) {
        CAIRN_TRY(const auto opened, storage::LogStore::open(files, dir.log_path(), log_options));
        if (!is_unfinished(opened.recovered)) {
            return lost_identity(dir, "wal");
        }
        CAIRN_TRY(names, log_files(files, dir));
    }
    for (const auto& name : names) {
        CAIRN_TRY(files.remove(dir.log_path() + "/" + name));
        // One at a time: a crash leaves a log that is shorter, never one with a hole.
        CAIRN_TRY(files.sync_dir(dir.log_path()));
    }
    return ok();
}

// A restore that was cut off behind its last step.
Result<void> forget_restore(storage::FileSystem& files, const DataDir& dir) {
    const std::string mark = dir.path() + "/" + kRestoringName;
    CAIRN_TRY(const bool marked, files.exists(mark));
    if (marked) {
        CAIRN_TRY(files.remove(mark));
    }
    return ok();
}

// Who this member becomes by its first start, and what its log begins with.
struct Beginning {
    DataDirIdentity identity;
    raft::PersistBatch batch;
    std::vector<command::MemberInfo> seeds;
};

Result<RunningCluster> ask_others(const ServerConfig& config) {
    std::vector<net::PeerEndpoint> peers;
    for (const InitialMember& member : config.initial_cluster) {
        const auto address = net::peer_address(NodeId{}, member.peer_urls);
        if (address && member.name != config.name) {
            peers.push_back({address->host, address->port});
            peers.insert(peers.end(), address->alternatives.begin(), address->alternatives.end());
        }
    }
    std::vector<net::Unanswered> unanswered;
    auto answer = net::ask_for_members(peers, unanswered);
    // At the beginning of a cluster nobody else need be there.
    const bool expected = config.initial_cluster_state == ClusterState::kExisting;
    for (const net::Unanswered& silent : unanswered) {
        if (expected || !silent.refused) {
            log_line(LogLevel::kWarn, "failed to get cluster response",
                     {{"address", fmt::format("{}:{}", silent.peer.host, silent.peer.port)},
                      {"error", silent.cause}});
        }
    }
    if (answer.has_error()) {
        return answer.error();
    }
    return RunningCluster{answer.value().cluster, std::move(answer.value().members)};
}

Result<Beginning> join(const ServerConfig& config) {
    if (config.initial_error) {
        return *config.initial_error;
    }
    auto running = ask_others(config);
    if (running.has_error()) {
        return Error{Errc::kInvalidConfig,
                     "cannot fetch cluster info from peer urls: " + running.error().detail};
    }
    CAIRN_TRY(const NodeId self, plan_join(config, running.value()));
    return Beginning{
        {running.value().cluster, self}, raft::joining_batch(), std::move(running.value().members)};
}

Result<Beginning> begin(const ServerConfig& config) {
    if (config.initial_cluster_state == ClusterState::kExisting) {
        return join(config);
    }
    CAIRN_TRY(auto plan, plan_bootstrap(config));
    // When nobody answers the cluster begins now.
    if (const auto running = ask_others(config); running.has_value()) {
        CAIRN_TRY(check_unstarted(config, plan, running.value()));
        if (running.value().cluster != plan.cluster) {
            log_line(LogLevel::kWarn,
                     "a member that answers is of another cluster than begins here",
                     {{"cluster-id", fmt::format("{:x}", plan.cluster.value)},
                      {"its-cluster-id", fmt::format("{:x}", running.value().cluster.value)}});
        }
    }
    return Beginning{{plan.cluster, plan.self}, raft::bootstrap_batch(std::move(plan.members)), {}};
}

Result<Beginning> bootstrap(storage::FileSystem& files, DataDir& dir, const ServerConfig& config,
                            const storage::LogOptions& log_options) {
    CAIRN_TRY(auto beginning, begin(config));
    CAIRN_TRY(start_over(files, dir, log_options));
    CAIRN_TRY(auto opened, storage::LogStore::open(files, dir.log_path(), log_options));
    CAIRN_TRY(opened.log->append(std::span(&beginning.batch, 1)));
    CAIRN_TRY(dir.write_identity(beginning.identity));
    return beginning;
}

// --force-new-cluster.
Result<void> leave_others(storage::LogStore::Opened& opened, NodeId self) {
    CAIRN_TRY(auto batch, make_lone_member(opened.recovered, self));
    log_line(LogLevel::kWarn,
             batch ? "--force-new-cluster: all other members are removed"
                   : "--force-new-cluster: this member is alone already, start it without",
             {{"member", fmt::format("{:x}", self.value)}});
    if (batch) {
        CAIRN_TRY(opened.log->append(std::span(&*batch, 1)));
        rewrite(opened.recovered, *std::move(batch));
    }
    return ok();
}

// Since its first start a member's log has a term in it. One that has nothing would
// let the member vote anew in terms it has voted in.
Result<void> check_not_empty(const raft::Recovered& recovered, const std::string& path) {
    if (recovered.entries.empty() && !recovered.floor.last.index && !recovered.hard_state.term) {
        return Error{Errc::kCorrupt, path + ": the log is gone, and a member lives here"};
    }
    return ok();
}

// On a full disk a member ends here, and not after it has campaigned and applied, again and again:
// what the engine does not have yet must fit, since it will be written next.
Result<void> check_replay_fits(DataDir& dir, const raft::Recovered& recovered, Index applied) {
    std::uint64_t bytes = 0;
    for (const auto& entry : recovered.entries) {
        bytes += entry.id.index > applied ? entry.payload.size() : 0;
    }
    return dir.check_space(std::min(bytes, kReplayBytesMax));
}

ReplicaConfig replica_config(const ServerConfig& config, NodeId self, std::uint64_t boot) {
    const auto tick_ms = static_cast<std::uint64_t>(config.heartbeat_interval.count());
    ReplicaConfig replica;
    replica.raft.id = self;
    replica.raft.election_ticks = config.election_ticks();
    replica.raft.pre_vote = config.pre_vote;
    // Less than the shortest time after which a member stands: a promise must not send it back.
    replica.raft.lease_promise_ns =
        config.lease_reads ? (config.election_ticks() - 1) * tick_ms * 1'000'000 : 0;
    replica.raft.seed = boot;
    replica.raft.log_bytes_max = config.log_bytes_max;
    replica.raft.log_entries_max = config.log_entries_max;
    replica.raft.compact_entries_max = kCompactEntriesPerMs * tick_ms;
    replica.boot = boot;
    replica.membership = {.strict = config.strict_reconfig_check,
                          .learners_max = config.max_learners};
    replica.request_timeout_ticks =
        kRequestTimeoutMs / tick_ms + 2 * std::uint64_t{config.election_ticks()};
    replica.read_retry_ticks = std::max<std::uint64_t>(1, kReadRetryMs / tick_ms);
    return replica;
}

// The configuration that an engine of the format before does not say. What is applied is in the log
// or below its floor.
Result<raft::ConfState> conf_at(const raft::Recovered& recovered, Index applied) {
    raft::ConfState conf = recovered.floor.conf;
    for (const auto& entry : recovered.entries) {
        if (entry.kind == raft::EntryKind::kConfig && entry.id.index <= applied) {
            CAIRN_TRY(const auto change, raft::decode_conf_change(entry.payload));
            CAIRN_TRY(conf, raft::apply_conf_change(conf, change));
        }
    }
    return conf;
}

struct OpenedState {
    std::unique_ptr<storage::EngineKind> engine_kind;
    std::unique_ptr<storage::SnapshotStore> snapshots;
    std::unique_ptr<storage::StateMachine> machine;
    storage::LogStore::Opened log;
};

// The engine and its log, also when a crash cut a snapshot's install off between the two.
Result<OpenedState> open_state(storage::FileSystem& files, DataDir& dir,
                               const storage::LogOptions& log_options,
                               const storage::StateMachineOptions& machine_options) {
    OpenedState opened;
    storage::RocksOptions engine_options;
    engine_options.open_files_max = net::share_descriptors(net::descriptor_limit()).engine_files;
    opened.engine_kind = std::make_unique<storage::RocksKind>(engine_options);
    CAIRN_TRY(auto engine, storage::SnapshotStore::open(files, *opened.engine_kind, dir.path()));
    opened.snapshots = std::move(engine.store);
    CAIRN_TRY(opened.log, storage::LogStore::open(files, dir.log_path(), log_options));
    raft::Recovered& recovered = opened.log.recovered;
    CAIRN_TRY(check_not_empty(recovered, dir.log_path()));
    CAIRN_TRY(const auto state, storage::read_applied_state(*engine.engine));
    CAIRN_TRY(const auto missing,
              storage::follow_install(engine.installed, state.applied, recovered));
    if (missing) {
        CAIRN_TRY(opened.log.log->append(std::span(&*missing, 1)));
    }
    raft::ConfState old_conf;
    if (!state.conf) {
        CAIRN_TRY(old_conf, conf_at(recovered, state.applied.index));
    }
    CAIRN_TRY(opened.machine,
              storage::StateMachine::open(std::move(engine.engine), machine_options, old_conf));
    return opened;
}

}  // namespace

Result<RecoveredNode> recover_node(storage::FileSystem& files, const ServerConfig& config,
                                   std::uint64_t boot, const storage::LogOptions& log_options) {
    CAIRN_TRY(auto dir, DataDir::open(files, config.data_dir));
    CAIRN_TRY(auto identity, dir.read_identity());
    const bool first_start = !identity.has_value();
    std::vector<command::MemberInfo> seeds;
    if (first_start) {
        CAIRN_TRY(auto beginning, bootstrap(files, dir, config, log_options));
        identity = beginning.identity;
        seeds = std::move(beginning.seeds);
    } else {
        CAIRN_TRY(forget_restore(files, dir));
    }
    CAIRN_TRY(dir.check_space(kOpenBytes));
    CAIRN_TRY(auto opened, open_state(files, dir, log_options, {identity->member, boot}));
    const storage::AppliedState applied = opened.machine->applied_state();
    if (config.force_new_cluster) {
        CAIRN_TRY(leave_others(opened.log, identity->member));
    }
    raft::Recovered& recovered = opened.log.recovered;
    CAIRN_TRY(check_replay_fits(dir, recovered, applied.applied.index));
    const std::uint64_t log_entries = recovered.entries.size();
    CAIRN_TRY(auto replica, Replica::restore(replica_config(config, identity->member, boot),
                                             std::move(recovered), applied));
    return RecoveredNode{std::move(dir),
                         *identity,
                         std::move(opened.engine_kind),
                         std::move(opened.snapshots),
                         std::move(opened.machine),
                         std::move(opened.log.log),
                         std::move(replica),
                         std::move(seeds),
                         opened.log.torn_bytes,
                         log_entries,
                         first_start};
}

}  // namespace cairn::server
