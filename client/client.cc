#include "client/client.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "client/balancer.h"
#include "client/convert.h"
#include "client/endpoint.h"

namespace cairn::client {
namespace {

namespace pb = etcdserverpb;
using wire::MethodId;

// One answer, handed from the IoThread to the thread that waits for it.
class Waiter {
  public:
    void set(Result<Bytes> answer) {
        const std::lock_guard lock(mutex_);
        answer_.emplace(std::move(answer));
        filled_.notify_one();
    }

    Result<Bytes> wait() {
        std::unique_lock lock(mutex_);
        filled_.wait(lock, [this] { return answer_.has_value(); });
        return std::move(*answer_);
    }

  private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::optional<Result<Bytes>> answer_;
};

}  // namespace

struct Client::Impl {
    Impl(std::vector<Endpoint> endpoints, const ClientOptions& options)
        : request_timeout(options.request_timeout),
          balancer(io, std::move(endpoints), ChannelOptions{.dial_timeout = options.dial_timeout}) {
    }

    // Sends `request`, waits, and reads the answer as a Response.
    template <class Response, class Request>
    Result<Response> call(MethodId method, CallKind kind, const Request& request) {
        BalancerCall call;
        call.method = method;
        call.kind = kind;
        call.message = Bytes::build(request.ByteSizeLong(), [&](char* to) {
            request.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(to));
        });
        if (request_timeout.count() > 0) {
            call.deadline = std::chrono::steady_clock::now() + request_timeout;
        }
        const auto waiter = std::make_shared<Waiter>();
        balancer.call(std::move(call),
                      [waiter](Result<Bytes> answer) { waiter->set(std::move(answer)); });
        const Result<Bytes> answer = waiter->wait();
        if (!answer) {
            return answer.error();
        }
        Response response;
        if (!response.ParseFromArray(answer->data(), static_cast<int>(answer->size()))) {
            return Error{GrpcCode::kInternal, "the server's answer does not parse",
                         kind == CallKind::kWrite};
        }
        return response;
    }

    const std::chrono::nanoseconds request_timeout;
    IoThread io;  // before the balancer: it must outlive it
    Balancer balancer;
};

namespace {

// The library's own form of a call's answer.
template <class Response>
auto converted(Result<Response> answer) -> Result<decltype(from_wire(std::move(*answer)))> {
    if (!answer) {
        return answer.error();
    }
    return from_wire(std::move(*answer));
}

}  // namespace

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

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
    return Client(std::make_unique<Impl>(std::move(endpoints), options));
}

Result<GetResponse> Client::get(std::string_view key, const GetOptions& options) {
    return converted(impl_->call<pb::RangeResponse>(MethodId::kKvRange, CallKind::kRead,
                                                    to_wire(GetOp{std::string(key), options})));
}

Result<PutResponse> Client::put(std::string_view key, std::string_view value,
                                const PutOptions& options) {
    return converted(impl_->call<pb::PutResponse>(
        MethodId::kKvPut, CallKind::kWrite,
        to_wire(PutOp{std::string(key), std::string(value), options})));
}

Result<DeleteResponse> Client::del(std::string_view key, const DeleteOptions& options) {
    return converted(impl_->call<pb::DeleteRangeResponse>(
        MethodId::kKvDeleteRange, CallKind::kWrite, to_wire(DeleteOp{std::string(key), options})));
}

Result<TxnResponse> Client::txn(const TxnRequest& txn) {
    return converted(
        impl_->call<pb::TxnResponse>(MethodId::kKvTxn, CallKind::kWrite, to_wire(txn)));
}

Result<CompactResponse> Client::compact(std::int64_t revision, bool physical) {
    pb::CompactionRequest request;
    request.set_revision(revision);
    request.set_physical(physical);
    return converted(
        impl_->call<pb::CompactionResponse>(MethodId::kKvCompact, CallKind::kWrite, request));
}

Result<MemberListResponse> Client::member_list(bool linearizable) {
    pb::MemberListRequest request;
    request.set_linearizable(linearizable);
    return converted(impl_->call<pb::MemberListResponse>(MethodId::kClusterMemberList,
                                                         CallKind::kRead, request));
}

Result<StatusResponse> Client::status() {
    return converted(impl_->call<pb::StatusResponse>(MethodId::kMaintenanceStatus, CallKind::kRead,
                                                     pb::StatusRequest()));
}

Result<HashKvResponse> Client::hash_kv(std::int64_t revision) {
    pb::HashKVRequest request;
    request.set_revision(revision);
    return converted(
        impl_->call<pb::HashKVResponse>(MethodId::kMaintenanceHashKv, CallKind::kRead, request));
}

Result<AlarmListResponse> Client::alarm_list() {
    pb::AlarmRequest request;
    request.set_action(pb::AlarmRequest::GET);
    return converted(
        impl_->call<pb::AlarmResponse>(MethodId::kMaintenanceAlarm, CallKind::kRead, request));
}

}  // namespace cairn::client
