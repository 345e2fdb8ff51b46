#include "server/api/api_error.h"

#include <string>
#include <utility>

#include "base/assert.h"
#include "base/mutant.h"

namespace cairn::server::api {

// An exhaustive switch: -Wswitch-enum refuses an Errc without a wire form. Where etcd 3.5.30
// differs from later releases, its code stands: "too many requests", "not enough started members"
// and the leader transfer's timeout reach clients as Unknown there, since it loses their code on
// the way; "not capable", "rpc not supported for learner" and "cluster version not found" are
// Unavailable.
ApiError api_error(Errc code) {
    using enum wire::GrpcCode;
    switch (code) {
        // What etcd has not: a code a client can act on, and a text without particulars.
        case Errc::kIo: return {kInternal, "cairn: storage error"};
        case Errc::kNoSpace: return {kInternal, "cairn: disk full"};
        case Errc::kCorrupt: return {kDataLoss, "cairn: stored data is corrupt"};
        case Errc::kLocked: return {kInternal, "cairn: data directory in use"};
        case Errc::kNotFound: return {kInternal, "cairn: file not found"};
        case Errc::kInvalidConfig: return {kInternal, "cairn: invalid configuration"};
        case Errc::kUnsupportedVersion: return {kInternal, "cairn: unsupported format version"};
        case Errc::kMalformed: return {kInternal, "cairn: malformed data"};
        case Errc::kTooLarge: return {kResourceExhausted, "cairn: data over a limit"};
        case Errc::kProtocol: return {kInternal, "cairn: protocol error"};
        case Errc::kConnection: return {kUnavailable, "cairn: connection failed"};
        case Errc::kClosed: return {kUnavailable, "cairn: closed"};
        case Errc::kInternal: return {kInternal, "cairn: internal error"};
        case Errc::kNotInMemory: return {kInternal, "cairn: not in memory"};
        // The core and the replica.
        case Errc::kNotLeader: return {kFailedPrecondition, "etcdserver: not leader"};
        case Errc::kNoLeader: return {kUnavailable, "etcdserver: no leader"};
        case Errc::kLeaderChanged: return {kUnavailable, "etcdserver: leader changed"};
        case Errc::kTooManyRequests: return {kUnknown, "etcdserver: too many requests"};
        case Errc::kTimeout: return {kUnavailable, "etcdserver: request timed out"};
        case Errc::kTimeoutLeaderFailure:
            return {kUnavailable,
                    "etcdserver: request timed out, possibly due to previous leader failure"};
        case Errc::kTimeoutConnectionLost:
            return {kUnavailable, "etcdserver: request timed out, possibly due to connection lost"};
        case Errc::kTimeoutWaitAppliedIndex:
            return {kUnavailable,
                    "etcdserver: request timed out, waiting for the applied index took too long"};
        case Errc::kTimeoutLeaderTransfer:
            return {kUnknown, "etcdserver: request timed out, leader transfer took too long"};
        case Errc::kStopped: return {kUnavailable, "etcdserver: server stopped"};
        case Errc::kCanceled: return {kCancelled, "etcdserver: request canceled"};
        case Errc::kDeadlineExceeded:
            return {kDeadlineExceeded, "etcdserver: context deadline exceeded"};
        case Errc::kBadLeaderTransferee:
            return {kFailedPrecondition, "etcdserver: bad leader transferee"};
        case Errc::kUnhealthy: return {kUnavailable, "etcdserver: unhealthy cluster"};
        case Errc::kNotCapable: return {kUnavailable, "etcdserver: not capable"};
        case Errc::kLearnerNotSupported:
            return {kUnavailable, "etcdserver: rpc not supported for learner"};
        case Errc::kCorruptCluster: return {kDataLoss, "etcdserver: corrupt cluster"};
        case Errc::kClusterIdMismatch:
            return {kFailedPrecondition, "etcdserver: cluster ID mismatch"};
        // KV.
        case Errc::kEmptyKey: return {kInvalidArgument, "etcdserver: key is not provided"};
        case Errc::kKeyNotFound: return {kInvalidArgument, "etcdserver: key not found"};
        case Errc::kValueProvided: return {kInvalidArgument, "etcdserver: value is provided"};
        case Errc::kLeaseProvided: return {kInvalidArgument, "etcdserver: lease is provided"};
        case Errc::kTooManyOps:
            return {kInvalidArgument, "etcdserver: too many operations in txn request"};
        case Errc::kDuplicateKey:
            return {kInvalidArgument, "etcdserver: duplicate key given in txn request"};
        case Errc::kInvalidSortOption: return {kInvalidArgument, "etcdserver: invalid sort option"};
        case Errc::kCompacted:
            return {kOutOfRange, CAIRN_MUTANT(api_compacted_text)
                                     ? "mvcc: required revision has been compacted"
                                     : "etcdserver: mvcc: required revision has been compacted"};
        case Errc::kFutureRev:
            return {kOutOfRange, "etcdserver: mvcc: required revision is a future revision"};
        case Errc::kNoSpaceQuota:
            return {kResourceExhausted, "etcdserver: mvcc: database space exceeded"};
        case Errc::kRequestTooLarge:
            return {
                CAIRN_MUTANT(api_too_large_is_exhausted) ? kResourceExhausted : kInvalidArgument,
                "etcdserver: request is too large"};
        case Errc::kInvalidClientApiVersion:
            return {kInvalidArgument, "etcdserver: invalid client api version"};
        // Lease.
        case Errc::kLeaseNotFound: return {kNotFound, "etcdserver: requested lease not found"};
        case Errc::kLeaseExists: return {kFailedPrecondition, "etcdserver: lease already exists"};
        case Errc::kLeaseTtlTooLarge: return {kOutOfRange, "etcdserver: too large lease TTL"};
        // Watch.
        case Errc::kWatchCanceled: return {kCancelled, "etcdserver: watch canceled"};
        // Cluster.
        case Errc::kMemberExists:
            return {kFailedPrecondition, "etcdserver: member ID already exist"};
        case Errc::kPeerUrlExists:
            return {kFailedPrecondition, "etcdserver: Peer URLs already exists"};
        case Errc::kMemberNotEnoughStarted:
            return {kUnknown,
                    "etcdserver: re-configuration failed due to not enough started members"};
        case Errc::kMemberBadUrls:
            return {kInvalidArgument, "etcdserver: given member URLs are invalid"};
        case Errc::kMemberNotFound: return {kNotFound, "etcdserver: member not found"};
        case Errc::kMemberNotLearner:
            return {kFailedPrecondition, "etcdserver: can only promote a learner member"};
        case Errc::kLearnerNotReady:
            return {kFailedPrecondition,
                    "etcdserver: can only promote a learner member which is in sync with leader"};
        case Errc::kTooManyLearners:
            return {kFailedPrecondition, "etcdserver: too many learner members in cluster"};
        // Auth.
        case Errc::kRootUserNotExist:
            return {kFailedPrecondition, "etcdserver: root user does not exist"};
        case Errc::kRootRoleNotExist:
            return {kFailedPrecondition, "etcdserver: root user does not have root role"};
        case Errc::kUserAlreadyExist:
            return {kFailedPrecondition, "etcdserver: user name already exists"};
        case Errc::kUserEmpty: return {kInvalidArgument, "etcdserver: user name is empty"};
        case Errc::kUserNotFound: return {kFailedPrecondition, "etcdserver: user name not found"};
        case Errc::kRoleAlreadyExist:
            return {kFailedPrecondition, "etcdserver: role name already exists"};
        case Errc::kRoleNotFound: return {kFailedPrecondition, "etcdserver: role name not found"};
        case Errc::kRoleEmpty: return {kInvalidArgument, "etcdserver: role name is empty"};
        case Errc::kAuthFailed:
            return {kInvalidArgument,
                    "etcdserver: authentication failed, invalid user ID or password"};
        case Errc::kPermissionNotGiven:
            return {kInvalidArgument, "etcdserver: permission not given"};
        case Errc::kPermissionDenied: return {kPermissionDenied, "etcdserver: permission denied"};
        case Errc::kRoleNotGranted:
            return {kFailedPrecondition, "etcdserver: role is not granted to the user"};
        case Errc::kPermissionNotGranted:
            return {kFailedPrecondition, "etcdserver: permission is not granted to the role"};
        case Errc::kAuthNotEnabled:
            return {kFailedPrecondition, "etcdserver: authentication is not enabled"};
        case Errc::kInvalidAuthToken: return {kUnauthenticated, "etcdserver: invalid auth token"};
        case Errc::kInvalidAuthManagement:
            return {kInvalidArgument, "etcdserver: invalid auth management"};
        case Errc::kAuthOldRevision:
            return {kInvalidArgument, "etcdserver: revision of auth store is old"};
        // Downgrade.
        case Errc::kInvalidDowngradeTarget:
            return {kInvalidArgument, "etcdserver: invalid downgrade target version"};
        case Errc::kWrongDowngradeVersionFormat:
            return {kInvalidArgument, "etcdserver: wrong downgrade target version format"};
        case Errc::kDowngradeInProcess:
            return {kFailedPrecondition, "etcdserver: cluster has a downgrade job in progress"};
        case Errc::kNoInflightDowngrade:
            return {kFailedPrecondition, "etcdserver: no inflight downgrade job"};
        case Errc::kClusterVersionUnavailable:
            return {kUnavailable, "etcdserver: cluster version not found during downgrade"};
        // gRPC's own, worded as grpc-go words them.
        case Errc::kUnimplemented: return {kUnimplemented, "", true};
        case Errc::kMessageTooLarge: return {kResourceExhausted, "", true};
        case Errc::kMalformedRequest:
            return {kInternal, "grpc: error unmarshalling request: ", true};
        case Errc::kInvalidArgument: return {kInvalidArgument, "etcdserver: ", true};
        case Errc::kUnknownService: return {kNotFound, "unknown service"};
    }
    CAIRN_ASSERT(false && "an Errc outside the list");
    return {};
}

wire::GrpcStatus to_status(const Error& error) {
    const ApiError wire_form = api_error(error.code);
    std::string message(wire_form.text);
    if (wire_form.with_detail && !CAIRN_MUTANT(api_error_without_detail)) {
        message += error.detail;
    }
    return {wire_form.code, std::move(message)};
}

}  // namespace cairn::server::api
