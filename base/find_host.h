// Where a host is reached: its endpoints, found while the caller's io_context goes on.
// On the one thread of that. A header alone: the server compiles Asio once, the client library
// leaves it to its embedder.
// Never waits longer than it is told, whatever the name server does.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/host_lookup.h"
#include "base/result.h"

namespace cairn {
namespace host_lookup {

struct HostAnswer {
    explicit HostAnswer(const boost::asio::any_io_executor& executor) : wake(executor) {}

    boost::asio::steady_timer wake;
    std::optional<HostLookup::Addresses> addresses;
};

inline Result<std::vector<boost::asio::ip::tcp::endpoint>> endpoints_at(
    const HostLookup::Addresses& addresses, std::uint16_t port) {
    CAIRN_TRY(const auto texts, addresses);
    std::vector<boost::asio::ip::tcp::endpoint> endpoints;
    for (const std::string& text : texts) {
        boost::system::error_code unknown;
        const auto address = boost::asio::ip::make_address(text, unknown);
        if (!unknown) {
            endpoints.emplace_back(address, port);
        }
    }
    if (endpoints.empty()) {
        return Error(Errc::kConnection, "the lookup has found no address");
    }
    return endpoints;
}

}  // namespace host_lookup

// At least one. kConnection in the system's words, or kTimeout.
inline boost::asio::awaitable<Result<std::vector<boost::asio::ip::tcp::endpoint>>> find_host(
    std::string host, std::uint16_t port, std::chrono::steady_clock::duration timeout) {
    boost::system::error_code not_literal;
    const auto literal = boost::asio::ip::make_address(host, not_literal);
    if (!not_literal) {
        co_return std::vector<boost::asio::ip::tcp::endpoint>{{literal, port}};
    }
    const auto executor = co_await boost::asio::this_coro::executor;
    const auto answer = std::make_shared<host_lookup::HostAnswer>(executor);
    answer->wake.expires_after(timeout);
    // The answer arrives behind the wait below, which begins before this thread does anything else.
    const HostLookup lookup(host, [answer, executor](const HostLookup::Addresses& found) {
        boost::asio::post(executor, [answer, found] {
            answer->addresses = found;
            answer->wake.cancel();
        });
    });
    co_await answer->wake.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (!answer->addresses) {
        co_return Error(Errc::kTimeout, fmt::format("lookup {}: no answer in time", host));
    }
    co_return host_lookup::endpoints_at(*answer->addresses, port);
}

}  // namespace cairn
