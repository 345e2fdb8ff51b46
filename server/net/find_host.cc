#include "server/net/find_host.h"

#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "base/host_lookup.h"

namespace cairn::server::net {
namespace {

using boost::asio::ip::tcp;

struct Answer {
    explicit Answer(const boost::asio::any_io_executor& executor) : wake(executor) {}

    boost::asio::steady_timer wake;
    std::optional<HostLookup::Addresses> addresses;
};

Result<std::vector<tcp::endpoint>> endpoints_at(const HostLookup::Addresses& addresses,
                                                std::uint16_t port) {
    CAIRN_TRY(const auto texts, addresses);
    std::vector<tcp::endpoint> endpoints;
    for (const std::string& text : texts) {
        boost::system::error_code unknown;
        const auto address = boost::asio::ip::make_address(text, unknown);
        if (!unknown) {
            endpoints.emplace_back(address, port);
        }
    }
    return endpoints;
}

}  // namespace

Task<Result<std::vector<tcp::endpoint>>> find_host(std::string host, std::uint16_t port,
                                                   std::chrono::steady_clock::duration timeout) {
    boost::system::error_code not_literal;
    const auto literal = boost::asio::ip::make_address(host, not_literal);
    if (!not_literal) {
        co_return std::vector<tcp::endpoint>{{literal, port}};
    }
    const auto executor = co_await boost::asio::this_coro::executor;
    const auto answer = std::make_shared<Answer>(executor);
    answer->wake.expires_after(timeout);
    // The answer arrives behind the wait below, which begins before this thread does anything else.
    const HostLookup lookup(host, [answer, executor](const HostLookup::Addresses& found) {
        boost::asio::post(executor, [answer, found] {
            answer->addresses = found;
            answer->wake.cancel();
        });
    });
    co_await answer->wake.async_wait(kTask);
    if (!answer->addresses) {
        co_return Error(Errc::kTimeout, fmt::format("lookup {}: no answer in time", host));
    }
    co_return endpoints_at(*answer->addresses, port);
}

}  // namespace cairn::server::net
