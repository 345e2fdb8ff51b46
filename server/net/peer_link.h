// One connection to another member: dialled, kept, dialled again (docs/formats/peer.md).
// Owned by PeerHub; every method on the reactor's thread.
// Never queues without bound: what does not fit is dropped and the core told, since it repairs. But
// for proposals, which are nobody's to repair: who waits for one that is dropped hears no answer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/prng.h"
#include "raft/message.h"
#include "server/net/forward_queue.h"
#include "server/net/log_limit.h"
#include "server/net/metrics.h"
#include "server/net/task.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"

namespace cairn::server::net {

struct PeerEndpoint {
    std::string host;
    std::uint16_t port{};

    bool operator==(const PeerEndpoint&) const = default;
};

// Another member and its peer addresses, which are dialled in turn.
struct PeerAddress {
    NodeId id;
    std::string host;
    std::uint16_t port{};
    std::vector<PeerEndpoint> alternatives{};

    bool operator==(const PeerAddress&) const = default;
};

// Those of a member's peer URLs that can be dialled.
std::vector<PeerEndpoint> peer_endpoints(const std::vector<std::string>& urls);
// From a member's peer URLs; none when there is none that can be dialled.
std::optional<PeerAddress> peer_address(NodeId id, const std::vector<std::string>& urls);

// Who this member is, for greetings.
struct PeerIdentity {
    ClusterId cluster;
    NodeId self;
    // Where it is reached; all copies share it, since that may change while it runs. Never null.
    std::shared_ptr<std::vector<std::string>> peer_urls =
        std::make_shared<std::vector<std::string>>();
};

// Frames queued or being written to one member, together.
inline constexpr std::size_t kPeerQueueBytesMax = 64U * 1024U * 1024U;

class PeerLink : public std::enable_shared_from_this<PeerLink> {
  public:
    // `on_lost` is called each time queued or sent messages may be gone, but for stop(); `on_log`
    // for lines about the connection (level by meaning: connected, lost, refused). On a lane whose
    // other side answers, `on_answer` gets each frame and says whether to go on.
    struct Hooks {
        std::function<void(NodeId)> on_lost;
        std::function<void(NodeId, const std::string&)> on_log;
        std::function<void(NodeId)> on_connected{};
        std::function<bool(NodeId, ByteView)> on_answer{};
        // The other side says that this member is out for good; who is reached only where a
        // greeting said, and anybody can greet, is not believed.
        std::function<void()> on_removed = [] {};
    };
    PeerLink(boost::asio::io_context& reactor, PeerAddress address, PeerIdentity identity,
             Hooks hooks, Metrics& metrics);
    // Before start(). By default peer::Lane::kMessages.
    void set_lane(peer::Lane lane) { lane_ = lane; }

    void start();
    void stop();
    // Queues the message. Dropped, and counted, while not connected; over kPeerQueueBytesMax the
    // connection is dropped with it, since the core would wait for answers to what is lost.
    // Proposals let all others go first, and are dropped alone (forward_queue.h).
    void send(const raft::Message& message);
    // Queues a frame whose sender bounds what is on its way. Dropped while not connected.
    void send_frame(ByteView frame);
    // Sends what was queued since the last call.
    void flush();
    // Where the member says itself that it is, for when it is not where address() says.
    void dial_also(std::vector<PeerEndpoint> places) { told_places_ = std::move(places); }
    // Over a new connection, since the identity's URLs have changed.
    void greet_again() { drop_connection(); }

    [[nodiscard]] bool connected() const { return connected_; }
    [[nodiscard]] const PeerAddress& address() const { return address_; }

  private:
    static Task<> run(std::shared_ptr<PeerLink> self);
    // Dials and greets; true when the other side let us in.
    static Task<bool> connect(std::shared_ptr<PeerLink> self);
    static Task<bool> dial(std::shared_ptr<PeerLink> self);
    static Task<bool> greet(std::shared_ptr<PeerLink> self);
    // Returns when the connection is gone.
    static Task<> watch(std::shared_ptr<PeerLink> self);
    // Reads to the end of the connection, and says why it ended.
    static Task<std::string> listen(std::shared_ptr<PeerLink> self);
    // Passes on every whole frame; what is wrong with them, or nothing.
    std::string take_answers();

    [[nodiscard]] PeerEndpoint choose_target();
    // What it chooses from.
    [[nodiscard]] std::size_t place_count() const;
    void begin_with_another(std::vector<boost::asio::ip::tcp::endpoint>& found) const;
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
    std::vector<PeerEndpoint> told_places_;  // dialled in turn with the address; few, as a greeting
    PeerIdentity identity_;
    Hooks hooks_;
    Metrics& metrics_;
    peer::Lane lane_ = peer::Lane::kMessages;
    Prng jitter_;

    boost::asio::ip::tcp::socket socket_;
    boost::asio::steady_timer deadline_;  // closes the socket: there is no other cancellation
    boost::asio::steady_timer pause_;     // between two dials
    std::string queued_;                  // frames not yet being written
    ForwardQueue forwards_;               // proposals that go when the next write begins
    std::string writing_;                 // the write under way, empty when there is none
    peer::FrameReader heard_;             // of this connection, from the greeting on
    LogLimit said_;                       // since the last connection that lasted
    std::uint64_t connection_ = 0;        // counts connections, so that an old write ends
    std::size_t dials_failed_ = 0;        // chooses the address
    std::uint32_t failures_ = 0;          // since the last connection that lasted
    bool at_told_place_ = false;          // the address is one of told_places_
    bool connected_ = false;
    bool stopped_ = false;
};

}  // namespace cairn::server::net
