// Error: the one error value of the project, and Errc, its closed list of codes.
// Values; any thread. How a code looks on the wire is server/api/api_error.cc alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace cairn {

// The numbers go between members (ForwardRefused): append to a group, never renumber.
enum class Errc : std::uint16_t {
    // Operating errors that no client sees as they are.
    kIo = 1,              // the operating system refused; detail names file, call and errno
    kNoSpace,             // disk full
    kCorrupt,             // stored bytes fail their check; detail names file and offset
    kLocked,              // another process holds the data directory
    kNotFound,            // a file or directory that had to be there
    kInvalidConfig,       // a flag, variable or directory that contradicts another
    kUnsupportedVersion,  // written by a newer format than this build reads
    kMalformed,           // bytes that do not parse
    kTooLarge,            // beyond a limit of the parser
    kProtocol,            // a peer broke the protocol
    kConnection,          // refused, reset, closed, unreachable
    kClosed,              // used after close
    kInternal,            // a bug found at run time, recoverable
    kNotInMemory,         // the answer needs the disk, and the caller may not wait for it

    // Refusals of the core and the replica.
    kNotLeader = 100,
    kNoLeader,
    kLeaderChanged,
    kTooManyRequests,  // uncommitted bytes or apply backlog over the limit
    kTimeout,
    kTimeoutLeaderFailure,
    kTimeoutConnectionLost,
    kTimeoutWaitAppliedIndex,
    kTimeoutLeaderTransfer,
    kStopped,
    kCanceled,
    kDeadlineExceeded,
    kBadLeaderTransferee,
    kUnhealthy,
    kNotCapable,
    kLearnerNotSupported,
    kCorruptCluster,
    kClusterIdMismatch,

    // KV.
    kEmptyKey = 200,
    kKeyNotFound,
    kValueProvided,
    kLeaseProvided,
    kTooManyOps,
    kDuplicateKey,
    kInvalidSortOption,
    kCompacted,
    kFutureRev,
    kNoSpaceQuota,
    kRequestTooLarge,
    kInvalidClientApiVersion,

    // Lease.
    kLeaseNotFound = 300,
    kLeaseExists,
    kLeaseTtlTooLarge,

    // Watch.
    kWatchCanceled = 400,

    // Cluster.
    kMemberExists = 500,
    kPeerUrlExists,
    kMemberNotEnoughStarted,
    kMemberBadUrls,
    kMemberNotFound,
    kMemberNotLearner,
    kLearnerNotReady,
    kTooManyLearners,

    // Auth.
    kRootUserNotExist = 600,
    kRootRoleNotExist,
    kUserAlreadyExist,
    kUserEmpty,
    kUserNotFound,
    kRoleAlreadyExist,
    kRoleNotFound,
    kRoleEmpty,
    kAuthFailed,
    kPermissionNotGiven,
    kPermissionDenied,
    kRoleNotGranted,
    kPermissionNotGranted,
    kAuthNotEnabled,
    kInvalidAuthToken,
    kInvalidAuthManagement,
    kAuthOldRevision,

    // Downgrade.
    kInvalidDowngradeTarget = 700,
    kWrongDowngradeVersionFormat,
    kDowngradeInProcess,
    kNoInflightDowngrade,
    kClusterVersionUnavailable,

    // gRPC's own.
    kUnimplemented = 800,
    kMessageTooLarge,
    kMalformedRequest,  // the request's protobuf does not parse
    kInvalidArgument,   // a field's value that etcd would crash on; detail names it
    kUnknownService,    // a health check of a service that is not there
};

// The enumerator's name without its k, for logs and tests; "?" for a value outside the list.
std::string_view errc_name(Errc code);

// What went wrong. `detail` is for people: what, where, and what would be right.
struct Error {
    Errc code{};
    std::string detail;

    Error() = default;
    // Implicit on purpose: `return Errc::kNotLeader;` is how functions fail.
    Error(Errc error_code) : code(error_code) {}  // NOLINT(google-explicit-constructor)
    Error(Errc error_code, std::string text) : code(error_code), detail(std::move(text)) {}

    bool operator==(const Error&) const = default;
};

// "Corrupt: wal/000001.log at 4096: ..." for logs and terminals.
std::string to_string(const Error& error);

}  // namespace cairn
