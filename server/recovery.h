// What a member is made of, opened from its data directory or laid out in it for the first time.
// Used by the Node at start, on one thread.
// Never mends damage, and never removes data: what cannot be read whole, or has lost its identity,
// is an error that names the place.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "server/replica/replica.h"
#include "storage/engine.h"
#include "storage/log_store.h"
#include "storage/snapshot_store.h"
#include "storage/state_machine.h"

namespace cairn::server {

// In the order in which they must be destroyed last to first.
struct RecoveredNode {
    DataDir dir;
    DataDirIdentity identity;
    std::unique_ptr<storage::EngineKind> engine_kind;
    std::unique_ptr<storage::SnapshotStore> snapshots;
    std::unique_ptr<storage::StateMachine> machine;
    std::unique_ptr<storage::LogStore> log;
    std::unique_ptr<Replica> replica;
    std::vector<command::MemberInfo> seeds;  // whom a member that joined just now begins with
    std::uint64_t torn_bytes{};
    std::uint64_t log_entries{};
    bool first_start = false;
};

// `boot` is drawn at random by the caller, once a start.
Result<RecoveredNode> recover_node(storage::FileSystem& files, const ServerConfig& config,
                                   std::uint64_t boot, const storage::LogOptions& log_options = {});

}  // namespace cairn::server
