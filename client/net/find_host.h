// Where a host is reached: its endpoints, found while its thread goes on.
// On the I/O thread. Never waits longer than it is told, whatever the name server does.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "client/net/task.h"

namespace cairn::client {

// At least one. kConnection in the system's words, or kTimeout.
Task<cairn::Result<std::vector<boost::asio::ip::tcp::endpoint>>> find_host(
    std::string host, std::uint16_t port, std::chrono::steady_clock::duration timeout);

}  // namespace cairn::client
