#include "client/client.h"

#include "client/core.h"
#include "client/endpoint.h"

namespace cairn::client {
namespace {

template <class Request>
auto call(Core& core, const Request& request, std::chrono::nanoseconds timeout) {
    return Rpc<Request>::call(core, request, timeout);
}

}  // namespace

Client::Client(std::shared_ptr<Core> core, std::chrono::nanoseconds request_timeout)
    : core_(std::move(core)), request_timeout_(request_timeout) {}

Result<Client> Client::connect(const ClientOptions& options) {
    std::vector<Endpoint> endpoints;
    for (const std::string& text : options.endpoints) {
        Result<Endpoint> endpoint = parse_endpoint(text);
        if (!endpoint) {
            return endpoint.error();
        }
        endpoints.push_back(std::move(*endpoint));
    }
    if (endpoints.empty()) {
        return Error{GrpcCode::kInvalidArgument, "no endpoints", false};
    }
    return Client(std::make_shared<Core>(std::move(endpoints), options.dial_timeout),
                  options.request_timeout);
}

Client Client::with_timeout(std::chrono::nanoseconds request_timeout) const {
    return {core_, request_timeout};
}

Result<GetResponse> Client::get(std::string_view key, const GetOptions& options) {
    return call(*core_, GetOp{std::string(key), options}, request_timeout_);
}

Result<PutResponse> Client::put(std::string_view key, std::string_view value,
                                const PutOptions& options) {
    return call(*core_, PutOp{std::string(key), std::string(value), options}, request_timeout_);
}

Result<DeleteResponse> Client::del(std::string_view key, const DeleteOptions& options) {
    return call(*core_, DeleteOp{std::string(key), options}, request_timeout_);
}

Result<TxnResponse> Client::txn(const TxnRequest& txn) {
    return call(*core_, txn, request_timeout_);
}

Result<CompactResponse> Client::compact(std::int64_t revision, bool physical) {
    return call(*core_, CompactRequest{revision, physical}, request_timeout_);
}

Result<MemberListResponse> Client::member_list(bool linearizable) {
    return call(*core_, MemberListRequest{linearizable}, request_timeout_);
}

Result<MemberAddResponse> Client::member_add(const MemberAddRequest& request) {
    return call(*core_, request, request_timeout_);
}

Result<MemberListResponse> Client::member_remove(std::uint64_t id) {
    return call(*core_, MemberRemoveRequest{id}, request_timeout_);
}

Result<MemberListResponse> Client::member_update(const MemberUpdateRequest& request) {
    return call(*core_, request, request_timeout_);
}

Result<MemberListResponse> Client::member_promote(std::uint64_t id) {
    return call(*core_, MemberPromoteRequest{id}, request_timeout_);
}

Result<StatusResponse> Client::status() { return call(*core_, StatusRequest{}, request_timeout_); }

Result<HashKvResponse> Client::hash_kv(std::int64_t revision) {
    return call(*core_, HashKvRequest{revision}, request_timeout_);
}

Result<HashResponse> Client::hash() { return call(*core_, HashRequest{}, request_timeout_); }

Result<DefragmentResponse> Client::defragment() {
    return call(*core_, DefragmentRequest{}, request_timeout_);
}

Result<MoveLeaderResponse> Client::move_leader(std::uint64_t target) {
    return call(*core_, MoveLeaderRequest{target}, request_timeout_);
}

Result<AlarmListResponse> Client::alarm_list() {
    return call(*core_, AlarmListRequest{}, request_timeout_);
}

Result<AlarmListResponse> Client::alarm_disarm(const Alarm& alarm) {
    return call(*core_, AlarmDisarmRequest{alarm}, request_timeout_);
}

Result<DowngradeResponse> Client::downgrade(DowngradeAction action, std::string_view version) {
    return call(*core_, DowngradeRequest{action, std::string(version)}, request_timeout_);
}

}  // namespace cairn::client
