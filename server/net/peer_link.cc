#include "server/net/peer_link.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "server/net/version.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"

namespace cairn::server::net {
namespace {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

constexpr std::size_t kQueuedBytesMax = 64U * 1024U * 1024U;
constexpr auto kDialTimeout = 2s;
using UserTimeout = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
constexpr int kUserTimeoutMs = 5000;
constexpr auto kBackoffFirst = 20ms;
constexpr auto kBackoffLast = 1000ms;

// The member's bytes stay small: one greeting each way.
constexpr std::size_t kGreetingFrameMax = peer::kHelloBytesMax;

}  // namespace

PeerLink::PeerLink(boost::asio::io_context& reactor, PeerAddress address, PeerIdentity identity,
                   Hooks hooks, Metrics& metrics)
    : reactor_(reactor),
      address_(std::move(address)),
      identity_(identity),
      hooks_(std::move(hooks)),
      metrics_(metrics),
      jitter_(identity.self.value ^ (address_.id.value << 1U)),
      socket_(reactor),
      resolver_(reactor),
      deadline_(reactor),
      pause_(reactor) {}

void PeerLink::start() { spawn(reactor_.get_executor(), run(shared_from_this()), "peer link"); }

void PeerLink::stop() {
    stopped_ = true;
    resolver_.cancel();
    pause_.cancel();
    deadline_.cancel();
    drop_connection();
}

void PeerLink::drop_connection() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    queued_.clear();
    ++connection_;
    if (std::exchange(connected_, false) && !stopped_) {
        hooks_.on_lost(address_.id);
    }
}

void PeerLink::send(const raft::Message& message) {
    if (!connected_ || queued_.size() > kQueuedBytesMax) {
        ++metrics_.peer_messages_dropped;
        if (connected_) {
            // The core would wait for answers to what is lost here.
            say("send queue full, connection dropped");
            drop_connection();
        }
        return;
    }
    std::string payload;
    peer::encode_message(message, payload);
    peer::append_frame(payload, queued_);
}

void PeerLink::flush() {
    if (connected_ && !write_running_ && !queued_.empty()) {
        write_running_ = true;
        spawn(reactor_.get_executor(), write_loop(shared_from_this(), connection_), "peer writer");
    }
}

Task<> PeerLink::write_loop(std::shared_ptr<PeerLink> self, std::uint64_t connection) {
    while (self->connection_ == connection && !self->queued_.empty()) {
        self->writing_.clear();
        std::swap(self->writing_, self->queued_);
        auto [error, count] = co_await boost::asio::async_write(
            self->socket_, boost::asio::buffer(self->writing_), kTask);
        self->metrics_.peer_bytes_sent += count;
        if (error && self->connection_ == connection) {
            self->say(fmt::format("write failed: {}", error.message()));
            self->drop_connection();
        }
    }
    self->write_running_ = false;
    self->flush();  // a newer connection may have queued meanwhile
}

Task<> PeerLink::run(std::shared_ptr<PeerLink> self) {
    while (!self->stopped_) {
        const bool let_in = co_await connect(self);
        if (let_in) {
            self->failures_ = 0;
            self->last_problem_.clear();
            self->connected_ = true;
            self->say("connected");
            co_await watch(self);
        }
        self->drop_connection();
        if (self->stopped_) {
            break;
        }
        self->pause_.expires_after(self->next_backoff());
        co_await self->pause_.async_wait(kTask);
    }
}

Task<bool> PeerLink::connect(std::shared_ptr<PeerLink> self) {
    self->arm_deadline(kDialTimeout);
    auto [resolve_error, endpoints] = co_await self->resolver_.async_resolve(
        self->address_.host, std::to_string(self->address_.port), kTask);
    if (resolve_error) {
        self->say(fmt::format("cannot resolve: {}", resolve_error.message()));
        co_return false;
    }
    auto [connect_error, endpoint] =
        co_await boost::asio::async_connect(self->socket_, endpoints, kTask);
    if (connect_error || self->stopped_) {
        self->say(fmt::format("cannot connect: {}", connect_error.message()));
        co_return false;
    }
    boost::system::error_code ignored;
    self->socket_.set_option(tcp::no_delay(true), ignored);
    // A peer that vanished without a word must be found out before the send buffer hides it.
    self->socket_.set_option(UserTimeout(kUserTimeoutMs), ignored);
    const bool let_in = co_await greet(self);
    self->deadline_.cancel();
    co_return let_in;
}

Task<bool> PeerLink::greet(std::shared_ptr<PeerLink> self) {
    std::string frame;
    const peer::Hello hello{peer::kPeerProtocol, self->identity_.cluster, self->identity_.self,
                            self->address_.id, std::string(kCairnVersion)};
    peer::append_frame(peer::encode_hello(hello), frame);
    auto [write_error, written] =
        co_await boost::asio::async_write(self->socket_, boost::asio::buffer(frame), kTask);
    if (write_error) {
        self->say(fmt::format("greeting failed: {}", write_error.message()));
        co_return false;
    }
    peer::FrameReader reader(kGreetingFrameMax);
    std::array<char, 512> buffer{};
    while (true) {
        auto [read_error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(buffer), kTask);
        if (read_error) {
            self->say(fmt::format("no answer to the greeting: {}", read_error.message()));
            co_return false;
        }
        reader.feed(ByteView(buffer.data(), count));
        const auto payload = reader.next();
        if (payload.has_error()) {
            self->say(to_string(payload.error()));
            co_return false;
        }
        if (!payload.value().has_value()) {
            continue;
        }
        const auto reply = peer::decode_hello_reply(*payload.value());
        if (reply.has_error() || !reply.value().accepted) {
            self->say("refused: " +
                      (reply.has_error() ? to_string(reply.error()) : reply.value().reason));
            co_return false;
        }
        co_return reply.value().cluster == self->identity_.cluster;
    }
}

// The other side never speaks after its greeting, so a read that ends is a connection that ended.
Task<> PeerLink::watch(std::shared_ptr<PeerLink> self) {
    std::array<char, 1> byte{};
    auto [error, count] = co_await self->socket_.async_read_some(boost::asio::buffer(byte), kTask);
    if (!self->stopped_ && self->connected_) {
        self->say(error ? fmt::format("connection lost: {}", error.message())
                        : std::string("connection lost: the peer spoke out of turn"));
    }
}

void PeerLink::arm_deadline(std::chrono::milliseconds after) {
    deadline_.expires_after(after);
    deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self != nullptr) {
            boost::system::error_code ignored;
            self->resolver_.cancel();
            self->socket_.close(ignored);
        }
    });
}

std::chrono::milliseconds PeerLink::next_backoff() {
    const auto doubled = kBackoffFirst * (1U << std::min(failures_, 6U));
    ++failures_;
    const auto ceiling = std::min<std::chrono::milliseconds>(doubled, kBackoffLast);
    const auto half = static_cast<std::uint64_t>(ceiling.count() / 2);
    return std::chrono::milliseconds(half + jitter_.below(half + 1));
}

void PeerLink::say(const std::string& text) {
    if (text != last_problem_ && !stopped_) {
        last_problem_ = text;
        hooks_.on_log(address_.id, text);
    }
}

}  // namespace cairn::server::net
