#include "server/net/client_listener.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "proto/wire/preface.h"
#include "server/net/accepted_socket.h"
#include "server/net/client_session.h"
#include "server/net/descriptors.h"
#include "server/net/http1_session.h"

namespace cairn::server::net {
namespace {

constexpr std::chrono::seconds kSniffTimeout{10};
constexpr std::chrono::seconds kFullSaidEvery{1};

// Closes the socket it was armed for, unless it ends first.
class Watchdog : public std::enable_shared_from_this<Watchdog> {
  public:
    Watchdog(boost::asio::io_context& reactor, boost::asio::ip::tcp::socket& socket)
        : timer_(reactor), socket_(&socket) {}

    void arm(std::chrono::milliseconds after) {
        timer_.expires_after(after);
        timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
            if (!error && self->socket_ != nullptr) {
                boost::system::error_code ignored;
                self->socket_->close(ignored);
            }
        });
    }
    void disarm() {
        socket_ = nullptr;
        timer_.cancel();
    }

  private:
    boost::asio::steady_timer timer_;
    boost::asio::ip::tcp::socket* socket_;
};

}  // namespace

ClientListener::ClientListener(boost::asio::io_context& reactor, NodePorts& node)
    : reactor_(reactor),
      node_(node),
      connections_max_(share_descriptors(descriptor_limit()).clients),
      said_(kFullSaidEvery) {}

bool ClientListener::is_full() {
    if (connections_.size() + sniffing_ >= connections_max_) {
        forget_ended();
    }
    return connections_.size() + sniffing_ >= connections_max_;
}

void ClientListener::accept(boost::asio::ip::tcp::socket socket) {
    if (is_full()) {
        ++node_.metrics.connections_refused;
        if (const std::string text = "too many client connections"; said_.admit(text)) {
            log_line(LogLevel::kWarn, text, {{"limit", std::to_string(connections_max_)}});
        }
        return;
    }
    ++node_.metrics.client_connections_opened;
    ++sniffing_;
    guard_accepted(socket);
    spawn(reactor_.get_executor(), sniff(shared_from_this(), std::move(socket)), "client sniff");
}

Task<> ClientListener::sniff(std::shared_ptr<ClientListener> self,
                             boost::asio::ip::tcp::socket socket) {
    const auto watchdog = std::make_shared<Watchdog>(self->reactor_, socket);
    watchdog->arm(kSniffTimeout);
    std::string first;
    std::array<char, 4096> buffer{};
    auto guess = wire::Http2Guess::kNeedMore;
    while (guess == wire::Http2Guess::kNeedMore) {
        auto [error, count] = co_await socket.async_read_some(boost::asio::buffer(buffer), kTask);
        if (error) {
            break;
        }
        first.append(buffer.data(), count);
        guess = wire::looks_like_http2(first);
    }
    watchdog->disarm();
    --self->sniffing_;
    if (guess == wire::Http2Guess::kNeedMore || self->draining_) {
        ++self->node_.metrics.client_connections_closed;
    } else {
        self->begin(std::move(socket), guess == wire::Http2Guess::kYes, first);
    }
}

void ClientListener::begin(boost::asio::ip::tcp::socket socket, bool http2,
                           const std::string& first) {
    std::shared_ptr<ClientConnection> connection;
    if (http2) {
        auto session = ClientSession::create(std::move(socket), node_, first);
        if (session.has_error()) {
            ++node_.metrics.client_connections_closed;
            return;
        }
        connection = std::move(session).value();
    } else {
        connection = std::make_shared<Http1Session>(std::move(socket), node_, first);
    }
    connections_.push_back(connection);
    connection->start();
}

void ClientListener::forget_ended() {
    const std::size_t ended =
        std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
    node_.metrics.client_connections_closed += ended;
}

void ClientListener::on_second(std::uint64_t now_ms) {
    forget_ended();
    const std::uint64_t stalls = node_.metrics.response_stalls;
    for (const auto& weak : connections_) {
        if (const auto connection = weak.lock(); connection != nullptr) {
            connection->on_second(now_ms);
        }
    }
    if (node_.metrics.response_stalls > stalls) {
        log_line(LogLevel::kWarn, "ended connections that do not take their answers",
                 {{"connections", std::to_string(node_.metrics.response_stalls - stalls)}});
    }
}

void ClientListener::drain() {
    draining_ = true;
    for (const auto& weak : connections_) {
        if (const auto connection = weak.lock(); connection != nullptr) {
            connection->drain();
        }
    }
}

void ClientListener::close() {
    draining_ = true;
    for (const auto& weak : connections_) {
        if (const auto connection = weak.lock(); connection != nullptr) {
            connection->close();
        }
    }
}

std::size_t ClientListener::open() const {
    return static_cast<std::size_t>(
        std::count_if(connections_.begin(), connections_.end(),
                      [](const auto& weak) { return !weak.expired(); }));
}

}  // namespace cairn::server::net
