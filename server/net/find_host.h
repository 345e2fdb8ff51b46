// Where a host is reached: its endpoints, found while the reactor goes on.
// On the reactor's thread. Never waits longer than it is told, whatever the name server does.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "server/net/task.h"

namespace cairn::server::net {

// At least one. kConnection in the system's words, or kTimeout.
Task<Result<std::vector<boost::asio::ip::tcp::endpoint>>> find_host(
    std::string host, std::uint16_t port, std::chrono::steady_clock::duration timeout);

}  // namespace cairn::server::net
