// Balancer: calls spread over several endpoints, moved on where that is safe, until a deadline.
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
    std::shared_ptr<const StreamCall> stream = nullptr;
};

// Runs on the IoThread, exactly once; must not block.
using AnswerDone = std::function<void(Result<Bytes>)>;

// A call on its way through the endpoints.
struct BalancedCall;

// Each call begins at the next endpoint in turn, as with etcd's Go client. An endpoint that could
// not be reached, was Unavailable or let a deadline pass is passed over for a second, as long as
// there are others; after that one call a second tries it, until it answers. A call that may be
// repeated goes on to the endpoints it has not tried, and pauses 25 ms after each round. When no
// endpoint can be reached at all it gives up at the end of a round, after `dial_timeout` of trying;
// when all are learners that refuse it, at the end of the first.
class Balancer {
  public:
    // At least one endpoint. `io` must outlive the balancer.
    Balancer(IoThread& io, std::vector<Endpoint> endpoints, const ChannelOptions& options);
    // Calls under way end as Cancelled.
    ~Balancer();
    Balancer(const Balancer&) = delete;
    Balancer& operator=(const Balancer&) = delete;

    void call(BalancerCall call, AnswerDone done);

    // The same in two steps, for who must have the call in hand before it can be answered.
    [[nodiscard]] static std::shared_ptr<BalancedCall> prepare(BalancerCall call, AnswerDone done);
    // Once.
    void start(const std::shared_ptr<BalancedCall>& call);
    // After start. The call ends as Cancelled, unless its end is decided already.
    void cancel(const std::shared_ptr<BalancedCall>& call);
    // After start: Channel::credit.
    void credit(const std::shared_ptr<BalancedCall>& call);

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cairn::client
