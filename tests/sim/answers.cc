#include "sim/answers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace cairn::sim {
namespace {

using server::api::Reply;
using wire::GrpcCode;
using wire::MethodId;

// A bit for each method.
using Methods = std::uint64_t;
static_assert(wire::kMethodCount <= 64);

template <class... Ids>
constexpr Methods methods(Ids... ids) {
    return (Methods{0} | ... | (Methods{1} << static_cast<unsigned>(ids)));
}

constexpr Methods kCompactions = methods(MethodId::kKvCompact);
constexpr Methods kOfOldRevisions = methods(MethodId::kKvRange, MethodId::kKvTxn) | kCompactions;
constexpr Methods kKeyValues =
    methods(MethodId::kKvPut, MethodId::kKvDeleteRange) | kOfOldRevisions;
constexpr Methods kAdditions = methods(MethodId::kClusterMemberAdd);
constexpr Methods kUpdates = methods(MethodId::kClusterMemberUpdate);
constexpr Methods kPromotions = methods(MethodId::kClusterMemberPromote);
constexpr Methods kChanges =
    methods(MethodId::kClusterMemberRemove) | kAdditions | kUpdates | kPromotions;
constexpr Methods kTransfers = methods(MethodId::kMaintenanceMoveLeader);
// What a quorum answers.
constexpr Methods kWrites = (kKeyValues & ~methods(MethodId::kKvRange)) | kChanges;
constexpr Methods kReads =
    methods(MethodId::kKvRange, MethodId::kKvTxn, MethodId::kClusterMemberList);

struct Failure {
    GrpcCode code = GrpcCode::kOk;
    std::string_view text;
    Errc errc{};
    Methods methods{};  // that may end so
    bool certain = false;
};

constexpr std::array<Failure, 19> kFailures = {{
    {GrpcCode::kUnavailable, "etcdserver: request timed out", Errc::kTimeout, kWrites | kReads},
    {GrpcCode::kUnavailable,
     "etcdserver: request timed out, possibly due to previous leader failure",
     Errc::kTimeoutLeaderFailure, kWrites},
    {GrpcCode::kUnavailable, "etcdserver: request timed out, possibly due to connection lost",
     Errc::kTimeoutConnectionLost, kWrites},
    {GrpcCode::kUnavailable,
     "etcdserver: request timed out, waiting for the applied index took too long",
     Errc::kTimeoutWaitAppliedIndex, kReads},
    {GrpcCode::kUnknown, "etcdserver: request timed out, leader transfer took too long",
     Errc::kTimeoutLeaderTransfer, kTransfers},
    {GrpcCode::kUnavailable, "etcdserver: leader changed", Errc::kLeaderChanged, kWrites},
    {GrpcCode::kUnavailable, "etcdserver: unhealthy cluster", Errc::kUnhealthy, kChanges, true},
    {GrpcCode::kUnknown, "etcdserver: too many requests", Errc::kTooManyRequests,
     kWrites | kReads | kTransfers, true},
    {GrpcCode::kFailedPrecondition, "etcdserver: not leader", Errc::kNotLeader, kTransfers, true},
    {GrpcCode::kFailedPrecondition, "etcdserver: bad leader transferee", Errc::kBadLeaderTransferee,
     kTransfers, true},
    {GrpcCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted",
     Errc::kCompacted, kOfOldRevisions, true},
    {GrpcCode::kOutOfRange, "etcdserver: mvcc: required revision is a future revision",
     Errc::kFutureRev, kOfOldRevisions, true},
    {GrpcCode::kNotFound, "etcdserver: member not found", Errc::kMemberNotFound,
     kChanges & ~kAdditions, true},
    {GrpcCode::kFailedPrecondition, "etcdserver: member ID already exist", Errc::kMemberExists,
     kAdditions, true},
    {GrpcCode::kFailedPrecondition, "etcdserver: Peer URLs already exists", Errc::kPeerUrlExists,
     kAdditions | kUpdates, true},
    {GrpcCode::kFailedPrecondition, "etcdserver: can only promote a learner member",
     Errc::kMemberNotLearner, kPromotions, true},
    {GrpcCode::kFailedPrecondition,
     "etcdserver: can only promote a learner member which is in sync with leader",
     Errc::kLearnerNotReady, kPromotions, true},
    // Of the clients' and the administrator's calls it is the only answer (Request::refused_by).
    {GrpcCode::kUnavailable, "etcdserver: rpc not supported for learner",
     Errc::kLearnerNotSupported, kTransfers, true},
    {GrpcCode::kFailedPrecondition, "etcdserver: too many learner members in cluster",
     Errc::kTooManyLearners, kAdditions, true},
}};

template <class Response>
std::optional<Response> parse(const Reply& reply) {
    std::optional<Response> response(std::in_place);
    const bool parses =
        response->ParseFromArray(reply.body.data(), static_cast<int>(reply.body.size()));
    return parses ? std::move(response) : std::nullopt;
}

// The header apart, which must be there.
template <class Response>
std::optional<Answer> read_ok(Response* response) {
    if (response == nullptr || !response->has_header()) {
        return std::nullopt;
    }
    Answer answer;
    answer.header.emplace().Swap(response->mutable_header());
    response->clear_header();
    answer.body = response->SerializeAsString();
    return answer;
}

template <class Response>
std::optional<Answer> read_key_values(const Reply& reply) {
    auto response = parse<Response>(reply);
    return read_ok(response ? &*response : nullptr);
}

template <class Response>
std::optional<Answer> read_members(const Reply& reply) {
    auto response = parse<Response>(reply);
    auto answer = read_ok(response ? &*response : nullptr);
    if (answer) {
        answer->members.mutable_members()->Swap(response->mutable_members());
        if constexpr (std::is_same_v<Response, etcdserverpb::MemberAddResponse>) {
            answer->added = response->member().id();
        }
    }
    return answer;
}

std::optional<Answer> read_status(const Reply& reply) {
    auto response = parse<etcdserverpb::StatusResponse>(reply);
    auto answer = read_ok(response ? &*response : nullptr);
    if (answer) {
        answer->status.Swap(&*response);
    }
    return answer;
}

std::optional<Answer> read_failure(MethodId method, const wire::GrpcStatus& status) {
    const auto* const failure =
        std::find_if(kFailures.begin(), kFailures.end(), [&](const Failure& it) {
            return it.code == status.code && it.text == status.message &&
                   (it.methods & methods(method)) != 0;
        });
    if (failure == kFailures.end()) {
        return std::nullopt;
    }
    return Answer{.error = failure->errc, .certain = failure->certain};
}

// These have no header in etcd, either, and say nothing else.
std::optional<Answer> read_done(const Reply& reply) {
    return reply.body.size() == 0 ? std::optional(Answer()) : std::nullopt;
}

}  // namespace

