// Links and sessions against peers that behave as none should.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "catch.h"
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "server/net/acceptor.h"
#include "server/net/peer_hub.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_hello.h"

namespace cairn::server::net {
namespace {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

constexpr ClusterId kCluster{0xc1};
constexpr NodeId kSelf{0xa1};
constexpr NodeId kPeer{0xb2};

tcp::endpoint loopback(std::uint16_t port) {
    return {boost::asio::ip::address_v4::loopback(), port};
}

// A port that was free a moment ago.
std::uint16_t free_port(boost::asio::io_context& reactor) {
    return tcp::acceptor(reactor, loopback(0)).local_endpoint().port();
}

// Turns the reactor, which must have work, until `done` or 20 s are over.
template <class Done>
bool turn_until(boost::asio::io_context& reactor, Done done) {
    for (int turn = 0; !done() && turn < 4000; ++turn) {
        reactor.run_for(5ms);
    }
    return done();
}

// Answers every greeting with `reply`, and then closes the connection or leaves it unread.
class FakePeer {
  public:
    FakePeer(boost::asio::io_context& reactor, peer::HelloReply reply, bool closes)
        : acceptor_(reactor, loopback(0)), reply_(std::move(reply)), closes_(closes) {
        accept();
    }
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    [[nodiscard]] std::size_t connections() const { return sockets_.size(); }

  private:
    void accept() {
        acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
            if (!error) {
                sockets_.push_back(std::make_unique<tcp::socket>(std::move(socket)));
                answer(*sockets_.back());
                accept();
            }
        });
    }
    void answer(tcp::socket& socket) {
        socket.async_wait(tcp::socket::wait_read, [this, &socket](const auto& error) {
            if (error) {
                return;
            }
            std::string frame;
            peer::append_frame(peer::encode_hello_reply(reply_), frame);
            boost::system::error_code ignored;
            std::array<char, 2048> greeting{};
            socket.read_some(boost::asio::buffer(greeting), ignored);
            boost::asio::write(socket, boost::asio::buffer(frame), ignored);
            if (closes_) {
                socket.close(ignored);
            }
        });
    }

    tcp::acceptor acceptor_;
    peer::HelloReply reply_;
    bool closes_;
    std::vector<std::unique_ptr<tcp::socket>> sockets_;
};

peer::HelloReply welcome(ClusterId cluster = kCluster, NodeId from = kPeer) {
    return {true, "", peer::kPeerProtocol, cluster, from};
}

// A hub of a member with one other one, and what it reported.
struct Host {
    std::vector<std::string> said;
    std::size_t lost = 0;
    boost::asio::io_context reactor;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
        reactor.get_executor()};
    Metrics metrics;
    std::unique_ptr<PeerHub> hub;

    void make_hub(PeerAddress other) {
        hub = std::make_unique<PeerHub>(
            reactor, PeerIdentity{kCluster, kSelf}, std::vector<PeerAddress>{std::move(other)},
            PeerHub::Hooks{[](raft::Message) {}, [this](NodeId) { ++lost; },
                           [this](NodeId, const std::string& text) { said.push_back(text); }},
            metrics);
    }
    [[nodiscard]] bool has_said(const std::string& text) const {
        return std::find(said.begin(), said.end(), text) != said.end();
    }
    ~Host() {
        if (hub != nullptr) {
            hub->stop();
            reactor.run_for(20ms);
        }
    }
};

// Connects to the port, greets as `from`, and turns the reactor until there is an answer.
class Dialler {
  public:
    Dialler(Host& host, std::uint16_t port) : host_(host), socket_(host.reactor) {
        socket_.connect(loopback(port));
    }
    void greet(NodeId from) {
        boost::asio::write(socket_, boost::asio::buffer(hello_of(from)));
        REQUIRE(turn_until(host_.reactor, [this] { return socket_.available() > 0; }));
        std::array<char, 2048> reply{};
        socket_.read_some(boost::asio::buffer(reply));
    }
    void greet_twice(NodeId from) {
        boost::asio::write(socket_, boost::asio::buffer(hello_of(from) + hello_of(from)));
    }
    // True once the other side has closed.
    [[nodiscard]] bool is_closed() {
        boost::system::error_code error;
        std::array<char, 1> byte{};
        socket_.non_blocking(true);
        socket_.read_some(boost::asio::buffer(byte), error);
        return error && error != boost::asio::error::would_block;
    }

  private:
    static std::string hello_of(NodeId from) {
        std::string frame;
        peer::append_frame(peer::encode_hello({peer::kPeerProtocol, kCluster, from, kSelf, "test"}),
                           frame);
        return frame;
    }

    Host& host_;
    tcp::socket socket_;
};

raft::Message append_of(std::size_t bytes) {
    const raft::EntryId id{Term{7}, Index{1}};
    return {
        kSelf, kPeer, Term{7},
        raft::Append{
            {}, {}, {{id, raft::EntryKind::kCommand, Bytes::copy_of(std::string(bytes, 'x'))}}}};
}

}  // namespace

TEST_CASE("a peer that lets in and closes is not dialled in a storm", "[net][peer_link]") {
    Host host;
    FakePeer peer(host.reactor, welcome(), true);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    host.reactor.run_for(1500ms);
    // 10 ms at the least before the second dial, and each time twice that.
    CHECK(peer.connections() >= 2);
    CHECK(peer.connections() <= 9);
    CHECK(host.said.size() <= 4);
}

