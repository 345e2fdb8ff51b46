// Core: every call of the library, started without waiting; what blocking and async calls share.
// Shared by all copies of a client and any number of threads; its one I/O thread does the work.
// Must never show Asio or Protobuf in this header: an embedder's are its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "client/endpoint.h"
#include "client/result.h"
#include "client/types.h"

namespace cairn::client {

struct BalancedCall;
// A call under way.
using CallTicket = std::shared_ptr<BalancedCall>;

class Core {
  public:
    // At least one endpoint.
    Core(std::vector<Endpoint> endpoints, std::chrono::nanoseconds dial_timeout);
    // Calls under way end as Cancelled; waits for that, unless it runs on the I/O thread.
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    // Once for each prepared call.
    void start(const CallTicket& call);
    // After start. The call ends as Cancelled, unless its end is decided already.
    void cancel(const CallTicket& call);
    // Whether the caller is the I/O thread, which must not wait for calls.
    [[nodiscard]] bool runs_here() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The calls with one type of request: any of types.h that names a Response.
template <class Request>
struct Rpc {
    using Response = typename Request::Response;

    // `done` gets the answer's bytes, for parse: on the I/O thread, exactly once; it must not
    // block. `timeout` runs from here; 0: none.
    [[nodiscard]] static CallTicket prepare(const Request& request,
                                            std::chrono::nanoseconds timeout,
                                            std::function<void(Result<Bytes>)> done);
    static Result<Response> parse(const Result<Bytes>& answer);

    // All of it, waiting. Never on the I/O thread.
    static Result<Response> call(Core& core, const Request& request,
                                 std::chrono::nanoseconds timeout);
};

}  // namespace cairn::client
