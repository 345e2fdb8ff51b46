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
#include "storage/command.h"

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
    std::size_t removed = 0;
    boost::asio::io_context reactor;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
        reactor.get_executor()};
    Metrics metrics;
    std::unique_ptr<PeerHub> hub;

    void make_hub(PeerAddress other) {
        hub = std::make_unique<PeerHub>(
            reactor, PeerIdentity{kCluster, kSelf}, std::vector<PeerAddress>{std::move(other)},
            PeerHub::Hooks{[](raft::Message) {},
                           [this](NodeId) { ++lost; },
                           [this](NodeId, const std::string& text) { said.push_back(text); },
                           {},
                           {},
                           [this] { ++removed; }},
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
    peer::HelloReply ask(const peer::Hello& hello) {
        std::string frame;
        peer::append_frame(peer::encode_hello(hello), frame);
        boost::asio::write(socket_, boost::asio::buffer(frame));
        REQUIRE(turn_until(host_.reactor, [this] { return socket_.available() > 0; }));
        std::string reply(2048, '\0');
        reply.resize(socket_.read_some(boost::asio::buffer(reply)));
        peer::FrameReader reader;
        reader.feed(reply);
        return peer::decode_hello_reply(*reader.next().value()).value();
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

command::MemberInfo member(NodeId id, std::uint16_t port) {
    command::MemberInfo info;
    info.set_id(id.value);
    info.add_peer_urls("http://127.0.0.1:" + std::to_string(port));
    return info;
}

std::shared_ptr<const PeerSet> peers(std::vector<command::MemberInfo> members,
                                     std::vector<NodeId> removed = {}) {
    return std::make_shared<const PeerSet>(PeerSet{std::move(members), std::move(removed)});
}

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

TEST_CASE("a hub follows the members", "[net][peer_hub]") {
    Host host;
    FakePeer peer(host.reactor, welcome(), false);
    FakePeer moved(host.reactor, welcome(), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    const auto connected = [&] { return host.hub->connected() == 1; };
    REQUIRE(turn_until(host.reactor, connected));
    // A list without this member is of the past.
    host.hub->follow(peers({}));
    CHECK(host.hub->connected() == 1);
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, peer.port())}));
    CHECK(host.hub->connected() == 1);
    CHECK(peer.connections() == 1);
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, moved.port())}));
    CHECK(host.hub->connected() == 0);
    REQUIRE(turn_until(host.reactor, connected));
    CHECK(moved.connections() == 1);
    host.hub->follow(peers({member(kSelf, 1)}, {kPeer}));
    CHECK(host.hub->known() == 0);
    CHECK(host.hub->connected() == 0);
}

TEST_CASE("who is out of the cluster is told so, by its own cluster alone", "[net][peer_hub]") {
    const auto [cluster, told] =
        GENERATE(table<ClusterId, bool>({{kCluster, true}, {ClusterId{0xc2}, false}}));
    Host host;
    peer::HelloReply reply = welcome(cluster);
    reply.accepted = false;
    reply.removed = true;
    reply.reason = "why";
    FakePeer peer(host.reactor, reply, false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    REQUIRE(turn_until(host.reactor, [&] { return peer.connections() >= 2; }));
    CHECK((host.removed > 0) == told);
    CHECK(host.has_said("refused: why") == true);
}

TEST_CASE("a new kind of command is for when all members know it", "[net][peer_hub]") {
    constexpr NodeId kNew{0xbeef};
    constexpr std::uint32_t kNewest = storage::kNewestCommand;
    Host host;
    host.make_hub({kPeer, "127.0.0.1", free_port(host.reactor)});
    const std::uint16_t port = free_port(host.reactor);
    const auto acceptor = Acceptor::listen(host.reactor, "127.0.0.1", port).value();
    acceptor->start([&](tcp::socket socket) { host.hub->accept(std::move(socket)); },
                    [](const std::string&) {});
    const auto greet = [&](NodeId from, std::uint32_t newest, ClusterId cluster = kCluster) {
        Dialler dialler(host, port);
        peer::Hello hello{peer::kPeerProtocol, cluster, from, kSelf, "test"};
        hello.newest_command = newest;
        return dialler.ask(hello).accepted;
    };
    const auto all_know_it = [&] {
        return host.hub->newest_common_command() == storage::kNewestCommand;
    };
    // It knows nobody yet, then itself, then one of whom it has not heard.
    CHECK(host.hub->newest_common_command() == storage::kCommonCommand);
    host.hub->follow(peers({member(kSelf, 1)}));
    CHECK(all_know_it());
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, 2)}));
    CHECK(host.hub->newest_common_command() == storage::kCommonCommand);
    CHECK_FALSE(greet(kPeer, kNewest, ClusterId{0xc2}));
    CHECK_FALSE(all_know_it());
    // Also when it is away again.
    CHECK(greet(kPeer, kNewest));
    CHECK(all_know_it());

    SECTION("a learner counts") {
        command::MemberInfo learner = member(kNew, 3);
        learner.set_is_learner(true);
        host.hub->follow(peers({member(kSelf, 1), member(kPeer, 2), learner}));
        CHECK_FALSE(all_know_it());
        CHECK(greet(kNew, kNewest + 1));
        CHECK(all_know_it());
    }
    SECTION("an older build in its place") {
        CHECK(greet(kPeer, kNewest - 1));
        CHECK_FALSE(all_know_it());
        CHECK(greet(kPeer, 0));
        CHECK(host.hub->newest_common_command() == storage::kCommonCommand);
    }
    SECTION("what was said ends with the member") {
        host.hub->follow(peers({member(kSelf, 1)}, {kPeer}));
        CHECK(all_know_it());
        host.hub->follow(peers({member(kSelf, 1), member(kPeer, 2)}));
        CHECK_FALSE(all_know_it());
    }
    acceptor->stop();
}

