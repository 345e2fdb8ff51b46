// Whom a hub dials, lets in, and leaves.
#include "server/net/peer_hub.h"

#include <sys/resource.h>

#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"

#include "server/net/acceptor.h"
#include "server/net/cluster_query.h"
#include "storage/command.h"
#include "unit/net/peer_fixture.h"

namespace cairn::server::net {

using namespace testing;

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
    CHECK(host.lost == 1);
    REQUIRE(turn_until(host.reactor, connected));
    CHECK(moved.connections() == 1);
    host.hub->follow(peers({member(kSelf, 1)}, {kPeer}));
    CHECK(host.hub->known() == 0);
    CHECK(host.hub->connected() == 0);
}

TEST_CASE("a member hears its removal before it is left", "[net][peer_hub]") {
    Host host;
    FakePeer peer(host.reactor, welcome(), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    const std::uint16_t port = free_port(host.reactor);
    const auto acceptor = Acceptor::listen(host.reactor, "127.0.0.1", port).value();
    acceptor->start([&](tcp::socket socket) { host.hub->accept(std::move(socket)); },
                    [](const std::string&) {});
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, peer.port())}));
    REQUIRE(turn_until(host.reactor, [&] { return host.hub->connected() == 1; }));
    Dialler dialler(host, port);
    dialler.greet(kPeer);

    // The turn that removes it also has the last words to it.
    host.hub->follow(peers({member(kSelf, 1)}, {kPeer}));
    host.hub->send({append_of(100)});
    CHECK(turn_until(host.reactor, [&] { return peer.unread() > 100; }));
    CHECK(host.metrics.peer_messages_dropped == 0);
    CHECK_FALSE(dialler.is_closed());
    // It is let in no more,
    Dialler again(host, port);
    const auto reply = again.ask({peer::kPeerProtocol, kCluster, kPeer, kSelf, "test"});
    CHECK_FALSE(reply.accepted);
    CHECK(reply.removed);
    // and in a while it is left.
    CHECK(turn_until(host.reactor, [&] { return dialler.is_closed(); }));

    SECTION("for good") { CHECK(peer.connections() == 1); }
    SECTION("unless it is taken in again") {
        host.hub->follow(peers({member(kSelf, 1), member(kPeer, peer.port())}));
        CHECK(turn_until(host.reactor, [&] { return host.hub->connected() == 1; }));
    }
    acceptor->stop();
}

TEST_CASE("a member that has moved says where it is", "[net][peer_hub]") {
    Host host;
    FakePeer peer(host.reactor, welcome(), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    const auto said = [&](const std::string& url) {
        return turn_until(host.reactor, [&] {
            return !peer.greetings().empty() && host.hub->connected() == 1 &&
                   peer.greetings().back().peer_urls == std::vector<std::string>{url};
        });
    };
    // By its flags, and then by the list of members.
    CHECK(said("http://127.0.0.1:1"));
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, peer.port())}));
    CHECK(peer.connections() == 1);
    host.hub->follow(peers({member(kSelf, 2), member(kPeer, peer.port())}));
    CHECK(said("http://127.0.0.1:2"));
    CHECK(peer.connections() == 2);
    CHECK(*host.hub->identity().peer_urls == std::vector<std::string>{"http://127.0.0.1:2"});
}

TEST_CASE("a member is dialled where it says that it is", "[net][peer_hub]") {
    Host host;
    FakePeer moved(host.reactor, welcome(), false);
    FakePeer moved_again(host.reactor, welcome(), false);
    const std::uint16_t former = free_port(host.reactor);
    host.make_hub({kPeer, "127.0.0.1", former});
    host.hub->start();
    const std::uint16_t port = free_port(host.reactor);
    const auto acceptor = Acceptor::listen(host.reactor, "127.0.0.1", port).value();
    acceptor->start([&](tcp::socket socket) { host.hub->accept(std::move(socket)); },
                    [](const std::string&) {});
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, former)}));
    peer::Hello hello{peer::kPeerProtocol, kCluster, kPeer, kSelf, "test"};
    hello.peer_urls = {"http://127.0.0.1:" + std::to_string(moved.port())};
    Dialler dialler(host, port);
    CHECK(dialler.ask(hello).accepted);
    const auto connected = [&] { return host.hub->connected() == 1; };
    CHECK(turn_until(host.reactor, connected));
    CHECK(moved.connections() == 1);
    // A list that says nothing new of it changes nothing.
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, former), member(NodeId{0xc3}, 3)}));
    CHECK(connected());
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, moved_again.port())}));
    CHECK_FALSE(connected());
    CHECK(turn_until(host.reactor, connected));
    CHECK(moved.connections() == 1);
    CHECK(moved_again.connections() == 1);
    acceptor->stop();
}

namespace {

peer::HelloReply farewell(ClusterId cluster, NodeId from) {
    peer::HelloReply reply = welcome(cluster, from);
    reply.accepted = false;
    reply.removed = true;
    reply.reason = "why";
    return reply;
}

}  // namespace

