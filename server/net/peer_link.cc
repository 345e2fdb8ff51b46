#include "server/net/peer_link.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "base/empty_buffer.h"
#include "base/find_host.h"
#include "base/url.h"
#include "server/net/accepted_socket.h"
#include "server/net/version.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"
#include "storage/command.h"

namespace cairn::server::net {
namespace {

// Those about a pre-vote carry a term that nobody may ever have.
bool says_its_term(const raft::Message& message) {
    return message.kind() != raft::MessageKind::kPreVote &&
           message.kind() != raft::MessageKind::kPreVoteReply;
}

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

// A link that had much to send gives its memory back.
constexpr std::size_t kKeptBytesMax = 1024U * 1024U;
constexpr auto kDialTimeout = 2s;
using UserTimeout = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
using UnsentMax = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;
// What the kernel holds beyond what the network takes: what is said later waits behind it.
constexpr int kUnsentBytesMax = 256 * 1024;
constexpr int kUserTimeoutMs = 5000;
constexpr auto kBackoffFirst = 20ms;
constexpr auto kBackoffLast = 1000ms;
// A connection that was open this long was a good one.
constexpr auto kLasting = 1s;
constexpr auto kSaidEvery = 1min;

// What the other side says stays small: one greeting, and answers on a lane that has some.
constexpr std::size_t kHeardFrameMax = peer::kHelloBytesMax;

}  // namespace

std::vector<PeerEndpoint> peer_endpoints(const std::vector<std::string>& urls) {
    std::vector<PeerEndpoint> found;
    for (const std::string& text : urls) {
        if (const auto url = parse_url(text); url.has_value() && url.value().scheme == "http") {
            found.push_back({url.value().host, url.value().port});
        }
    }
    return found;
}

std::optional<PeerAddress> peer_address(NodeId id, const std::vector<std::string>& urls) {
    const std::vector<PeerEndpoint> found = peer_endpoints(urls);
    if (found.empty()) {
        return std::nullopt;
    }
    return PeerAddress{
        id, found.front().host, found.front().port, {found.begin() + 1, found.end()}};
}

PeerLink::PeerLink(boost::asio::io_context& reactor, PeerAddress address, PeerIdentity identity,
                   Hooks hooks, Metrics& metrics)
    : reactor_(reactor),
      address_(std::move(address)),
      identity_(std::move(identity)),
      hooks_(std::move(hooks)),
      metrics_(metrics),
      jitter_(identity_.self.value ^ (address_.id.value << 1U)),
      socket_(reactor),
      deadline_(reactor),
      pause_(reactor),
      said_(kSaidEvery) {}

void PeerLink::start() { spawn(reactor_.get_executor(), run(shared_from_this()), "peer link"); }

void PeerLink::stop() {
    stopped_ = true;
    pause_.cancel();
    deadline_.cancel();
    drop_connection();
}

void PeerLink::drop_connection() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    queued_.clear();
    forwards_.clear();
    ++connection_;
    if (std::exchange(connected_, false) && !stopped_) {
        hooks_.on_lost(address_.id);
    }
}

void PeerLink::send(const raft::Message& message) {
    if (connected_ && message.kind() == raft::MessageKind::kForwardProposals) {
        if (!forwards_.push(message)) {
            ++metrics_.peer_messages_dropped;
            say("too much on its way to the leader, proposals dropped");
        }
        return;
    }
    if (says_its_term(message)) {
        forwards_.forget_before(message.term);
    }
    const std::size_t used = std::min(queued_.size() + writing_.size(), kPeerQueueBytesMax);
    if (connected_ && peer::append_message_frame(message, kPeerQueueBytesMax - used, queued_)) {
        return;
    }
    ++metrics_.peer_messages_dropped;
    if (connected_) {
        say("send queue full, connection dropped");
        drop_connection();
    }
}

void PeerLink::send_frame(ByteView frame) {
    if (connected_) {
        queued_.append(frame);
    }
}

void PeerLink::flush() {
    if (!connected_ || !writing_.empty()) {
        return;
    }
    forwards_.take(queued_);
    if (queued_.empty()) {
        return;
    }
    std::swap(writing_, queued_);
    boost::asio::async_write(socket_, boost::asio::buffer(writing_),
                             [self = shared_from_this(), connection = connection_](
                                 const boost::system::error_code& error, std::size_t count) {
                                 self->on_written(connection, error, count);
                             });
}

void PeerLink::on_written(std::uint64_t connection, const boost::system::error_code& error,
                          std::size_t count) {
    metrics_.peer_bytes_sent += count;
    empty_buffer(writing_, kKeptBytesMax);
    if (error && connection_ == connection) {
        say(fmt::format("write failed: {}", error.message()));
        drop_connection();
    }
    flush();  // what was queued meanwhile, perhaps for a newer connection
}

