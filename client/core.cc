#include "client/core.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "client/balancer.h"
#include "client/convert.h"
#include "client/io_thread.h"

namespace cairn::client {
namespace {

namespace pb = etcdserverpb;
using wire::MethodId;

// How each request travels: the method, the message that answers it, and whether it only reads.
template <class Message, MethodId kId, CallKind kCallKind>
struct Way {
    using Answer = Message;
    static constexpr MethodId kMethod = kId;
    static constexpr CallKind kKind = kCallKind;
};

template <class Request>
struct Route;
template <>
struct Route<GetOp> : Way<pb::RangeResponse, MethodId::kKvRange, CallKind::kRead> {};
template <>
struct Route<PutOp> : Way<pb::PutResponse, MethodId::kKvPut, CallKind::kWrite> {};
template <>
struct Route<DeleteOp> : Way<pb::DeleteRangeResponse, MethodId::kKvDeleteRange, CallKind::kWrite> {
};
template <>
struct Route<TxnRequest> : Way<pb::TxnResponse, MethodId::kKvTxn, CallKind::kWrite> {};
template <>
struct Route<CompactRequest> : Way<pb::CompactionResponse, MethodId::kKvCompact, CallKind::kWrite> {
};
template <>
struct Route<MemberListRequest>
    : Way<pb::MemberListResponse, MethodId::kClusterMemberList, CallKind::kRead> {};
template <>
struct Route<MemberAddRequest>
    : Way<pb::MemberAddResponse, MethodId::kClusterMemberAdd, CallKind::kWrite> {};
template <>
struct Route<MemberRemoveRequest>
    : Way<pb::MemberRemoveResponse, MethodId::kClusterMemberRemove, CallKind::kWrite> {};
template <>
struct Route<MemberUpdateRequest>
    : Way<pb::MemberUpdateResponse, MethodId::kClusterMemberUpdate, CallKind::kWrite> {};
template <>
struct Route<MemberPromoteRequest>
    : Way<pb::MemberPromoteResponse, MethodId::kClusterMemberPromote, CallKind::kWrite> {};
template <>
struct Route<StatusRequest>
    : Way<pb::StatusResponse, MethodId::kMaintenanceStatus, CallKind::kRead> {};
template <>
struct Route<HashKvRequest>
    : Way<pb::HashKVResponse, MethodId::kMaintenanceHashKv, CallKind::kRead> {};
template <>
struct Route<HashRequest> : Way<pb::HashResponse, MethodId::kMaintenanceHash, CallKind::kRead> {};
template <>
struct Route<DefragmentRequest>
    : Way<pb::DefragmentResponse, MethodId::kMaintenanceDefragment, CallKind::kWrite> {};
template <>
struct Route<MoveLeaderRequest>
    : Way<pb::MoveLeaderResponse, MethodId::kMaintenanceMoveLeader, CallKind::kWrite> {};
template <>
struct Route<AlarmListRequest>
    : Way<pb::AlarmResponse, MethodId::kMaintenanceAlarm, CallKind::kRead> {};
template <>
struct Route<AlarmDisarmRequest>
    : Way<pb::AlarmResponse, MethodId::kMaintenanceAlarm, CallKind::kWrite> {};
template <>
struct Route<DowngradeRequest>
    : Way<pb::DowngradeResponse, MethodId::kMaintenanceDowngrade, CallKind::kWrite> {};

bool only_reads(const std::vector<Op>& ops);

bool only_reads(const TxnRequest& txn) {
    return only_reads(txn.success) && only_reads(txn.failure);
}

bool only_reads(const std::vector<Op>& ops) {
    for (const Op& op : ops) {
        const TxnOp* nested = std::get_if<TxnOp>(&op);
        if (nested != nullptr ? !only_reads(**nested) : !std::holds_alternative<GetOp>(op)) {
            return false;
        }
    }
    return true;
}

template <class Request>
CallKind kind_of(const Request&) {
    return Route<Request>::kKind;
}

CallKind kind_of(const TxnRequest& txn) {
    return only_reads(txn) ? CallKind::kRead : CallKind::kWrite;
}

template <class Message>
Bytes serialized(const Message& message) {
    return Bytes::build(message.ByteSizeLong(), [&](char* to) {
        message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(to));
    });
}

// One answer, handed from the I/O thread to the thread that waits for it.
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

struct Core::Impl {
    Impl(std::vector<Endpoint> endpoints, std::chrono::nanoseconds dial_timeout)
        : balancer(io, std::move(endpoints), ChannelOptions{.dial_timeout = dial_timeout}) {}

    IoThread io;  // before the balancer: it must outlive it
    Balancer balancer;
};

Core::Core(std::vector<Endpoint> endpoints, std::chrono::nanoseconds dial_timeout)
    : impl_(std::make_unique<Impl>(std::move(endpoints), dial_timeout)) {}

Core::~Core() = default;

void Core::start(const CallTicket& call) { impl_->balancer.start(call); }

void Core::cancel(const CallTicket& call) { impl_->balancer.cancel(call); }

bool Core::runs_here() const { return impl_->io.runs_here(); }

template <class Request>
CallTicket Rpc<Request>::prepare(const Request& request, std::chrono::nanoseconds timeout,
                                 std::function<void(Result<Bytes>)> done) {
    BalancerCall call;
    call.method = Route<Request>::kMethod;
    call.kind = kind_of(request);
    call.message = serialized(to_wire(request));
    call.deadline = deadline_after(timeout);
    return Balancer::prepare(std::move(call), std::move(done));
}

template <class Request>
auto Rpc<Request>::parse(const Result<Bytes>& answer) -> Result<Response> {
    if (!answer) {
        return answer.error();
    }
    typename Route<Request>::Answer message;
    if (!message.ParseFromArray(answer->data(), static_cast<int>(answer->size()))) {
        return Error{GrpcCode::kInternal, "the server's answer does not parse",
                     Route<Request>::kKind == CallKind::kWrite};
    }
    return from_wire(std::move(message));
}

template <class Request>
auto Rpc<Request>::call(Core& core, const Request& request, std::chrono::nanoseconds timeout)
    -> Result<Response> {
    CAIRN_ASSERT(!core.runs_here());  // a blocking call inside a completion
    const auto waiter = std::make_shared<Waiter>();
    core.start(prepare(request, timeout,
                       [waiter](Result<Bytes> answer) { waiter->set(std::move(answer)); }));
    return parse(waiter->wait());
}

template struct Rpc<GetOp>;
template struct Rpc<PutOp>;
template struct Rpc<DeleteOp>;
template struct Rpc<TxnRequest>;
template struct Rpc<CompactRequest>;
template struct Rpc<MemberListRequest>;
template struct Rpc<MemberAddRequest>;
template struct Rpc<MemberRemoveRequest>;
template struct Rpc<MemberUpdateRequest>;
template struct Rpc<MemberPromoteRequest>;
template struct Rpc<StatusRequest>;
template struct Rpc<HashKvRequest>;
template struct Rpc<HashRequest>;
template struct Rpc<DefragmentRequest>;
template struct Rpc<MoveLeaderRequest>;
template struct Rpc<AlarmListRequest>;
template struct Rpc<AlarmDisarmRequest>;
template struct Rpc<DowngradeRequest>;

}  // namespace cairn::client
