// Balancer: calls to any of several endpoints, moved on where that is safe, until a deadline.
// Shared by any number of threads; its state is the IoThread's.
// Must never send a write twice that may have been applied.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "client/channel.h"
#include "client/result.h"
#include "client/retry.h"

namespace cairn::client {

struct BalancerCall {
    wire::MethodId method = wire::MethodId::kMethodCount;
    CallKind kind = CallKind::kWrite;
    Bytes message;
    TimePoint deadline = TimePoint::max();
};

// Runs on the IoThread, exactly once; must not block.
using AnswerDone = std::function<void(Result<Bytes>)>;

// Starts at the endpoint that answered last; tries the others in order; pauses 25 ms after each
// round, as etcd's Go client does. When no endpoint can be reached at all it gives up after
// `dial_timeout` of trying.
class Balancer {
  public:
    // At least one endpoint. `io` must outlive the balancer.
    Balancer(IoThread& io, std::vector<Endpoint> endpoints, const ChannelOptions& options);
    // Calls under way end as Cancelled.
    ~Balancer();
    Balancer(const Balancer&) = delete;
    Balancer& operator=(const Balancer&) = delete;

    void call(BalancerCall call, AnswerDone done);

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cairn::client
