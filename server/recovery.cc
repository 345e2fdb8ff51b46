#include "server/recovery.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "raft/conf_change.h"
#include "server/bootstrap.h"
#include "storage/rocks_engine.h"

namespace cairn::server {
namespace {

// etcd: 5 s and two election timeouts.
constexpr std::uint64_t kRequestTimeoutMs = 5000;
constexpr std::uint64_t kReadRetryMs = 500;

Result<DataDirIdentity> bootstrap(storage::FileSystem& files, DataDir& dir,
                                  const ServerConfig& config) {
    CAIRN_TRY(auto plan, plan_bootstrap(config));
    CAIRN_TRY(dir.clear());
    CAIRN_TRY(auto opened, storage::LogStore::open(files, dir.log_path(), {}));
    const std::array batch{raft::bootstrap_batch(std::move(plan.members))};
    CAIRN_TRY(opened.log->append(batch));
    const DataDirIdentity identity{plan.cluster, plan.self};
    CAIRN_TRY(dir.write_identity(identity));
    return identity;
}

ReplicaConfig replica_config(const ServerConfig& config, NodeId self, std::uint64_t boot) {
    const auto tick_ms = static_cast<std::uint64_t>(config.heartbeat_interval.count());
    ReplicaConfig replica;
    replica.raft.id = self;
    replica.raft.election_ticks = config.election_ticks();
    replica.raft.pre_vote = config.pre_vote;
    replica.raft.seed = boot;
    replica.boot = boot;
    replica.request_timeout_ticks =
        kRequestTimeoutMs / tick_ms + 2 * std::uint64_t{config.election_ticks()};
    replica.read_retry_ticks = std::max<std::uint64_t>(1, kReadRetryMs / tick_ms);
    return replica;
}

// The engine may be behind the log: members that only the log knows yet count too.
Result<std::vector<command::MemberInfo>> known_members(const storage::StateMachine& machine,
                                                       const raft::Recovered& recovered) {
    std::map<std::uint64_t, command::MemberInfo> members;
    for (const auto& entry : recovered.entries) {
        if (entry.kind == raft::EntryKind::kConfig) {
            CAIRN_TRY(const auto change, raft::decode_conf_change(entry.payload));
            command::MemberInfo member;
            if (!member.ParseFromString(std::string(change.context.view()))) {
                return Error{Errc::kCorrupt, "a configuration entry names no member"};
            }
            members[change.node.value] = std::move(member);
        }
    }
    CAIRN_TRY(auto applied, machine.view()->members());
    for (auto& member : applied) {
        members[member.id()] = std::move(member);
    }
    std::vector<command::MemberInfo> sorted;
    for (auto& [id, member] : members) {
        sorted.push_back(std::move(member));
    }
    return sorted;
}

}  // namespace

Result<RecoveredNode> recover_node(storage::FileSystem& files, const ServerConfig& config,
                                   std::uint64_t boot) {
    CAIRN_TRY(auto dir, DataDir::open(files, config.data_dir));
    CAIRN_TRY(auto identity, dir.read_identity());
    const bool first_start = !identity.has_value();
    if (first_start) {
        CAIRN_TRY(identity, bootstrap(files, dir, config));
    }
    CAIRN_TRY(auto engine, storage::open_rocks_engine(dir.engine_path()));
    CAIRN_TRY(auto machine, storage::StateMachine::open(*engine, {identity->member, boot}));
    CAIRN_TRY(auto opened, storage::LogStore::open(files, dir.log_path(), {}));
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