TEST_CASE("a stranger's answer is said and not believed", "[net][peer_link]") {
    const auto [cluster, from, text] = GENERATE(table<ClusterId, NodeId, std::string>({
        {ClusterId{0xc2}, kPeer, "a member of cluster c2 answers, this is cluster c1"},
        {kCluster, NodeId{0xb3}, "member b3 answers, b2 was dialled"},
    }));
    Host host;
    FakePeer peer(host.reactor, welcome(cluster, from), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    const std::string expected = text;
    CHECK(turn_until(host.reactor, [&] { return host.has_said(expected); }));
    CHECK(host.hub->connected() == 0);
}

TEST_CASE("a peer that does not read costs a bounded queue", "[net][peer_link]") {
    constexpr std::size_t kMessageBytes = 1024U * 1024U;
    Host host;
    FakePeer peer(host.reactor, welcome(), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    REQUIRE(turn_until(host.reactor, [&] { return host.hub->connected() == 1; }));
    const std::vector<raft::Message> messages{append_of(kMessageBytes)};
    std::size_t sent = 0;
    while (host.metrics.peer_messages_dropped == 0 && sent < 1000) {
        host.hub->send(messages);
        ++sent;
    }
    // Nothing was written meanwhile, since the reactor stood still.
    CHECK(sent == kPeerQueueBytesMax / kMessageBytes);
    CHECK(host.lost == 1);
    CHECK(host.has_said("send queue full, connection dropped"));
    CHECK(host.hub->connected() == 0);
    // And it comes back.
    CHECK(turn_until(host.reactor, [&] { return host.hub->connected() == 1; }));
}

TEST_CASE("all addresses of a member are dialled in turn", "[net][peer_link]") {
    Host host;
    FakePeer peer(host.reactor, welcome(), false);
    host.make_hub({kPeer,
                   "127.0.0.1",
                   free_port(host.reactor),
                   {{"127.0.0.1", free_port(host.reactor)}, {"localhost", peer.port()}}});
    host.hub->start();
    CHECK(turn_until(host.reactor, [&] { return host.hub->connected() == 1; }));
}

TEST_CASE("of a name's addresses the IPv4 one is listened on", "[net][acceptor]") {
    const tcp::endpoint six(boost::asio::ip::address_v6::loopback(), 1);
    CHECK(choose_endpoint({six, loopback(1)}) == loopback(1));
    CHECK(choose_endpoint({loopback(1), six}) == loopback(1));
    CHECK(choose_endpoint({six}) == six);
}

TEST_CASE("a name is listened on where clients of IPv4 find it", "[net][acceptor]") {
    boost::asio::io_context reactor;
    const std::uint16_t port = free_port(reactor);
    const auto acceptor = Acceptor::listen(reactor, "localhost", port);
    REQUIRE(acceptor.has_value());
    tcp::socket socket(reactor);
    boost::system::error_code error;
    socket.connect(loopback(port), error);
    CHECK_FALSE(error);
}

TEST_CASE("a hub keeps what comes in within bounds", "[net][peer_hub]") {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit small = before;
    small.rlim_cur = 128;  // 8 for peers
    REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    Host host;
    host.make_hub({kPeer, "127.0.0.1", free_port(host.reactor)});
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    const std::uint16_t port = free_port(host.reactor);
    const auto acceptor = Acceptor::listen(host.reactor, "127.0.0.1", port).value();
    acceptor->start([&](tcp::socket socket) { host.hub->accept(std::move(socket)); },
                    [](const std::string&) {});

    SECTION("one connection of each member") {
        Dialler first(host, port);
        first.greet(kPeer);
        CHECK_FALSE(first.is_closed());
        Dialler second(host, port);
        second.greet(kPeer);
        CHECK(turn_until(host.reactor, [&] { return first.is_closed(); }));
        CHECK_FALSE(second.is_closed());
    }
    SECTION("strangers are refused, and said once") {
        for (int i = 0; i < 5; ++i) {
            Dialler stranger(host, port);
            stranger.greet(NodeId{0xdead});
            CHECK(turn_until(host.reactor, [&] { return stranger.is_closed(); }));
        }
        CHECK(host.said.size() == 1);
    }
    SECTION("no more connections than there is room for, and always room for members") {
        Dialler member(host, port);
        member.greet(kPeer);
        std::vector<std::unique_ptr<Dialler>> strangers;
        for (int i = 0; i < 8; ++i) {
            strangers.push_back(std::make_unique<Dialler>(host, port));
        }
        // The oldest that has not greeted gives way.
        CHECK(turn_until(host.reactor, [&] { return strangers.front()->is_closed(); }));
        CHECK(host.metrics.connections_refused == 1);
        CHECK_FALSE(strangers.at(1)->is_closed());
        CHECK_FALSE(strangers.back()->is_closed());
        Dialler again(host, port);
        again.greet(kPeer);
        CHECK_FALSE(again.is_closed());
        // They say nothing, so they are closed in time.
        CHECK(turn_until(host.reactor, [&] { return strangers.back()->is_closed(); }));
    }
    SECTION("who goes on before the answer is no member") {
        Dialler hasty(host, port);
        hasty.greet_twice(kPeer);
        CHECK(turn_until(host.reactor, [&] { return hasty.is_closed(); }));
    }
    acceptor->stop();
}

}  // namespace cairn::server::net
