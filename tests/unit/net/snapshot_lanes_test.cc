// The connections that snapshots travel on, beside those of the messages.
#include "server/net/snapshot_lanes.h"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "server/net/acceptor.h"
#include "server/peer/peer_hello.h"
#include "server/peer/snapshot_codec.h"

namespace cairn::server::net {
namespace {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;

constexpr ClusterId kCluster{0xc1};
constexpr NodeId kLeader{0xa1};
constexpr NodeId kFollower{0xb2};

std::uint16_t free_port() {
    boost::asio::io_context reactor;
    const tcp::endpoint any(boost::asio::ip::address_v4::loopback(), 0);
    return tcp::acceptor(reactor, any).local_endpoint().port();
}

// One member's connections with the other.
class Side {
  public:
    Side(boost::asio::io_context& reactor, NodeId self, NodeId other, std::uint16_t port,
         std::uint16_t other_port)
        : hub_(reactor, {kCluster, self}, {{other, "127.0.0.1", other_port}},
               {[this](raft::Message) { ++messages; }, [](NodeId) {},
                [](NodeId, const std::string&) {},
                [this](NodeId, SnapshotMessage message) { arrived.push_back(std::move(message)); },
                [this](const std::shared_ptr<PeerSession>& session, bool open) {
                    lanes.on_session(session, open);
                }},
               metrics_),
          lanes(reactor, {kCluster, self}, hub_,
                {[this](NodeId, bool up) { lane_up = up; }, [this](NodeId) { ++lanes_lost; },
                 [this](NodeId, SnapshotMessage message) { arrived.push_back(std::move(message)); },
                 [](NodeId, const std::string&) {}},
                metrics_),
          acceptor_(Acceptor::listen(reactor, "127.0.0.1", port).value()) {
        acceptor_->start([this](tcp::socket socket) { hub_.accept(std::move(socket)); },
                         [](const std::string&) {});
        hub_.start();
    }
    ~Side() { stop(); }
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;

    void stop() {
        acceptor_->stop();
        lanes.stop();
        hub_.stop();
    }
    void heartbeat(NodeId from, NodeId to) {
        hub_.send({raft::Message{from, to, Term{1}, raft::Heartbeat{}}});
    }
    [[nodiscard]] bool connected() const { return hub_.connected() == 1; }
    // The members are these now, and where.
    void follow(const std::vector<std::pair<NodeId, std::uint16_t>>& members) {
        PeerSet peers;
        for (const auto& [id, port] : members) {
            command::MemberInfo& member = peers.members.emplace_back();
            member.set_id(id.value);
            member.add_peer_urls("http://127.0.0.1:" + std::to_string(port));
        }
        hub_.follow(std::make_shared<const PeerSet>(std::move(peers)));
        lanes.follow();
    }

  private:
    Metrics metrics_;
    PeerHub hub_;

  public:
    SnapshotLanes lanes;
    std::vector<SnapshotMessage> arrived;
    std::size_t messages = 0;
    std::size_t lanes_lost = 0;
    bool lane_up = false;

  private:
    std::shared_ptr<Acceptor> acceptor_;
};

struct Two {
    Two() : Two(free_port(), free_port()) {}
    Two(std::uint16_t leader_port, std::uint16_t follower_port)
        : leader_address(kLeader, leader_port),
          follower_address(kFollower, follower_port),
          leader(reactor, kLeader, kFollower, leader_port, follower_port),
          follower(reactor, kFollower, kLeader, follower_port, leader_port) {}
    ~Two() {
        leader.stop();
        follower.stop();
        reactor.run_for(100ms);
    }
    Two(const Two&) = delete;
    Two& operator=(const Two&) = delete;

    template <class Done>
    bool turn_until(Done done) {
        for (int turn = 0; !done() && turn < 4000; ++turn) {
            reactor.run_for(5ms);
        }
        return done();
    }

