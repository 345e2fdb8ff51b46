// Channel: calls to one server over one HTTP/2 connection, as many in flight as you like.
// Shared by any number of threads; all its work, and every completion, runs on one IoThread.
// Must never repeat a call: whether that is safe is decided above (client/retry.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "client/endpoint.h"
#include "client/io_thread.h"
#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"

namespace cairn::client {

using TimePoint = std::chrono::steady_clock::time_point;

// 0: none. One that has passed is one: such a call is not sent.
inline TimePoint deadline_after(std::chrono::nanoseconds timeout) {
    const TimePoint now = std::chrono::steady_clock::now();
    const bool none = timeout.count() == 0 || timeout >= TimePoint::max() - now;
    return none ? TimePoint::max() : now + timeout;
}

// What a call has more whose answer is a stream of messages.
struct StreamCall {
    // Each message in its order, on the IoThread; must not block, nor end the client. The server
    // sends no more than a window ahead of Channel::credit.
    std::function<void(Bytes)> on_message;
    std::vector<std::pair<std::string, std::string>> metadata;  // names in lower case
};

struct CallRequest {
    wire::MethodId method = wire::MethodId::kMethodCount;
    Bytes message;                                       // the serialized request
    TimePoint deadline = TimePoint::max();               // also told to the server; max: none
    std::shared_ptr<const StreamCall> stream = nullptr;  // null: the method is a unary one
};

struct CallResult {
    wire::GrpcStatus status;
    Bytes message;      // the serialized answer, when status is ok
    bool sent = false;  // false: the server surely never looked at the request
    bool torn = false;  // it ended without a status of the server
};

// Runs on the IoThread, exactly once for each call; must not block.
using CallDone = std::function<void(CallResult)>;

// One call on its channel; empties when the call has ended.
struct Call;
using CallRef = std::weak_ptr<Call>;

struct ChannelOptions {
    // For a connection to come about: until the server has spoken HTTP/2.
    std::chrono::nanoseconds dial_timeout = std::chrono::seconds(2);
    // Largest answer. Above: the call ends with ResourceExhausted.
    std::size_t answer_bytes_max = 0x7FFF'FFFF;
    // Calls that wait for the connection or an answer; above: ResourceExhausted, not sent.
    std::size_t calls_max = 1U << 20U;
    // While a call under way is a stream: ClientOptions.
    std::chrono::nanoseconds keepalive_time = std::chrono::seconds(10);
    std::chrono::nanoseconds keepalive_timeout = std::chrono::seconds(6);
};

// Connects at the first call, and anew at the first call after the connection broke.
class Channel {
  public:
    // `io` must outlive the channel.
    Channel(IoThread& io, Endpoint endpoint, const ChannelOptions& options);
    // Calls under way end as Cancelled, as far as the IoThread still runs.
    ~Channel();
    Channel(Channel&&) noexcept;
    Channel& operator=(Channel&&) noexcept;

    CallRef call(CallRequest request, CallDone done);
    // Connects if there is no connection and none under way. On the IoThread.
    void dial();
    // A call would be sent at once. On the IoThread.
    [[nodiscard]] bool is_ready() const;
    // The call ends as Cancelled, and the server is told, unless it has ended.
    void cancel(const CallRef& call);
    // Lets the server send as much more as has come of a stream.
    void credit(const CallRef& call);
    [[nodiscard]] const Endpoint& endpoint() const;

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cairn::client
