#include "base/error.h"

namespace cairn {

std::string_view errc_name(Errc code) {
    switch (code) {
        case Errc::kIo: return "Io";
        case Errc::kNoSpace: return "NoSpace";
        case Errc::kCorrupt: return "Corrupt";
        case Errc::kLocked: return "Locked";
        case Errc::kNotFound: return "NotFound";
        case Errc::kInvalidConfig: return "InvalidConfig";
        case Errc::kUnsupportedVersion: return "UnsupportedVersion";
        case Errc::kMalformed: return "Malformed";
        case Errc::kTooLarge: return "TooLarge";
        case Errc::kProtocol: return "Protocol";
        case Errc::kConnection: return "Connection";
        case Errc::kClosed: return "Closed";
        case Errc::kInternal: return "Internal";
        case Errc::kNotInMemory: return "NotInMemory";
        case Errc::kNotLeader: return "NotLeader";
        case Errc::kNoLeader: return "NoLeader";
        case Errc::kLeaderChanged: return "LeaderChanged";
        case Errc::kTooManyRequests: return "TooManyRequests";
        case Errc::kTimeout: return "Timeout";
        case Errc::kTimeoutLeaderFailure: return "TimeoutLeaderFailure";
        case Errc::kTimeoutConnectionLost: return "TimeoutConnectionLost";
        case Errc::kTimeoutWaitAppliedIndex: return "TimeoutWaitAppliedIndex";
        case Errc::kTimeoutLeaderTransfer: return "TimeoutLeaderTransfer";
        case Errc::kStopped: return "Stopped";
        case Errc::kCanceled: return "Canceled";
        case Errc::kDeadlineExceeded: return "DeadlineExceeded";
        case Errc::kBadLeaderTransferee: return "BadLeaderTransferee";
        case Errc::kUnhealthy: return "Unhealthy";
        case Errc::kNotCapable: return "NotCapable";
        case Errc::kLearnerNotSupported: return "LearnerNotSupported";
        case Errc::kCorruptCluster: return "CorruptCluster";
        case Errc::kClusterIdMismatch: return "ClusterIdMismatch";
        case Errc::kEmptyKey: return "EmptyKey";
        case Errc::kKeyNotFound: return "KeyNotFound";
        case Errc::kValueProvided: return "ValueProvided";
        case Errc::kLeaseProvided: return "LeaseProvided";
        case Errc::kTooManyOps: return "TooManyOps";
        case Errc::kDuplicateKey: return "DuplicateKey";
        case Errc::kInvalidSortOption: return "InvalidSortOption";
        case Errc::kCompacted: return "Compacted";
        case Errc::kFutureRev: return "FutureRev";
        case Errc::kNoSpaceQuota: return "NoSpaceQuota";
        case Errc::kRequestTooLarge: return "RequestTooLarge";
        case Errc::kInvalidClientApiVersion: return "InvalidClientApiVersion";
        case Errc::kLeaseNotFound: return "LeaseNotFound";
        case Errc::kLeaseExists: return "LeaseExists";
        case Errc::kLeaseTtlTooLarge: return "LeaseTtlTooLarge";
        case Errc::kWatchCanceled: return "WatchCanceled";
        case Errc::kMemberExists: return "MemberExists";
        case Errc::kPeerUrlExists: return "PeerUrlExists";
        case Errc::kMemberNotEnoughStarted: return "MemberNotEnoughStarted";
        case Errc::kMemberBadUrls: return "MemberBadUrls";
        case Errc::kMemberNotFound: return "MemberNotFound";
        case Errc::kMemberNotLearner: return "MemberNotLearner";
        case Errc::kLearnerNotReady: return "LearnerNotReady";
        case Errc::kTooManyLearners: return "TooManyLearners";
        case Errc::kRootUserNotExist: return "RootUserNotExist";
        case Errc::kRootRoleNotExist: return "RootRoleNotExist";
        case Errc::kUserAlreadyExist: return "UserAlreadyExist";
        case Errc::kUserEmpty: return "UserEmpty";
        case Errc::kUserNotFound: return "UserNotFound";
        case Errc::kRoleAlreadyExist: return "RoleAlreadyExist";
        case Errc::kRoleNotFound: return "RoleNotFound";
        case Errc::kRoleEmpty: return "RoleEmpty";
        case Errc::kAuthFailed: return "AuthFailed";
        case Errc::kPermissionNotGiven: return "PermissionNotGiven";
        case Errc::kPermissionDenied: return "PermissionDenied";
        case Errc::kRoleNotGranted: return "RoleNotGranted";
        case Errc::kPermissionNotGranted: return "PermissionNotGranted";
        case Errc::kAuthNotEnabled: return "AuthNotEnabled";
        case Errc::kInvalidAuthToken: return "InvalidAuthToken";
        case Errc::kInvalidAuthManagement: return "InvalidAuthManagement";
        case Errc::kAuthOldRevision: return "AuthOldRevision";
        case Errc::kInvalidDowngradeTarget: return "InvalidDowngradeTarget";
        case Errc::kWrongDowngradeVersionFormat: return "WrongDowngradeVersionFormat";
        case Errc::kDowngradeInProcess: return "DowngradeInProcess";
        case Errc::kNoInflightDowngrade: return "NoInflightDowngrade";
        case Errc::kClusterVersionUnavailable: return "ClusterVersionUnavailable";
        case Errc::kUnimplemented: return "Unimplemented";
        case Errc::kMessageTooLarge: return "MessageTooLarge";
        case Errc::kMalformedRequest: return "MalformedRequest";
        case Errc::kInvalidArgument: return "InvalidArgument";
        case Errc::kUnknownService: return "UnknownService";
    }
    return "?";
}

std::string to_string(const Error& error) {
    std::string text(errc_name(error.code));
    if (!error.detail.empty()) {
        text += ": ";
        text += error.detail;
    }
    return text;
}

}  // namespace cairn
