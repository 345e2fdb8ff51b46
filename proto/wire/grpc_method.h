// The table of every gRPC method an etcd client can call: path -> method id and streaming kind.
// Constant data; any thread. Must never say what a method does: server/api/dispatcher does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proto/wire/grpc_status.h"

namespace cairn::wire {

enum class StreamingKind : std::uint8_t { kUnary, kServerStream, kClientStream, kBidi };

// In the order of the table; kMethodCount is not a method.
enum class MethodId : std::uint8_t {
    kKvRange,
    kKvRangeStream,
    kKvPut,
    kKvDeleteRange,
    kKvTxn,
    kKvCompact,
    kWatchWatch,
    kLeaseGrant,
    kLeaseRevoke,
    kLeaseKeepAlive,
    kLeaseTimeToLive,
    kLeaseLeases,
    kClusterMemberAdd,
    kClusterMemberRemove,
    kClusterMemberUpdate,
    kClusterMemberList,
    kClusterMemberPromote,
    kMaintenanceAlarm,
    kMaintenanceStatus,
    kMaintenanceDefragment,
    kMaintenanceHash,
    kMaintenanceHashKv,
    kMaintenanceSnapshot,
    kMaintenanceMoveLeader,
    kMaintenanceDowngrade,
    kAuthEnable,
    kAuthDisable,
    kAuthStatus,
    kAuthAuthenticate,
    kAuthUserAdd,
    kAuthUserGet,
    kAuthUserList,
    kAuthUserDelete,
    kAuthUserChangePassword,
    kAuthUserGrantRole,
    kAuthUserRevokeRole,
    kAuthRoleAdd,
    kAuthRoleGet,
    kAuthRoleList,
    kAuthRoleDelete,
    kAuthRoleGrantPermission,
    kAuthRoleRevokePermission,
    kLockLock,
    kLockUnlock,
    kElectionCampaign,
    kElectionProclaim,
    kElectionLeader,
    kElectionObserve,
    kElectionResign,
    kHealthCheck,
    kHealthWatch,
    kMethodCount,
};

inline constexpr std::size_t kMethodCount = static_cast<std::size_t>(MethodId::kMethodCount);

struct GrpcMethod {
    MethodId id = MethodId::kMethodCount;
    StreamingKind kind = StreamingKind::kUnary;
    std::string_view path;  // "/package.Service/Method", static storage

    [[nodiscard]] std::string_view service() const;  // "package.Service"
    [[nodiscard]] std::string_view name() const;     // "Method"
};

// The method of this path, or nullptr. One hash, one comparison, no allocation.
const GrpcMethod* find_method(std::string_view path);
// The row of `id`, which must not be kMethodCount.
const GrpcMethod& method_info(MethodId id);

// The Unimplemented answer for a path that find_method does not know, worded as grpc-go words it:
// unknown service, unknown method of a known service, or no method name at all.
GrpcStatus unknown_method_status(std::string_view path);

}  // namespace cairn::wire