Task<> PeerLink::run(std::shared_ptr<PeerLink> self) {
    while (!self->stopped_) {
        const bool let_in = co_await connect(self);
        if (let_in) {
            self->connected_ = true;
            self->say("connected");
            if (self->hooks_.on_connected) {
                self->hooks_.on_connected(self->address_.id);
            }
            co_await watch(self);
        } else {
            ++self->dials_failed_;
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
    bool let_in = co_await dial(self);
    if (let_in) {
        boost::system::error_code ignored;
        self->socket_.set_option(tcp::no_delay(true), ignored);
        // A peer that vanished without a word must be found out before the send buffer hides it.
        self->socket_.set_option(UserTimeout(kUserTimeoutMs), ignored);
        self->socket_.set_option(UnsentMax(kUnsentBytesMax), ignored);
        // Nor while nothing is to be sent: all of a snapshot has arrived, and its verdict is
        // awaited.
        probe_when_idle(self->socket_);
        let_in = co_await greet(self);
    }
    self->deadline_.cancel();
    co_return let_in;
}

Task<bool> PeerLink::dial(std::shared_ptr<PeerLink> self) {
    const PeerEndpoint target = self->choose_target();
    auto endpoints = co_await find_host(target.host, target.port, kDialTimeout);
    if (self->stopped_) {
        co_return false;
    }
    if (endpoints.has_error()) {
        self->say(endpoints.error().detail);
        co_return false;
    }
    self->begin_with_another(endpoints.value());
    // Of the connection and the greeting: a lookup has its own, and may take all of that.
    self->arm_deadline(kDialTimeout);
    auto [error, connected] =
        co_await boost::asio::async_connect(self->socket_, endpoints.value(), kTask);
    if (error || self->stopped_) {
        self->say(
            fmt::format("cannot connect to {}:{}: {}", target.host, target.port, error.message()));
        co_return false;
    }
    co_return true;
}

Task<bool> PeerLink::greet(std::shared_ptr<PeerLink> self) {
    std::string frame;
    peer::Hello hello{peer::protocol_of(self->lane_), self->identity_.cluster, self->identity_.self,
                      self->address_.id, std::string(kCairnVersion)};
    hello.lane = static_cast<std::uint32_t>(self->lane_);
    hello.peer_urls = *self->identity_.peer_urls;
    hello.newest_command = storage::kNewestCommand;
    peer::append_frame(peer::encode_hello(hello), frame);
    auto [write_error, written] =
        co_await boost::asio::async_write(self->socket_, boost::asio::buffer(frame), kTask);
    if (write_error) {
        self->say(fmt::format("greeting failed: {}", write_error.message()));
        co_return false;
    }
    self->heard_ = peer::FrameReader(kHeardFrameMax);
    std::array<char, 512> buffer{};
    while (true) {
        auto [read_error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(buffer), kTask);
        if (read_error) {
            self->say(fmt::format("no answer to the greeting: {}", read_error.message()));
            co_return false;
        }
        self->heard_.feed(ByteView(buffer.data(), count));
        const auto payload = self->heard_.next();
        if (payload.has_error()) {
            self->say(to_string(payload.error()));
            co_return false;
        }
        if (payload.value().has_value()) {
            co_return self->check_reply(*payload.value());
        }
    }
}

bool PeerLink::check_reply(ByteView payload) {
    const auto reply = peer::decode_hello_reply(payload);
    const Result<void> verdict =
        reply.has_error() ? Result<void>(reply.error())
                          : peer::check_hello_reply(reply.value(), identity_.cluster, address_.id);
    if (verdict.has_error()) {
        say(verdict.error().detail);
        if (verdict.error().code == Errc::kMemberNotFound && !at_told_place_ && !stopped_) {
            hooks_.on_removed();
        }
    }
    return verdict.has_value();
}

// On the lane of messages the other side never speaks after its greeting, so a read that ends is a
// connection that ended. On another its first answers may have come with the greeting.
Task<std::string> PeerLink::listen(std::shared_ptr<PeerLink> self) {
    std::array<char, 4096> buffer{};
    while (true) {
        std::string flaw = self->take_answers();
        if (!flaw.empty()) {
            co_return flaw;
        }
        auto [error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(buffer), kTask);
        if (error) {
            co_return error.message();
        }
        self->heard_.feed(ByteView(buffer.data(), count));
    }
}

std::string PeerLink::take_answers() {
    if (!hooks_.on_answer) {
        return heard_.at_end() ? "" : "the peer spoke out of turn";
    }
    while (true) {
        const auto payload = heard_.next();
        if (payload.has_error()) {
            return to_string(payload.error());
        }
        if (!payload.value().has_value()) {
            return {};
        }
        if (!hooks_.on_answer(address_.id, *payload.value())) {
            return "an answer that is none";
        }
    }
}

Task<> PeerLink::watch(std::shared_ptr<PeerLink> self) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string end = co_await listen(self);
    // One that is closed at once is a failure as good as one that is refused.
    if (std::chrono::steady_clock::now() - begin >= kLasting) {
        self->failures_ = 0;
        self->said_.clear();
    }
    if (self->connected_) {
        self->say("connection lost: " + end);
    }
}

std::size_t PeerLink::place_count() const {
    return 1 + address_.alternatives.size() + told_places_.size();
}

// An address that does not even refuse takes all the time of a dial: each is the first one in its
// turn, for every place.
void PeerLink::begin_with_another(std::vector<tcp::endpoint>& found) const {
    const std::size_t first = dials_failed_ / place_count() % found.size();
    std::rotate(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(first), found.end());
}

PeerEndpoint PeerLink::choose_target() {
    const std::size_t known = 1 + address_.alternatives.size();
    const std::size_t turn = dials_failed_ % place_count();
    at_told_place_ = turn >= known;
    if (turn == 0) {
        return {address_.host, address_.port};
    }
    return turn < known ? address_.alternatives[turn - 1] : told_places_[turn - known];
}

void PeerLink::arm_deadline(std::chrono::milliseconds after) {
    deadline_.expires_after(after);
    deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self != nullptr) {
            boost::system::error_code ignored;
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
    if (!stopped_ && said_.admit(text)) {
        hooks_.on_log(address_.id,
                      lane_ == peer::Lane::kMessages ? text : "for a snapshot: " + text);
    }
}

}  // namespace cairn::server::net
