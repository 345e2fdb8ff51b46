#include "tests/unit/client/fake_server.h"

#include <array>
#include <map>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace cairn::client {
namespace {

using boost::asio::ip::tcp;

// One accepted connection; callbacks, so that this shares nothing with the client's coroutines.
class Peer : public std::enable_shared_from_this<Peer> {
  public:
    Peer(tcp::socket socket, std::size_t number, const FakeServer::Handler& handler)
        : socket_(std::move(socket)),
          number_(number),
          handler_(handler),
          session_(std::move(wire::H2Session::create(wire::Role::kServer, {}).value())) {}

    void read() {
        write();
        socket_.async_read_some(
            boost::asio::buffer(input_),
            [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
                if (!error && self->session_.feed(ByteView(self->input_.data(), count))) {
                    self->handle_events();
                    self->frozen_ ? self->hold_open() : self->read();
                }
            });
    }

  private:
    // Until the server ends.
    void hold_open() {
        socket_.async_wait(tcp::socket::wait_error,
                           [self = shared_from_this()](boost::system::error_code) {});
    }

    void write() {
        std::string output;
        while (session_.take_output(output)) {
        }
        boost::system::error_code ignored;
        if (!output.empty()) {
            boost::asio::write(socket_, boost::asio::buffer(output), ignored);
        }
    }

    void handle_events() {
        std::vector<wire::StreamEvent> events;
        session_.take_events(events);
        for (wire::StreamEvent& event : events) {
            if (auto* started = std::get_if<wire::RequestStarted>(&event)) {
                requests_[started->stream] = {std::string(started->full_path()),
                                              {},
                                              started->timeout_ns,
                                              number_,
                                              started->native_snapshot};
            } else if (auto* message = std::get_if<wire::Message>(&event)) {
                requests_[message->stream].message = message->payload.view();
            } else if (auto* closed = std::get_if<wire::RemoteClosed>(&event)) {
                reply(closed->stream, handler_(requests_[closed->stream]));
            }
        }
    }

    void reply(wire::StreamId stream, const FakeReply& reply) {
        switch (reply.kind) {
            case FakeReply::Kind::kSilence: return;
            case FakeReply::Kind::kReset: session_.reset(stream, reply.reset_code); return;
            case FakeReply::Kind::kClose: socket_.close(); return;
            case FakeReply::Kind::kGoAway: session_.shutdown(); break;
            case FakeReply::Kind::kFreeze:
            case FakeReply::Kind::kAnswer: break;
        }
        for (const std::string& message : reply.stream) {
            session_.send_message(stream, ByteView(message));
        }
        if (reply.kind == FakeReply::Kind::kFreeze) {
            write();
            frozen_ = true;
            return;
        }
        if (reply.status.is_ok() && reply.stream.empty()) {
            session_.send_message(stream, ByteView(reply.message));
        }
        session_.send_trailers(stream, reply.status);
    }

    tcp::socket socket_;
    const std::size_t number_;
    const FakeServer::Handler& handler_;
    wire::H2Session session_;
    std::map<wire::StreamId, FakeRequest> requests_;
    std::array<char, 16384> input_{};
    bool frozen_ = false;
};

}  // namespace

class FakeServer::Impl : public std::enable_shared_from_this<Impl> {
  public:
    explicit Impl(Handler handler)
        : handler_(std::move(handler)),
          acceptor_(io_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {}

    void start() {
        accept();
        thread_ = std::thread([this] { io_.run(); });
    }

    void stop() {
        io_.stop();
        thread_.join();
    }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  private:
    void accept() {
        acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
            if (!error) {
                std::make_shared<Peer>(std::move(socket), ++accepted_, handler_)->read();
                accept();
            }
        });
    }

    const Handler handler_;
    boost::asio::io_context io_{1};
    tcp::acceptor acceptor_;
    std::size_t accepted_ = 0;
    std::thread thread_;
};

FakeServer::FakeServer(Handler handler) : impl_(std::make_shared<Impl>(std::move(handler))) {
    impl_->start();
}

FakeServer::~FakeServer() { impl_->stop(); }

std::string FakeServer::endpoint() const { return fmt::format("127.0.0.1:{}", impl_->port()); }

std::string dead_endpoint() {
    boost::asio::io_context io;
    // A port that was free a moment ago; nobody else is told of it.
    const tcp::acceptor acceptor(io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    return fmt::format("127.0.0.1:{}", acceptor.local_endpoint().port());
}

}  // namespace cairn::client
