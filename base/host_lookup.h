// HostLookup: asks the system for the addresses of a host, without anybody waiting for a thread.
// Owned by who asks; any thread. What the system is asked runs on a thread of its own that nobody
// joins: getaddrinfo may take half a minute with a dead name server, and cannot be interrupted.
// Never asks for one name twice at a time: who comes meanwhile gets the same answer, and who comes
// soon after it too, so that an answer which takes longer than anybody waits is not lost.
#pragma once

#include <chrono>
#include <cstddef>
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
    // Names asked for at a time; above: kConnection. Each takes a thread.
    static constexpr std::size_t kNamesMax = 64;
    // For how long addresses are given to who comes later.
    static constexpr std::chrono::seconds kKept{5};

    // Once, on another thread or within the constructor; must not block, nor end the HostLookup.
    // Not after the HostLookup's end.
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
    class Questions;
    std::shared_ptr<Waiter> waiter_;
};

}  // namespace cairn
