// RawClient: the client library below its public types: requests and answers as etcd's own
// messages, so that the reference model can compare them.
// One thread at a time. Must never repeat a write; the Balancer sees to that.
#pragma once

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "client/balancer.h"
#include "client/io_thread.h"

namespace cairn::process {

class RawClient {
  public:
    // Begins with endpoint number `first`.
    RawClient(std::vector<std::string> endpoints, std::size_t first,
              std::chrono::nanoseconds request_timeout);

    client::Result<Bytes> call(wire::MethodId method, client::CallKind kind,
                               const std::string& request);
    // For several calls at once.
    std::future<client::Result<Bytes>> start(wire::MethodId method, client::CallKind kind,
                                             const std::string& request);

  private:
    std::chrono::nanoseconds request_timeout_;
    client::IoThread io_;  // before the balancer: it must outlive it
    client::Balancer balancer_;
};

}  // namespace cairn::process
