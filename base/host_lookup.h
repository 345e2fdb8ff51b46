// HostLookup: asks the system for the addresses of a host, without anybody waiting for a thread.
// Owned by who asks; any thread. What the system is asked runs on a thread of its own that nobody
// joins: getaddrinfo may take half a minute with a dead name server, and cannot be interrupted.
// Never asks for one name twice at a time: who comes meanwhile gets the same answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace cairn {

class HostLookup {
  public:
    // IPv4 and IPv6 addresses in digits, in the order of preference; at least one. kConnection in
    // the system's words.
    using Addresses = Result<std::vector<std::string>>;
    // On another thread, once; must not block. Not after the HostLookup's end.
    using Done = std::function<void(const Addresses&)>;
    // What asks the system; it may block.
    using Ask = std::function<Addresses(const std::string& host)>;

    HostLookup(const std::string& host, Done done);
    // With another way to ask, for tests.
    HostLookup(const std::string& host, Done done, Ask ask);
    // Waits for a call of `done` under way, for nothing else.
    ~HostLookup();
    HostLookup(const HostLookup&) = delete;
    HostLookup& operator=(const HostLookup&) = delete;

  private:
    struct Waiter;
    std::shared_ptr<Waiter> waiter_;
};

}  // namespace cairn
