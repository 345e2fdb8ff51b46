#include "server/net/acceptor.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"

namespace cairn::server::net {
namespace {

using boost::asio::ip::tcp;

Error listen_error(const std::string& host, std::uint16_t port,
                   const boost::system::error_code& error) {
    return {Errc::kIo, fmt::format("listen tcp {}:{}: {}", host, port, error.message())};
}

}  // namespace

tcp::endpoint choose_endpoint(const std::vector<tcp::endpoint>& found) {
    CAIRN_ASSERT(!found.empty());
    const auto v4 = std::find_if(found.begin(), found.end(), [](const tcp::endpoint& endpoint) {
        return endpoint.address().is_v4();
    });
    return v4 != found.end() ? *v4 : found.front();
}

Acceptor::Acceptor(boost::asio::io_context& reactor) : acceptor_(reactor), pause_(reactor) {}

Result<std::shared_ptr<Acceptor>> Acceptor::listen(boost::asio::io_context& reactor,
                                                   const std::string& host, std::uint16_t port) {
    boost::system::error_code error;
    tcp::resolver resolver(reactor);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
    if (error || found.empty()) {
        return listen_error(host, port, error);
    }
    const tcp::endpoint endpoint = choose_endpoint({found.begin(), found.end()});
    std::shared_ptr<Acceptor> self(new Acceptor(reactor));
    tcp::acceptor& acceptor = self->acceptor_;
    acceptor.open(endpoint.protocol(), error);
    if (!error) {
        acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    }
    if (!error) {
        acceptor.bind(endpoint, error);
    }
    if (!error) {
        acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
    }
    if (error) {
        return listen_error(host, port, error);
    }
    return self;
}

void Acceptor::start(OnSocket on_socket, OnProblem on_problem) {
    on_socket_ = std::move(on_socket);
    on_problem_ = std::move(on_problem);
    spawn(acceptor_.get_executor(), run(shared_from_this()), "acceptor");
}

void Acceptor::stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
}

Task<> Acceptor::run(std::shared_ptr<Acceptor> self) {
    while (self->acceptor_.is_open()) {
        auto [error, socket] = co_await self->acceptor_.async_accept(kTask);
        if (!error) {
            self->on_socket_(std::move(socket));
            continue;
        }
        if (!self->acceptor_.is_open()) {
            break;
        }
        if (const std::string text = error.message(); self->said_.admit(text)) {
            self->on_problem_(text);
        }
        self->pause_.expires_after(std::chrono::milliseconds(100));
        co_await self->pause_.async_wait(kTask);
    }
}

}  // namespace cairn::server::net
