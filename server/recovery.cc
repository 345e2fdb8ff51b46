#include "server/recovery.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "raft/conf_change.h"
#include "server/bootstrap.h"
#include "server/net/descriptors.h"
#include "storage/member_store.h"
#include "storage/rocks_engine.h"
#include "storage/wal_format.h"

namespace cairn::server {
namespace {

// etcd: 5 s and two election timeouts.
constexpr std::uint64_t kRequestTimeoutMs = 5000;
constexpr std::uint64_t kReadRetryMs = 500;

// What a start must find free before it opens the engine, which writes when it is opened: RocksDB
// 7.8 ends in an assertion there when the disk is full.
constexpr std::uint64_t kOpenBytes = 1024U * 1024U;
// A flush takes no more, whatever the log has above the engine.
constexpr std::uint64_t kReplayBytesMax = 64U * 1024U * 1024U;

// The log that is kept while a member is down; above it the leader refuses writes.
constexpr std::uint64_t kLogBytesMax = 2048ULL * 1024U * 1024U;

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
    CAIRN_TRY(const bool has_engine, files.exists(dir.engine_path()));
    if (has_engine) {
        return lost_identity(dir, "db");
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

Result<DataDirIdentity> bootstrap(storage::FileSystem& files, DataDir& dir,
                                  const ServerConfig& config,
                                  const storage::LogOptions& log_options) {
    CAIRN_TRY(auto plan, plan_bootstrap(config));
    CAIRN_TRY(start_over(files, dir, log_options));
    CAIRN_TRY(auto opened, storage::LogStore::open(files, dir.log_path(), log_options));
    const std::array batch{raft::bootstrap_batch(std::move(plan.members))};
    CAIRN_TRY(opened.log->append(batch));
    const DataDirIdentity identity{plan.cluster, plan.self};
    CAIRN_TRY(dir.write_identity(identity));
    return identity;
}

// Since its first start a member's log has the cluster's members in it. One that has nothing would
// let the member vote anew in terms it has voted in.
Result<void> check_not_empty(const raft::Recovered& recovered, const std::string& path) {
    if (recovered.entries.empty() && !recovered.floor.last.index) {
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
    replica.raft.seed = boot;
    replica.raft.snapshots = false;
    replica.raft.log_bytes_max = kLogBytesMax;
    replica.boot = boot;
    replica.request_timeout_ticks =
        kRequestTimeoutMs / tick_ms + 2 * std::uint64_t{config.election_ticks()};
    replica.read_retry_ticks = std::max<std::uint64_t>(1, kReadRetryMs / tick_ms);
    return replica;
}

// The engine may be behind the log: what only the log says of members yet counts too.
Result<std::vector<command::MemberInfo>> known_members(const storage::StateMachine& machine,
                                                       const raft::Recovered& recovered) {
    std::map<std::uint64_t, command::MemberInfo> members;
    CAIRN_TRY(auto applied, machine.view()->members());
    for (auto& member : applied) {
        members[member.id()] = std::move(member);
    }
    for (const auto& entry : recovered.entries) {
        if (entry.kind != raft::EntryKind::kConfig ||
            entry.id.index <= machine.applied_state().applied.index) {
            continue;
        }
        CAIRN_TRY(const auto change, raft::decode_conf_change(entry.payload));
        CAIRN_TRY(const auto member, storage::member_of(change));
        if (member) {
            members[change.node.value] = *member;
        } else if (change.kind == raft::ConfChangeKind::kRemove) {
            members.erase(change.node.value);
        }
    }
    std::vector<command::MemberInfo> sorted;
    for (auto& [id, member] : members) {
        sorted.push_back(std::move(member));
    }
    return sorted;
}

}  // namespace

Result<RecoveredNode> recover_node(storage::FileSystem& files, const ServerConfig& config,
                                   std::uint64_t boot, const storage::LogOptions& log_options) {
    CAIRN_TRY(auto dir, DataDir::open(files, config.data_dir));
    CAIRN_TRY(auto identity, dir.read_identity());
    const bool first_start = !identity.has_value();
    if (first_start) {
        CAIRN_TRY(identity, bootstrap(files, dir, config, log_options));
    }
    CAIRN_TRY(dir.check_space(kOpenBytes));
    storage::RocksOptions engine_options;
    engine_options.open_files_max = net::share_descriptors(net::descriptor_limit()).engine_files;
    CAIRN_TRY(auto engine, storage::open_rocks_engine(dir.engine_path(), engine_options));
    CAIRN_TRY(auto machine, storage::StateMachine::open(*engine, {identity->member, boot}));
    CAIRN_TRY(auto opened, storage::LogStore::open(files, dir.log_path(), log_options));
    CAIRN_TRY(check_not_empty(opened.recovered, dir.log_path()));
    CAIRN_TRY(check_replay_fits(dir, opened.recovered, machine->applied_state().applied.index));
    CAIRN_TRY(auto members, known_members(*machine, opened.recovered));
    const std::uint64_t log_entries = opened.recovered.entries.size();
    CAIRN_TRY(auto replica,
              Replica::restore(replica_config(config, identity->member, boot),
                               std::move(opened.recovered), machine->applied_state()));
    return RecoveredNode{
        std::move(dir),        *identity,          std::move(engine),  std::move(machine),
        std::move(opened.log), std::move(replica), std::move(members), opened.torn_bytes,
        log_entries,           first_start};
}

}  // namespace cairn::server
