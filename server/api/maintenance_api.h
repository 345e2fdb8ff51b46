// Service Maintenance: Status, Alarm, Hash, HashKV, MoveLeader, Snapshot and Defragment.
// Pure functions; any thread. Bodies are appended behind the header that is already there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "server/api/call.h"
#include "server/replica/intent.h"
#include "server/replica/view.h"

namespace cairn::server::api {

// The etcd that cairn behaves like. Clients choose features by it, so it must not be our own.
inline constexpr std::string_view kEtcdVersion = "3.5.30";

// Errors of all: kMalformedRequest, those of admit(). Alarm adds validate_alarm's, and
// kRequestTooLarge.
Result<Intent> on_status(const Call& call, const CallContext& context);
Result<Intent> on_hash(const Call& call, const CallContext& context);
Result<Intent> on_hash_kv(const Call& call, const CallContext& context);
Result<Intent> on_alarm(const Call& call, const CallContext& context);
// Of the leader alone: kNotLeader; kBadLeaderTransferee for no target.
Result<Intent> on_move_leader(const Call& call, const CallContext& context);
// Answered at once: the engine keeps itself in shape, so there is nothing to do.
Result<Intent> on_defragment(const Call& call, const CallContext& context);
// In cairn's own format only; kUnimplemented for a client that did not ask for that one.
Result<Intent> on_snapshot(const Call& call, const CallContext& context);

// What Status tells of the engine, in bytes; the shell asks the engine.
struct StoreSize {
    std::int64_t allocated_bytes{};  // on disk
    std::int64_t used_bytes{};       // of them, data
    std::int64_t quota_bytes{};      // 0: not limited
};

void append_status(const NodeView& node, const StoreSize& size,
                   std::span<const etcdserverpb::AlarmMember> alarms, std::string& reply);

// The alarms of the request's kind, all for NONE. As etcd, whatever member the request names.
void append_alarms(const etcdserverpb::AlarmRequest& request,
                   std::span<const etcdserverpb::AlarmMember> alarms, std::string& reply);

void append_hash(std::uint32_t hash, std::string& reply);

struct KvHash {
    std::uint32_t hash{};
    std::int64_t compact_revision{};  // 0 when never compacted: etcd shows -1 then
    std::int64_t hash_revision{};
};
void append_hash_kv(const KvHash& hash, std::string& reply);

}  // namespace cairn::server::api