std::optional<Answer> read_reply(MethodId method, const Reply& reply) {
    if (!reply.status.is_ok()) {
        return reply.body.size() == 0 ? read_failure(method, reply.status) : std::nullopt;
    }
    switch (static_cast<int>(method)) {
        case static_cast<int>(MethodId::kKvRange):
            return read_key_values<etcdserverpb::RangeResponse>(reply);
        case static_cast<int>(MethodId::kKvPut):
            return read_key_values<etcdserverpb::PutResponse>(reply);
        case static_cast<int>(MethodId::kKvDeleteRange):
            return read_key_values<etcdserverpb::DeleteRangeResponse>(reply);
        case static_cast<int>(MethodId::kKvTxn):
            return read_key_values<etcdserverpb::TxnResponse>(reply);
        case static_cast<int>(MethodId::kKvCompact):
            return read_key_values<etcdserverpb::CompactionResponse>(reply);
        case static_cast<int>(MethodId::kClusterMemberList):
            return read_members<etcdserverpb::MemberListResponse>(reply);
        case static_cast<int>(MethodId::kClusterMemberAdd):
            return read_members<etcdserverpb::MemberAddResponse>(reply);
        case static_cast<int>(MethodId::kClusterMemberRemove):
            return read_members<etcdserverpb::MemberRemoveResponse>(reply);
        case static_cast<int>(MethodId::kClusterMemberUpdate):
            return read_members<etcdserverpb::MemberUpdateResponse>(reply);
        case static_cast<int>(MethodId::kClusterMemberPromote):
            return read_members<etcdserverpb::MemberPromoteResponse>(reply);
        case static_cast<int>(MethodId::kMaintenanceStatus): return read_status(reply);
        case static_cast<int>(MethodId::kMaintenanceDefragment):
        case static_cast<int>(MethodId::kMaintenanceMoveLeader): return read_done(reply);
        default: return std::nullopt;
    }
}

}  // namespace cairn::sim
