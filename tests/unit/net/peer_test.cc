// Links and sessions against peers that behave as none should.
#include <algorithm>
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

// A leader that does not hear its followers gives up: their clients may have said much.
TEST_CASE("proposals on their way keep no other message waiting", "[net][peer_link]") {
    constexpr std::size_t kMessageBytes = 1024U * 1024U;
    constexpr std::uint64_t kMessages = 60;
    Host host;
    FakePeer peer(host.reactor, welcome(), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    REQUIRE(turn_until(host.reactor, [&] { return host.hub->connected() == 1; }));
    const auto forward = [](std::uint64_t sequence, std::size_t bytes) {
        raft::ForwardProposals body;
        body.proposals.push_back(
            {.id = {kSelf, 1, sequence}, .payload = Bytes::copy_of(std::string(bytes, 'p'))});
        return raft::Message{kSelf, kPeer, Term{7}, std::move(body)};
    };
    for (std::uint64_t number = 1; number <= kMessages; ++number) {
        host.hub->send({forward(number, kMessageBytes)});
    }
    CHECK(host.metrics.peer_messages_dropped == 0);
    REQUIRE(turn_until(host.reactor, [&] { return peer.unread() > 4'096; }));
    host.hub->send({{kSelf, kPeer, Term{7}, raft::HeartbeatReply{}}});
    std::vector<raft::Message> read;
    const auto read_more = [&] {
        for (raft::Message& message : peer.read()) {
            read.push_back(std::move(message));
        }
        return read.size() == kMessages + 1;
    };
    REQUIRE(turn_until(host.reactor, read_more));
    const auto reply = std::find_if(read.begin(), read.end(), [](const raft::Message& message) {
        return message.kind() == raft::MessageKind::kHeartbeatReply;
    });
    REQUIRE(reply != read.end());
    CHECK(reply - read.begin() < 4);  // what was being written, and what the kernels hold
    read.erase(reply);
    for (std::uint64_t number = 1; number <= kMessages; ++number) {
        const auto& body = std::get<raft::ForwardProposals>(read[number - 1].body);
        REQUIRE(body.proposals.front().id.sequence == number);
        REQUIRE(body.proposals.front().payload.size() == kMessageBytes);
    }
    // There is a bound to it, too, which costs no more than what does not fit.
    const std::vector<raft::Message> more{forward(kMessages + 1, kMessageBytes)};
    for (std::size_t bytes = 0; bytes < 2 * kForwardQueueBytesMax; bytes += kMessageBytes) {
        host.hub->send(more);
    }
    CHECK(host.metrics.peer_messages_dropped >= kForwardQueueBytesMax / kMessageBytes);
    CHECK(host.metrics.peer_messages_dropped <= kForwardQueueBytesMax / kMessageBytes + 2);
    CHECK(host.has_said("too much on its way to the leader, proposals dropped"));
    CHECK(host.lost == 0);
    CHECK(host.hub->connected() == 1);
}

TEST_CASE("proposals go in writes of a bounded size, those of the newest term",
          "[net][peer_link]") {
    const auto message = [](Term term, int count, std::size_t bytes) {
        raft::ForwardProposals body;
        for (int i = 0; i < count; ++i) {
            body.proposals.push_back({.id = {kSelf, 1, static_cast<std::uint64_t>(i)},
                                      .payload = Bytes::copy_of(std::string(bytes, 'p'))});
        }
        return raft::Message{kSelf, kPeer, term, std::move(body)};
    };
    ForwardQueue queue;
    REQUIRE(queue.push(message(Term{6}, 3, 1'000)));
    REQUIRE(queue.push(message(Term{7}, 10'000, 100)));
    for (int i = 0; i < 1'000; ++i) {
        REQUIRE(queue.push(message(Term{7}, 1, 100)));
    }
    REQUIRE(queue.push(message(Term{7}, 1, 1'000'000)));
    std::vector<std::size_t> writes;
    peer::FrameReader reader;
    for (std::string written; queue.take(written), !written.empty(); written.clear()) {
        writes.push_back(written.size());
        reader.feed(written);
    }
    CHECK(writes.size() > 5);
    CHECK(writes.size() < 15);
    CHECK(writes.back() > 1'000'000);
    writes.pop_back();
    CHECK(*std::max_element(writes.begin(), writes.end()) <= kForwardedAtOnce);
    std::vector<std::uint64_t> sequences;
    for (auto frame = reader.next(); frame.value(); frame = reader.next()) {
        const auto read = peer::decode_message(*frame.value()).value();
        CHECK(read.term == Term{7});
        for (const auto& proposal : std::get<raft::ForwardProposals>(read.body).proposals) {
            sequences.push_back(proposal.id.sequence);
        }
    }
    REQUIRE(sequences.size() == 11'001);
    // All that is said in a later term tells as much, but for a pre-vote.
    REQUIRE(queue.push(message(Term{7}, 1, 100)));
    queue.forget_before(Term{7});
    std::string written;
    queue.take(written);
    CHECK_FALSE(written.empty());
    REQUIRE(queue.push(message(Term{7}, 1, 100)));
    queue.forget_before(Term{8});
    written.clear();
    queue.take(written);
    CHECK(written.empty());
    CHECK(std::is_sorted(sequences.begin(), sequences.begin() + 10'000));
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
