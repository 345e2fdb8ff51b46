#include "server/net/peer_session.h"

#include <chrono>
#include <utility>

#include <boost/asio/write.hpp>

#include "server/net/accepted_socket.h"
#include "server/peer/peer_codec.h"
#include "server/peer/snapshot_codec.h"

namespace cairn::server::net {
namespace {

constexpr std::chrono::seconds kGreetingTimeout{2};
constexpr std::size_t kReadBytes = 256U * 1024U;

}  // namespace

PeerSession::PeerSession(boost::asio::ip::tcp::socket socket, NodeId self,
                         std::shared_ptr<const Hooks> hooks, Metrics& metrics)
    : socket_(std::move(socket)),
      self_(self),
      hooks_(std::move(hooks)),
      metrics_(metrics),
      deadline_(socket_.get_executor()),
      // A stranger may send a greeting and no more.
      reader_(peer::kHelloBytesMax),
      buffer_(4096, '\0') {}

void PeerSession::start() {
    spawn(socket_.get_executor(), run(shared_from_this()), "peer session");
}

void PeerSession::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    deadline_.cancel();
}

Task<> PeerSession::run(std::shared_ptr<PeerSession> self) {
    boost::system::error_code ignored;
    self->socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
    guard_accepted(self->socket_);
    self->arm_deadline();
    const bool welcomed = co_await welcome(self);
    self->deadline_.cancel();
    if (welcomed) {
        self->buffer_.resize(kReadBytes);
        bool open = true;
        while (open && self->socket_.is_open() && self->deliver()) {
            open = co_await read_more(self);
        }
        self->hooks_->on_closed(self);
    }
    self->close();
}

Task<bool> PeerSession::read_more(std::shared_ptr<PeerSession> self) {
    auto [error, count] =
        co_await self->socket_.async_read_some(boost::asio::buffer(self->buffer_), kTask);
    self->reader_.feed(ByteView(self->buffer_.data(), count));
    self->metrics_.peer_bytes_received += count;
    co_return !error;
}

Task<std::string> PeerSession::read_greeting(std::shared_ptr<PeerSession> self) {
    std::string greeting;
    while (true) {
        const bool open = co_await read_more(self);
        const auto payload = self->reader_.next();
        if (payload.has_error() || (!open && !payload.value().has_value())) {
            break;  // not a peer at all: a port scan, a client on the wrong port
        }
        if (payload.value().has_value()) {
            // A member waits for the answer before it goes on.
            if (self->reader_.at_end()) {
                greeting = std::string(*payload.value());
            }
            break;
        }
    }
    co_return greeting;
}

Task<bool> PeerSession::welcome(std::shared_ptr<PeerSession> self) {
    const std::string greeting = co_await read_greeting(self);
    const auto hello = peer::decode_hello(greeting);
    if (greeting.empty() || hello.has_error()) {
        co_return false;
    }
    self->from_ = hello.value().from;
    self->lane_ = static_cast<peer::Lane>(hello.value().lane);
    const peer::HelloReply reply = self->hooks_->on_hello(hello.value());
    const bool stays = reply.accepted && !hello.value().ask_members;
    if (!reply.accepted) {
        self->say("refused: " + reply.reason);
    } else if (stays) {
        self->hooks_->on_greeted(self);
    }
    std::string frame;
    peer::append_frame(peer::encode_hello_reply(reply), frame);
    auto [error, written] =
        co_await boost::asio::async_write(self->socket_, boost::asio::buffer(frame), kTask);
    self->reader_ = self->lane_ == peer::Lane::kSnapshots
                        ? peer::FrameReader(peer::kSnapshotFrameBytesMax)
                        : peer::FrameReader();
    if (stays && error) {
        self->hooks_->on_closed(self);
    }
    co_return !error && stays;
}

bool PeerSession::deliver() {
    while (true) {
        const auto payload = reader_.next();
        if (payload.has_error()) {
            say(to_string(payload.error()));
            return false;
        }
        if (!payload.value().has_value()) {
            return true;
        }
        const bool good = lane_ == peer::Lane::kSnapshots ? deliver_snapshot(*payload.value())
                                                          : deliver_message(*payload.value());
        if (!good) {
            return false;
        }
    }
}

bool PeerSession::deliver_message(ByteView payload) {
    auto message = peer::decode_message(payload);
    if (message.has_error() || message.value().from != from_ || message.value().to != self_) {
        say(message.has_error() ? to_string(message.error())
                                : std::string("message for or from somebody else"));
        return false;
    }
    if (message.value().kind() == raft::MessageKind::kInstallSnapshot) {
        // It says that the files are here: nobody but this member can know.
        say("a snapshot without its files");
        return false;
    }
    hooks_->on_message(std::move(message).value());
    return true;
}

bool PeerSession::deliver_snapshot(ByteView payload) {
    auto message = peer::decode_snapshot_message(payload);
    const bool offers =
        message.has_value() && (std::holds_alternative<SnapshotOffer>(message.value()) ||
                                std::holds_alternative<SnapshotChunk>(message.value()));
    if (!offers || !hooks_->on_snapshot) {
        say(message.has_error() ? to_string(message.error())
                                : std::string("nothing that is wanted of who dialled"));
        return false;
    }
    hooks_->on_snapshot(from_, std::move(message).value());
    return true;
}

void PeerSession::send_frame(ByteView frame) {
    queued_.append(frame);
    if (writing_.empty()) {
        write();
    }
}

void PeerSession::write() {
    std::swap(writing_, queued_);
    boost::asio::async_write(
        socket_, boost::asio::buffer(writing_),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t count) {
            self->metrics_.peer_bytes_sent += count;
            self->writing_.clear();
            if (error) {
                self->close();
            } else if (!self->queued_.empty()) {
                self->write();
            }
        });
}

void PeerSession::arm_deadline() {
    deadline_.expires_after(kGreetingTimeout);
    deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self != nullptr) {
            self->close();
        }
    });
}

void PeerSession::say(const std::string& text) const { hooks_->on_log(from_, text); }

}  // namespace cairn::server::net
