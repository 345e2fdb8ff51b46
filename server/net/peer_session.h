// One connection from another member: greeted, then a stream of its messages.
// Lives as long as its coroutine; on the reactor's thread.
// Never passes on a message from anybody but the member that greeted.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "raft/message.h"
#include "server/net/metrics.h"
#include "server/net/peer_link.h"
#include "server/net/task.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"
#include "server/replica/snapshot_message.h"

namespace cairn::server::net {

class PeerSession : public std::enable_shared_from_this<PeerSession> {
  public:
    struct Hooks {
        // What a greeting is answered with.
        std::function<peer::HelloReply(const peer::Hello&)> on_hello;
        // Let in: from() is its member.
        std::function<void(const std::shared_ptr<PeerSession>&)> on_greeted;
        std::function<void(raft::Message)> on_message;
        std::function<void(NodeId, const std::string&)> on_log;
        std::function<void(NodeId, SnapshotMessage)> on_snapshot;
        // Greeted, and ended.
        std::function<void(const std::shared_ptr<PeerSession>&)> on_closed;
    };
    // `self`: to whom all messages must be.
    PeerSession(boost::asio::ip::tcp::socket socket, NodeId self,
                std::shared_ptr<const Hooks> hooks, Metrics& metrics);

    void start();
    void close();
    // Sends a frame, on a lane where this side answers. Few and small: they are not bounded here.
    void send_frame(ByteView frame);
    [[nodiscard]] NodeId from() const { return from_; }
    [[nodiscard]] peer::Lane lane() const { return lane_; }

  private:
    static Task<> run(std::shared_ptr<PeerSession> self);
    static Task<bool> welcome(std::shared_ptr<PeerSession> self);
    // The first frame; empty when there was none.
    static Task<std::string> read_greeting(std::shared_ptr<PeerSession> self);
    // Reads once more; false when the connection has ended.
    static Task<bool> read_more(std::shared_ptr<PeerSession> self);
    // Passes on everything complete; false when the stream is broken.
    bool deliver();
    bool deliver_message(ByteView payload);
    bool deliver_snapshot(ByteView payload);
    void write();
    void arm_deadline();
    void say(const std::string& text) const;

    boost::asio::ip::tcp::socket socket_;
    NodeId self_;
    std::shared_ptr<const Hooks> hooks_;
    Metrics& metrics_;
    boost::asio::steady_timer deadline_;
    NodeId from_;
    peer::Lane lane_ = peer::Lane::kMessages;
    peer::FrameReader reader_;
    std::string buffer_;
    std::string queued_;   // frames not yet being written
    std::string writing_;  // the write under way, empty when there is none
};

}  // namespace cairn::server::net
