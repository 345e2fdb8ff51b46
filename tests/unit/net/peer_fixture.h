// Peers that answer and dial as a test wants them to, and a hub that talks to them.
// One thread; owned by a test.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "server/net/peer_hub.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_hello.h"

namespace cairn::server::net::testing {

using boost::asio::ip::tcp;

inline constexpr ClusterId kCluster{0xc1};
inline constexpr NodeId kSelf{0xa1};
inline constexpr NodeId kPeer{0xb2};

inline tcp::endpoint loopback(std::uint16_t port) {
    return {boost::asio::ip::address_v4::loopback(), port};
}

// A port that was free a moment ago.
inline std::uint16_t free_port(boost::asio::io_context& reactor) {
    return tcp::acceptor(reactor, loopback(0)).local_endpoint().port();
}

// Turns the reactor, which must have work, until `done` or 20 s are over.
template <class Done>
bool turn_until(boost::asio::io_context& reactor, Done done) {
    for (int turn = 0; !done() && turn < 4000; ++turn) {
        reactor.run_for(std::chrono::milliseconds(5));
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
    [[nodiscard]] const std::vector<peer::Hello>& greetings() const { return greetings_; }
    // Bytes that came over the newest connection after the greeting.
    [[nodiscard]] std::size_t unread() const { return sockets_.back()->available(); }
    // Of those, as many messages as are whole.
    [[nodiscard]] std::vector<raft::Message> read() {
        std::string bytes(unread(), '\0');
        bytes.resize(sockets_.back()->read_some(boost::asio::buffer(bytes)));
        messages_.feed(bytes);
        std::vector<raft::Message> read;
        for (auto frame = messages_.next(); frame.value(); frame = messages_.next()) {
            read.push_back(peer::decode_message(*frame.value()).value());
        }
        return read;
    }

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
            const std::size_t count = socket.read_some(boost::asio::buffer(greeting), ignored);
            peer::FrameReader reader;
            reader.feed(ByteView(greeting.data(), count));
            greetings_.push_back(peer::decode_hello(*reader.next().value()).value());
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
    std::vector<peer::Hello> greetings_;
    peer::FrameReader messages_;
};

inline peer::HelloReply welcome(ClusterId cluster = kCluster, NodeId from = kPeer) {
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
        PeerIdentity identity{kCluster, kSelf};
        *identity.peer_urls = {"http://127.0.0.1:1"};
        hub = std::make_unique<PeerHub>(
            reactor, std::move(identity), std::vector<PeerAddress>{std::move(other)},
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
            reactor.run_for(std::chrono::milliseconds(20));
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

inline command::MemberInfo member(NodeId id, std::uint16_t port) {
    command::MemberInfo info;
    info.set_id(id.value);
    info.add_peer_urls("http://127.0.0.1:" + std::to_string(port));
    return info;
}

inline std::shared_ptr<const PeerSet> peers(std::vector<command::MemberInfo> members,
                                            std::vector<NodeId> removed = {}) {
    PeerSet set{std::move(members), std::move(removed)};
    set.applied = set.members;
    set.applied_index = Index{7};
    return std::make_shared<const PeerSet>(std::move(set));
}

inline peer::Hello question() {
    return {.protocol = peer::kPeerProtocol,
            .cluster = {},
            .from = {},
            .to = {},
            .version = "test",
            .ask_members = true};
}

inline raft::Message append_of(std::size_t bytes) {
    const raft::EntryId id{Term{7}, Index{1}};
    return {
        kSelf, kPeer, Term{7},
        raft::Append{
            {}, {}, {{id, raft::EntryKind::kCommand, Bytes::copy_of(std::string(bytes, 'x'))}}}};
}

}  // namespace cairn::server::net::testing
