// One connection to another member: dialled, kept, dialled again (docs/formats/peer.md).
// Owned by PeerHub; every method on the reactor's thread.
// Never queues without bound: what does not fit is dropped and the core told, since it repairs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/ids.h"
#include "base/prng.h"
#include "raft/message.h"
#include "server/net/metrics.h"
#include "server/net/task.h"

namespace cairn::server::net {

// Another member and one of its peer addresses.
struct PeerAddress {
    NodeId id;
    std::string host;
    std::uint16_t port{};
};

// Who this member is, for greetings.
struct PeerIdentity {
    ClusterId cluster;
    NodeId self;
};

class PeerLink : public std::enable_shared_from_this<PeerLink> {
  public:
    // `on_lost` is called each time queued or sent messages may be gone; `on_log` for lines about
    // the connection (level by meaning: connected, lost, refused).
    struct Hooks {
        std::function<void(NodeId)> on_lost;
        std::function<void(NodeId, const std::string&)> on_log;
    };
    PeerLink(boost::asio::io_context& reactor, PeerAddress address, PeerIdentity identity,
             Hooks hooks, Metrics& metrics);

    void start();
    void stop();
    // Queues the message; dropped (and counted) while not connected or over the queue's bound.
    void send(const raft::Message& message);
    // Sends what was queued since the last call.
    void flush();

    [[nodiscard]] bool connected() const { return connected_; }

  private:
    static Task<> run(std::shared_ptr<PeerLink> self);
    static Task<> write_loop(std::shared_ptr<PeerLink> self, std::uint64_t connection);
    // Dials and greets; true when the other side let us in.
    static Task<bool> connect(std::shared_ptr<PeerLink> self);
    static Task<bool> greet(std::shared_ptr<PeerLink> self);
    // Returns when the connection is gone.
    static Task<> watch(std::shared_ptr<PeerLink> self);

    void arm_deadline(std::chrono::milliseconds after);
    void drop_connection();
    [[nodiscard]] std::chrono::milliseconds next_backoff();
    void say(const std::string& text);

    boost::asio::io_context& reactor_;
    PeerAddress address_;
    PeerIdentity identity_;
    Hooks hooks_;
    Metrics& metrics_;
    Prng jitter_;

    boost::asio::ip::tcp::socket socket_;
    boost::asio::ip::tcp::resolver resolver_;
    boost::asio::steady_timer deadline_;  // closes the socket: there is no other cancellation
    boost::asio::steady_timer pause_;     // between two dials
    std::string queued_;                  // frames not yet handed to the writer
    std::string writing_;
    std::string last_problem_;      // said once, not at each attempt
    std::uint64_t connection_ = 0;  // counts connections, so that an old writer ends
    std::uint32_t failures_ = 0;
    bool write_running_ = false;
    bool connected_ = false;
    bool stopped_ = false;
};

}  // namespace cairn::server::net
