// One connection to another member: dialled, kept, dialled again (docs/formats/peer.md).
// Owned by PeerHub; every method on the reactor's thread.
// Never queues without bound: what does not fit is dropped and the core told, since it repairs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/prng.h"
#include "raft/message.h"
#include "server/net/log_limit.h"
#include "server/net/metrics.h"
#include "server/net/task.h"

namespace cairn::server::net {

struct PeerEndpoint {
    std::string host;
    std::uint16_t port{};
};

// Another member and its peer addresses, which are dialled in turn.
struct PeerAddress {
    NodeId id;
    std::string host;
    std::uint16_t port{};
    std::vector<PeerEndpoint> alternatives{};
};

// Who this member is, for greetings.
struct PeerIdentity {
    ClusterId cluster;
    NodeId self;
};

// Frames queued or being written to one member, together.
inline constexpr std::size_t kPeerQueueBytesMax = 64U * 1024U * 1024U;

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
    // Queues the message. Dropped, and counted, while not connected; over kPeerQueueBytesMax the
    // connection is dropped with it, since the core would wait for answers to what is lost.
    void send(const raft::Message& message);
    // Sends what was queued since the last call.
    void flush();

    [[nodiscard]] bool connected() const { return connected_; }

  private:
    static Task<> run(std::shared_ptr<PeerLink> self);
    // Dials and greets; true when the other side let us in.
    static Task<bool> connect(std::shared_ptr<PeerLink> self);
    static Task<bool> dial(std::shared_ptr<PeerLink> self);
    static Task<bool> greet(std::shared_ptr<PeerLink> self);
    // Returns when the connection is gone.
    static Task<> watch(std::shared_ptr<PeerLink> self);

    [[nodiscard]] PeerEndpoint target() const;
    // A whole answer to the greeting ends the greeting: true when it lets us in.
    [[nodiscard]] bool check_reply(ByteView payload);
    void on_written(std::uint64_t connection, const boost::system::error_code& error,
                    std::size_t count);
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
    std::string queued_;                  // frames not yet being written
    std::string writing_;                 // the write under way, empty when there is none
    LogLimit said_;                       // since the last connection that lasted
    std::uint64_t connection_ = 0;        // counts connections, so that an old write ends
    std::size_t dials_failed_ = 0;        // chooses the address
    std::uint32_t failures_ = 0;          // since the last connection that lasted
    bool connected_ = false;
    bool stopped_ = false;
};

}  // namespace cairn::server::net
