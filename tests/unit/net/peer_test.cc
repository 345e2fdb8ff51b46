// Links and sessions against peers that behave as none should.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "catch.h"

#include "server/net/acceptor.h"
#include "server/net/peer_link.h"
#include "unit/net/peer_fixture.h"

namespace cairn::server::net {

using namespace std::chrono_literals;
using namespace testing;

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

TEST_CASE("who was let in and is gone before the answer left is told of", "[net][peer]") {
    boost::asio::io_context reactor;
    const auto work = boost::asio::make_work_guard(reactor);
    Metrics metrics;
    std::size_t greeted = 0;
    std::size_t closed = 0;
    const auto hooks = std::make_shared<PeerSession::Hooks>();
    hooks->on_hello = [](const peer::Hello&) { return welcome(kCluster, kSelf); };
    // As when another connection of the same member takes its place.
    hooks->on_greeted = [&](const std::shared_ptr<PeerSession>& session) {
        ++greeted;
        session->close();
    };
    hooks->on_closed = [&](const std::shared_ptr<PeerSession>&) { ++closed; };
    hooks->on_log = [](NodeId, const std::string&) {};
    tcp::acceptor acceptor(reactor, loopback(0));
    tcp::socket dialler(reactor);
    dialler.connect(acceptor.local_endpoint());
    const auto session = std::make_shared<PeerSession>(acceptor.accept(), kSelf, hooks, metrics);
    session->start();
    std::string frame;
    peer::append_frame(peer::encode_hello({peer::kPeerProtocol, kCluster, kPeer, kSelf, "test"}),
                       frame);
    boost::asio::write(dialler, boost::asio::buffer(frame));
    CHECK(turn_until(reactor, [&] { return closed > 0; }));
    CHECK((greeted == 1 && closed == 1));
}

}  // namespace cairn::server::net
