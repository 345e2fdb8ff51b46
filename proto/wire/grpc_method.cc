#include "proto/wire/grpc_method.h"

#include <array>
#include <string>

#include "base/assert.h"

namespace cairn::wire {

namespace {

constexpr std::array<GrpcMethod, kMethodCount> kMethods{{
    {MethodId::kKvRange, StreamingKind::kUnary, "/etcdserverpb.KV/Range"},
    {MethodId::kKvRangeStream, StreamingKind::kServerStream, "/etcdserverpb.KV/RangeStream"},
    {MethodId::kKvPut, StreamingKind::kUnary, "/etcdserverpb.KV/Put"},
    {MethodId::kKvDeleteRange, StreamingKind::kUnary, "/etcdserverpb.KV/DeleteRange"},
    {MethodId::kKvTxn, StreamingKind::kUnary, "/etcdserverpb.KV/Txn"},
    {MethodId::kKvCompact, StreamingKind::kUnary, "/etcdserverpb.KV/Compact"},
    {MethodId::kWatchWatch, StreamingKind::kBidi, "/etcdserverpb.Watch/Watch"},
    {MethodId::kLeaseGrant, StreamingKind::kUnary, "/etcdserverpb.Lease/LeaseGrant"},
    {MethodId::kLeaseRevoke, StreamingKind::kUnary, "/etcdserverpb.Lease/LeaseRevoke"},
    {MethodId::kLeaseKeepAlive, StreamingKind::kBidi, "/etcdserverpb.Lease/LeaseKeepAlive"},
    {MethodId::kLeaseTimeToLive, StreamingKind::kUnary, "/etcdserverpb.Lease/LeaseTimeToLive"},
    {MethodId::kLeaseLeases, StreamingKind::kUnary, "/etcdserverpb.Lease/LeaseLeases"},
    {MethodId::kClusterMemberAdd, StreamingKind::kUnary, "/etcdserverpb.Cluster/MemberAdd"},
    {MethodId::kClusterMemberRemove, StreamingKind::kUnary, "/etcdserverpb.Cluster/MemberRemove"},
    {MethodId::kClusterMemberUpdate, StreamingKind::kUnary, "/etcdserverpb.Cluster/MemberUpdate"},
    {MethodId::kClusterMemberList, StreamingKind::kUnary, "/etcdserverpb.Cluster/MemberList"},
    {MethodId::kClusterMemberPromote, StreamingKind::kUnary, "/etcdserverpb.Cluster/MemberPromote"},
    {MethodId::kMaintenanceAlarm, StreamingKind::kUnary, "/etcdserverpb.Maintenance/Alarm"},
    {MethodId::kMaintenanceStatus, StreamingKind::kUnary, "/etcdserverpb.Maintenance/Status"},
    {MethodId::kMaintenanceDefragment, StreamingKind::kUnary,
     "/etcdserverpb.Maintenance/Defragment"},
    {MethodId::kMaintenanceHash, StreamingKind::kUnary, "/etcdserverpb.Maintenance/Hash"},
    {MethodId::kMaintenanceHashKv, StreamingKind::kUnary, "/etcdserverpb.Maintenance/HashKV"},
    {MethodId::kMaintenanceSnapshot, StreamingKind::kServerStream,
     "/etcdserverpb.Maintenance/Snapshot"},
    {MethodId::kMaintenanceMoveLeader, StreamingKind::kUnary,
     "/etcdserverpb.Maintenance/MoveLeader"},
    {MethodId::kMaintenanceDowngrade, StreamingKind::kUnary, "/etcdserverpb.Maintenance/Downgrade"},
    {MethodId::kAuthEnable, StreamingKind::kUnary, "/etcdserverpb.Auth/AuthEnable"},
    {MethodId::kAuthDisable, StreamingKind::kUnary, "/etcdserverpb.Auth/AuthDisable"},
    {MethodId::kAuthStatus, StreamingKind::kUnary, "/etcdserverpb.Auth/AuthStatus"},
    {MethodId::kAuthAuthenticate, StreamingKind::kUnary, "/etcdserverpb.Auth/Authenticate"},
    {MethodId::kAuthUserAdd, StreamingKind::kUnary, "/etcdserverpb.Auth/UserAdd"},
    {MethodId::kAuthUserGet, StreamingKind::kUnary, "/etcdserverpb.Auth/UserGet"},
    {MethodId::kAuthUserList, StreamingKind::kUnary, "/etcdserverpb.Auth/UserList"},
    {MethodId::kAuthUserDelete, StreamingKind::kUnary, "/etcdserverpb.Auth/UserDelete"},
    {MethodId::kAuthUserChangePassword, StreamingKind::kUnary,
     "/etcdserverpb.Auth/UserChangePassword"},
    {MethodId::kAuthUserGrantRole, StreamingKind::kUnary, "/etcdserverpb.Auth/UserGrantRole"},
    {MethodId::kAuthUserRevokeRole, StreamingKind::kUnary, "/etcdserverpb.Auth/UserRevokeRole"},
    {MethodId::kAuthRoleAdd, StreamingKind::kUnary, "/etcdserverpb.Auth/RoleAdd"},
    {MethodId::kAuthRoleGet, StreamingKind::kUnary, "/etcdserverpb.Auth/RoleGet"},
    {MethodId::kAuthRoleList, StreamingKind::kUnary, "/etcdserverpb.Auth/RoleList"},
    {MethodId::kAuthRoleDelete, StreamingKind::kUnary, "/etcdserverpb.Auth/RoleDelete"},
    {MethodId::kAuthRoleGrantPermission, StreamingKind::kUnary,
     "/etcdserverpb.Auth/RoleGrantPermission"},
    {MethodId::kAuthRoleRevokePermission, StreamingKind::kUnary,
     "/etcdserverpb.Auth/RoleRevokePermission"},
    {MethodId::kLockLock, StreamingKind::kUnary, "/v3lockpb.Lock/Lock"},
    {MethodId::kLockUnlock, StreamingKind::kUnary, "/v3lockpb.Lock/Unlock"},
    {MethodId::kElectionCampaign, StreamingKind::kUnary, "/v3electionpb.Election/Campaign"},
    {MethodId::kElectionProclaim, StreamingKind::kUnary, "/v3electionpb.Election/Proclaim"},
    {MethodId::kElectionLeader, StreamingKind::kUnary, "/v3electionpb.Election/Leader"},
    {MethodId::kElectionObserve, StreamingKind::kServerStream, "/v3electionpb.Election/Observe"},
    {MethodId::kElectionResign, StreamingKind::kUnary, "/v3electionpb.Election/Resign"},
    {MethodId::kHealthCheck, StreamingKind::kUnary, "/grpc.health.v1.Health/Check"},
    {MethodId::kHealthWatch, StreamingKind::kServerStream, "/grpc.health.v1.Health/Watch"},
}};

constexpr bool ids_match_rows() {
    for (std::size_t i = 0; i < kMethods.size(); ++i) {
        if (static_cast<std::size_t>(kMethods[i].id) != i) {
            return false;
        }
    }
    return true;
}
static_assert(ids_match_rows(), "the table stands in the order of MethodId");

// A perfect hash: FNV-1a from a start value under which no two paths share a slot. The compiler
// finds it, so that a new row needs no hand.
constexpr std::size_t kSlotCount = 512;
constexpr std::uint8_t kNoMethod = 0xFF;
static_assert(kMethodCount < kNoMethod);
using SlotTable = std::array<std::uint8_t, kSlotCount>;

constexpr std::size_t slot_of(std::string_view path, std::uint32_t start) {
    std::uint32_t hash = start;
    for (const char c : path) {
        hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x01000193U;
    }
    return (hash ^ (hash >> 15U)) % kSlotCount;
}

constexpr bool fill_slots(SlotTable& slots, std::uint32_t start) {
    slots.fill(kNoMethod);
    for (std::size_t i = 0; i < kMethods.size(); ++i) {
        std::uint8_t& slot = slots[slot_of(kMethods[i].path, start)];
        if (slot != kNoMethod) {
            return false;
        }
        slot = static_cast<std::uint8_t>(i);
    }
    return true;
}

struct PerfectHash {
    std::uint32_t start = 0;
    SlotTable slots{};
};

constexpr PerfectHash find_perfect_hash() {
    PerfectHash table;
    table.start = 0x811c9dc5U;
    while (!fill_slots(table.slots, table.start)) {
        ++table.start;
    }
    return table;
}

constexpr PerfectHash kPerfectHash = find_perfect_hash();

bool is_known_service(std::string_view service) {
    for (const GrpcMethod& method : kMethods) {
        if (method.service() == service) {
            return true;
        }
    }
    return false;
}

constexpr std::size_t kQuotedBytesMax = 256;  // of a hostile path in an error text

std::string quoted(std::string_view text) { return std::string(text.substr(0, kQuotedBytesMax)); }

}  // namespace

std::string_view GrpcMethod::service() const { return path.substr(1, path.rfind('/') - 1); }

std::string_view GrpcMethod::name() const { return path.substr(path.rfind('/') + 1); }

const GrpcMethod* find_method(std::string_view path) {
    const std::uint8_t slot = kPerfectHash.slots[slot_of(path, kPerfectHash.start)];
    if (slot == kNoMethod || kMethods[slot].path != path) {
        return nullptr;
    }
    return &kMethods[slot];
}

const GrpcMethod& method_info(MethodId id) {
    CAIRN_ASSERT(id != MethodId::kMethodCount);
    return kMethods[static_cast<std::size_t>(id)];
}

GrpcStatus unknown_method_status(std::string_view path) {
    const std::string_view stem = path.starts_with('/') ? path.substr(1) : path;
    const std::size_t slash = stem.rfind('/');
    if (slash == std::string_view::npos) {
        return {GrpcCode::kUnimplemented, "malformed method name: \"" + quoted(path) + "\""};
    }
    const std::string_view service = stem.substr(0, slash);
    if (is_known_service(service)) {
        return {GrpcCode::kUnimplemented, "unknown method " + quoted(stem.substr(slash + 1)) +
                                              " for service " + quoted(service)};
    }
    return {GrpcCode::kUnimplemented, "unknown service " + quoted(service)};
}

}  // namespace cairn::wire