TEST_CASE("a hub answers greetings by what it knows of the members", "[net][peer_hub]") {
    constexpr NodeId kGone{0xdead};
    constexpr NodeId kNew{0xbeef};
    Host host;
    host.make_hub({kPeer, "127.0.0.1", free_port(host.reactor)});
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, 2)}, {kGone}));
    const std::uint16_t port = free_port(host.reactor);
    const auto acceptor = Acceptor::listen(host.reactor, "127.0.0.1", port).value();
    acceptor->start([&](tcp::socket socket) { host.hub->accept(std::move(socket)); },
                    [](const std::string&) {});
    peer::Hello hello{peer::kPeerProtocol, kCluster, kPeer, kSelf, "test"};

    SECTION("a removed member") {
        Dialler dialler(host, port);
        hello.from = kGone;
        hello.peer_urls = {"http://127.0.0.1:3"};
        const auto reply = dialler.ask(hello);
        CHECK_FALSE(reply.accepted);
        CHECK(reply.removed);
        CHECK(reply.reason == "dead was removed from the cluster");
    }
    SECTION("a member that this one has not heard of yet") {
        Dialler dialler(host, port);
        hello.from = kNew;
        hello.peer_urls = {"http://127.0.0.1:3"};
        CHECK(dialler.ask(hello).accepted);
        CHECK(host.hub->known() == 2);
        // It stays while it may still turn out to be one.
        host.hub->follow(peers({member(kSelf, 1), member(kPeer, 2)}, {kGone}));
        CHECK(host.hub->known() == 2);
        host.hub->follow(peers({member(kSelf, 1), member(kPeer, 2)}, {kNew, kGone}));
        CHECK(host.hub->known() == 1);
    }
    SECTION("many of those") {
        std::vector<std::unique_ptr<Dialler>> diallers;
        for (std::uint64_t i = 0; i < kNewcomersMax + 3; ++i) {
            diallers.push_back(std::make_unique<Dialler>(host, port));
            hello.from = NodeId{0x1000 + i};
            hello.peer_urls = {"http://127.0.0.1:3"};
            CHECK(diallers.back()->ask(hello).accepted);
        }
        CHECK(host.hub->known() == 1 + kNewcomersMax);
    }
    SECTION("somebody who wants to know the members") {
        Dialler dialler(host, port);
        const auto reply = dialler.ask({.protocol = peer::kPeerProtocol,
                                        .cluster = {},
                                        .from = {},
                                        .to = {},
                                        .version = "test",
                                        .ask_members = true});
        CHECK(reply.cluster == kCluster);
        REQUIRE(reply.members.size() == 2);
        CHECK(reply.members[1].peer_urls(0) == "http://127.0.0.1:2");
        CHECK(turn_until(host.reactor, [&] { return dialler.is_closed(); }));
    }
    acceptor->stop();
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
