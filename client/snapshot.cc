#include "client/snapshot.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/balancer.h"
#include "client/endpoint.h"
#include "client/io_thread.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "proto/wire/grpc_status.h"
#include "proto/wire/stream_event.h"

namespace cairn::client {
namespace {

// What the I/O thread hands to the thread that waits. The server sends no more than a window ahead
// of what was credited, which bounds it.
class Inbox {
  public:
    void add(Bytes message) {
        const std::lock_guard lock(mutex_);
        messages_.push_back(std::move(message));
        filled_.notify_one();
    }
    void end(Result<Bytes> result) {
        const std::lock_guard lock(mutex_);
        end_.emplace(std::move(result));
        filled_.notify_one();
    }

    // Waits until there is something. `end` is set when no message follows these.
    void take(std::vector<Bytes>& messages, std::optional<Result<Bytes>>& end) {
        messages.clear();
        std::unique_lock lock(mutex_);
        filled_.wait(lock, [this] { return !messages_.empty() || end_.has_value(); });
        messages.swap(messages_);
        end = end_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::vector<Bytes> messages_;
    std::optional<Result<Bytes>> end_;
};

std::shared_ptr<BalancedCall> prepare(const std::shared_ptr<Inbox>& inbox,
                                      std::chrono::nanoseconds timeout) {
    BalancerCall call;
    call.method = wire::MethodId::kMaintenanceSnapshot;
    call.kind = CallKind::kStream;
    call.deadline = deadline_after(timeout);
    call.stream = std::make_shared<const StreamCall>(StreamCall{
        [inbox](Bytes message) { inbox->add(std::move(message)); },
        {{std::string(wire::kSnapshotFormatHeader), std::string(wire::kNativeSnapshot)}}});
    return Balancer::prepare(std::move(call),
                             [inbox](Result<Bytes> result) { inbox->end(std::move(result)); });
}

// A server cannot say why it resets a stream.
Error explained(Error error) {
    const auto calm =
        wire::status_of_reset(static_cast<std::uint32_t>(wire::H2Code::kEnhanceYourCalm));
    if (error.code == calm.code && error.message == calm.message) {
        error.message += ": too little of the snapshot was taken in a minute";
    }
    return error;
}

}  // namespace

Result<SnapshotInfo> save_snapshot(const ClientOptions& options, const SnapshotSink& take) {
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
    const auto inbox = std::make_shared<Inbox>();
    IoThread io;  // before the balancer: it must outlive it
    Balancer balancer(io, std::move(endpoints),
                      {.dial_timeout = options.dial_timeout,
                       .keepalive_time = options.keepalive_time,
                       .keepalive_timeout = options.keepalive_timeout});
    const auto call = prepare(inbox, options.request_timeout);
    balancer.start(call);
    SnapshotInfo info;
    std::vector<Bytes> messages;
    std::optional<Result<Bytes>> end;
    while (!end.has_value()) {
        inbox->take(messages, end);
        for (const Bytes& bytes : messages) {
            etcdserverpb::SnapshotResponse message;
            if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
                return Error{GrpcCode::kInternal, "the server's answer does not parse", false};
            }
            info.version = message.version();
            if (!take({message.blob(), message.remaining_bytes()})) {
                return Error{GrpcCode::kCancelled, "context canceled", false};
            }
        }
        balancer.credit(call);
    }
    if (!end->has_value()) {
        return explained(end->error());
    }
    return info;
}

}  // namespace cairn::client