    boost::asio::io_context reactor{1};
    std::pair<NodeId, std::uint16_t> leader_address;
    std::pair<NodeId, std::uint16_t> follower_address;
    Side leader;
    Side follower;
};

SnapshotChunk chunk(std::uint64_t offset) {
    return {{1, offset}, 7, Bytes::copy_of(std::string(1000, 'x'))};
}

}  // namespace

TEST_CASE("a snapshot's connection follows its member", "[net][snapshot_lanes]") {
    Two two;
    REQUIRE(two.turn_until([&] { return two.leader.connected() && two.follower.connected(); }));
    two.leader.lanes.want(kFollower, true);
    const auto up = [&] { return two.leader.lane_up; };
    REQUIRE(two.turn_until(up));
    two.leader.follow({two.leader_address, two.follower_address});
    CHECK(two.leader.lane_up);

    SECTION("that has moved") { two.leader.follow({two.leader_address, {kFollower, free_port()}}); }
    SECTION("that is removed") { two.leader.follow({two.leader_address}); }
    CHECK_FALSE(two.leader.lane_up);
    REQUIRE(two.turn_until([&] { return two.follower.lanes_lost == 1; }));
    two.leader.follow({two.leader_address, two.follower_address});
    // Whom the hub had forgotten is asked for anew by who wants it.
    two.leader.lanes.want(kFollower, true);
    REQUIRE(two.turn_until(up));
}

TEST_CASE("a snapshot has a connection of its own, both ways", "[net][snapshot_lanes]") {
    Two two;
    REQUIRE(two.turn_until([&] { return two.leader.connected() && two.follower.connected(); }));
    two.leader.lanes.want(kFollower, true);
    REQUIRE(two.turn_until([&] { return two.leader.lane_up; }));

    const SnapshotMessage offer = SnapshotOffer{Term{3}, Bytes::copy_of("manifest")};
    const SnapshotMessage want = SnapshotWant{{1, 0}};
    two.leader.lanes.send(kFollower, offer);
    REQUIRE(two.turn_until([&] { return two.follower.arrived.size() == 1; }));
    two.follower.lanes.send(kLeader, want);
    REQUIRE(two.turn_until([&] { return two.leader.arrived.size() == 1; }));
    CHECK(two.leader.arrived.front() == want);
    for (std::uint64_t offset = 0; offset < 100'000; offset += 1000) {
        two.leader.lanes.send(kFollower, chunk(offset));
    }
    // The messages go on beside it, on connections that were not closed for it.
    two.leader.heartbeat(kLeader, kFollower);
    two.follower.heartbeat(kFollower, kLeader);
    REQUIRE(two.turn_until([&] { return two.follower.arrived.size() == 101; }));
    CHECK(two.follower.arrived.front() == offer);
    CHECK(two.follower.arrived.back() == SnapshotMessage{chunk(99'000)});
    REQUIRE(two.turn_until([&] { return two.leader.messages == 1 && two.follower.messages == 1; }));
    CHECK((two.leader.connected() && two.follower.connected()));

    two.leader.lanes.want(kFollower, false);
    REQUIRE(two.turn_until([&] { return two.follower.lanes_lost == 1; }));
    CHECK((two.leader.connected() && two.follower.connected()));
}

TEST_CASE("a lane that is wanted anew takes the place of the old", "[net][snapshot_lanes]") {
    Two two;
    two.leader.lanes.want(kFollower, true);
    REQUIRE(two.turn_until([&] { return two.leader.lane_up; }));
    two.leader.lanes.send(kFollower, SnapshotOffer{Term{3}, {}});
    REQUIRE(two.turn_until([&] { return two.follower.arrived.size() == 1; }));
    two.follower.lanes.send(kLeader, SnapshotRefused{Errc::kNoSpace});
    REQUIRE(two.turn_until([&] { return two.leader.arrived.size() == 1; }));
    CHECK(two.leader.arrived.front() == SnapshotMessage{SnapshotRefused{Errc::kNoSpace}});
    CHECK(two.follower.lanes_lost == 0);
    two.leader.lanes.want(kFollower, true);  // a new one, over the old
    two.leader.lane_up = false;
    REQUIRE(two.turn_until([&] { return two.leader.lane_up; }));
    two.leader.lanes.send(kFollower, SnapshotOffer{Term{4}, {}});
    REQUIRE(two.turn_until([&] { return two.follower.arrived.size() == 2; }));
}

TEST_CASE("a member of a build without the lane refuses it", "[net][snapshot_lanes]") {
    boost::asio::io_context reactor{1};
    tcp::acceptor old(reactor, {boost::asio::ip::address_v4::loopback(), 0});
    std::uint32_t asked = 0;
    tcp::socket socket(reactor);
    // Of a build that knows protocol 1 only: it refuses by the number.
    old.async_accept(socket, [&](const boost::system::error_code&) {
        std::array<char, 1024> bytes{};
        boost::system::error_code ignored;
        const std::size_t count = socket.read_some(boost::asio::buffer(bytes), ignored);
        peer::FrameReader reader;
        reader.feed(ByteView(bytes.data(), count));
        asked = peer::decode_hello(*reader.next().value()).value().protocol;
        std::string frame;
        peer::append_frame(peer::encode_hello_reply({false, "peer protocol 2, this member speaks 1",
                                                     1, kCluster, kFollower}),
                           frame);
        boost::asio::write(socket, boost::asio::buffer(frame), ignored);
    });
    Metrics metrics;
    const PeerHub hub(reactor, {kCluster, kLeader},
                      {{kFollower, "127.0.0.1", old.local_endpoint().port()}}, {}, metrics);
    std::vector<std::string> said;
    bool up = false;
    SnapshotLanes lanes(
        reactor, {kCluster, kLeader}, hub,
        {[&up](NodeId, bool now) { up = now; }, [](NodeId) {}, [](NodeId, SnapshotMessage) {},
         [&said](NodeId, const std::string& text) { said.push_back(text); }},
        metrics);
    lanes.want(kFollower, true);
    for (int turn = 0; said.empty() && turn < 4000; ++turn) {
        reactor.run_for(5ms);
    }
    CHECK(asked == peer::kLaneProtocol);
    REQUIRE(!said.empty());
    CHECK(said.front() == "for a snapshot: refused: peer protocol 2, this member speaks 1");
    CHECK(!up);
    lanes.stop();
    reactor.run_for(100ms);
}

}  // namespace cairn::server::net
