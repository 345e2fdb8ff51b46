#include "client/retry.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace cairn::client {
namespace {

constexpr std::string_view kLearnerRefusal = "etcdserver: rpc not supported for learner";

// Under codes that say nothing, but given before anything was done.
constexpr std::array<std::string_view, 4> kCertainRefusals = {
    kLearnerRefusal, "etcdserver: unhealthy cluster",
    "etcdserver: re-configuration failed due to not enough started members",
    "etcdserver: too many requests"};

bool is_certain(std::string_view text) {
    return std::find(kCertainRefusals.begin(), kCertainRefusals.end(), text) !=
           kCertainRefusals.end();
}

// Whether these codes, coming from a server, say nothing about what became of a write.
bool is_ambiguous(GrpcCode code) {
    switch (code) {
        case GrpcCode::kUnavailable:
        case GrpcCode::kDeadlineExceeded:
        case GrpcCode::kCancelled:
        case GrpcCode::kInternal:
        case GrpcCode::kUnknown:
        case GrpcCode::kAborted:
        case GrpcCode::kDataLoss: return true;
        case GrpcCode::kOk:
        case GrpcCode::kInvalidArgument:
        case GrpcCode::kNotFound:
        case GrpcCode::kAlreadyExists:
        case GrpcCode::kPermissionDenied:
        case GrpcCode::kResourceExhausted:
        case GrpcCode::kFailedPrecondition:
        case GrpcCode::kOutOfRange:
        case GrpcCode::kUnimplemented:
        case GrpcCode::kUnauthenticated: return false;
    }
    return true;
}

}  // namespace

bool may_repeat(CallKind kind, const CallResult& result) {
    const wire::GrpcStatus& status = result.status;
    if (status.code != GrpcCode::kUnavailable) {
        return false;
    }
    // A learner refuses before it does anything, so this holds for writes too.
    return !result.sent || kind == CallKind::kRead || is_learners_refusal(result);
}

bool is_learners_refusal(const CallResult& result) {
    return result.status.code == GrpcCode::kUnavailable && result.status.message == kLearnerRefusal;
}

Error error_of(CallKind kind, const CallResult& result) {
    const bool maybe_applied =
        kind == CallKind::kWrite && result.sent &&
        (result.torn || (is_ambiguous(result.status.code) && !is_certain(result.status.message)));
    return {result.status.code, result.status.message, maybe_applied};
}

}  // namespace cairn::client