TEST_CASE("who is out of the cluster is told so, by its own cluster alone", "[net][peer_hub]") {
    const auto [cluster, from, told] = GENERATE(table<ClusterId, NodeId, bool>({
        {kCluster, kPeer, true},
        {ClusterId{0xc2}, kPeer, false},
        {kCluster, NodeId{0xb3}, false},
    }));
    Host host;
    FakePeer peer(host.reactor, farewell(cluster, from), false);
    host.make_hub({kPeer, "127.0.0.1", peer.port()});
    host.hub->start();
    REQUIRE(turn_until(host.reactor, [&] { return peer.connections() >= 2; }));
    CHECK((host.removed > 0) == told);
    CHECK(host.has_said("refused: why") == true);
}

TEST_CASE("who only says that it is a member throws nobody out", "[net][peer_hub]") {
    const NodeId claimed = GENERATE(values<NodeId>({kPeer, NodeId{0xbeef}}));
    Host host;
    FakePeer liar(host.reactor, farewell(kCluster, claimed), false);
    host.make_hub({kPeer, "127.0.0.1", free_port(host.reactor)});
    host.hub->follow(peers({member(kSelf, 1), member(kPeer, free_port(host.reactor))}));
    host.hub->start();
    const std::uint16_t port = free_port(host.reactor);
    const auto acceptor = Acceptor::listen(host.reactor, "127.0.0.1", port).value();
    acceptor->start([&](tcp::socket socket) { host.hub->accept(std::move(socket)); },
                    [](const std::string&) {});
    Dialler dialler(host, port);
    peer::Hello hello{peer::kPeerProtocol, kCluster, claimed, kSelf, "test"};
    hello.peer_urls = {"http://127.0.0.1:" + std::to_string(liar.port())};
    REQUIRE(dialler.ask(hello).accepted);
    REQUIRE(turn_until(host.reactor, [&] { return liar.connections() >= 2; }));
    CHECK(host.has_said("refused: why"));
    CHECK(host.removed == 0);
    // It may turn out to be a member, and to be there.
    host.hub->follow(peers({member(kSelf, 1), member(claimed, liar.port())}));
    CHECK(turn_until(host.reactor, [&] { return host.removed > 0; }));
    acceptor->stop();
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
        const auto reply = dialler.ask(question());
        CHECK(reply.cluster == kCluster);
        REQUIRE(reply.members.size() == 2);
        CHECK(reply.members[1].peer_urls(0) == "http://127.0.0.1:2");
        CHECK(reply.applied_index == Index{7});
        CHECK(turn_until(host.reactor, [&] { return dialler.is_closed(); }));
    }
    SECTION("somebody who wants to know the members, while one is only to come") {
        PeerSet set{{member(kSelf, 1), member(kPeer, 2), member(kNew, 3)}, {}};
        set.applied = {member(kSelf, 1), member(kPeer, 2)};
        host.hub->follow(std::make_shared<const PeerSet>(set));
        CHECK(Dialler(host, port).ask(question()).members.size() == 2);
        // Who is not one of them asks others itself.
        set.applied = {member(kPeer, 2)};
        host.hub->follow(std::make_shared<const PeerSet>(std::move(set)));
        CHECK(Dialler(host, port).ask(question()).members.empty());
    }
    acceptor->stop();
}

TEST_CASE("of what several members say of the cluster the newest is believed", "[net][peer_hub]") {
    const auto answer = [](std::uint64_t applied, std::uint64_t id) {
        peer::HelloReply reply = welcome();
        reply.members = {member(NodeId{id}, 1)};
        reply.applied_index = Index{applied};
        return reply;
    };
    boost::asio::io_context reactor;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
        reactor.get_executor()};
    FakePeer unknowing(reactor, welcome(), false);
    FakePeer behind(reactor, answer(4, 4), false);
    FakePeer newest(reactor, answer(9, 9), false);
    FakePeer older(reactor, answer(8, 8), false);
    std::vector<PeerEndpoint> asked{{"127.0.0.1", free_port(reactor)}};
    for (const FakePeer* peer : {&unknowing, &behind, &newest, &older}) {
        asked.push_back({"127.0.0.1", peer->port()});
    }
    std::thread others([&] { reactor.run(); });
    std::vector<Unanswered> silent;
    const auto reply = ask_for_members(asked, silent);
    std::vector<Unanswered> silent_of_two;
    const auto none = ask_for_members(std::span(asked).first(2), silent_of_two);
    reactor.stop();
    others.join();
    REQUIRE(reply.has_value());
    CHECK(reply.value().members.at(0).id() == 9);
    CHECK(none.has_error());
    for (const auto& found : {silent, silent_of_two}) {
        REQUIRE(found.size() == 1);
        CHECK(found[0].peer == asked[0]);
        CHECK(found[0].refused);
        CHECK(found[0].cause == "Connection refused");
    }
}

}  // namespace cairn::server::net
