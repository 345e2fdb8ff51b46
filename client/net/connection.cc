#include "client/net/connection.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "base/find_host.h"

namespace cairn::client {
namespace {

using boost::asio::ip::tcp;

constexpr std::size_t kWriteBytes = 256 * 1024;
// etcd's servers end a connection that pings more often (--grpc-keepalive-min-time).
constexpr std::chrono::seconds kAskInterval{5};

wire::H2Limits limits_for(const ChannelOptions& options) {
    wire::H2Limits limits;
    limits.message_bytes_max = options.answer_bytes_max;
    limits.partial_bytes_max = std::max(options.answer_bytes_max, limits.partial_bytes_max);
    return limits;
}

// No later than there is time.
TimePoint later(TimePoint begin, std::chrono::nanoseconds time) {
    return time < TimePoint::max() - begin ? begin + time : TimePoint::max();
}

std::int64_t remaining_ns(TimePoint deadline) {
    const auto left = deadline - std::chrono::steady_clock::now();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
}

std::string dial_failure(const boost::system::error_code& error) {
    if (error == boost::asio::error::operation_aborted) {
        return "i/o timeout";
    }
    return error == boost::asio::error::connection_refused ? "connection refused" : error.message();
}

}  // namespace

Connection::Connection(boost::asio::io_context& io, Endpoint endpoint,
                       const ChannelOptions& options, ConnectionHooks hooks)
    : endpoint_(std::move(endpoint)),
      options_(options),
      authority_(endpoint_.authority()),
      hooks_(std::move(hooks)),
      socket_(io),
      dial_timer_(io),
      stream_timer_(io),
      writer_wake_(io) {}

void Connection::open() {
    spawn(socket_.get_executor(), watch_dial(shared_from_this()), "client dial watchdog");
    spawn(socket_.get_executor(), run(shared_from_this()), "client connection");
}

Task<> Connection::watch_dial(std::shared_ptr<Connection> self) {
    self->dial_timer_.expires_after(self->options_.dial_timeout);
    const auto [error] = co_await self->dial_timer_.async_wait(kTask);
    if (!error && !self->ready_ && !self->closed_) {
        self->fail(fmt::format("dial tcp {}: i/o timeout", self->authority_));
    }
}

Task<boost::system::error_code> Connection::reach(std::shared_ptr<Connection> self,
                                                  tcp::endpoint endpoint,
                                                  std::chrono::nanoseconds share) {
    boost::system::error_code ignored;
    self->socket_.close(ignored);
    boost::asio::steady_timer turn(self->socket_.get_executor(), share);
    const auto under_way = std::make_shared<bool>(true);
    turn.async_wait([self, under_way](const boost::system::error_code& error) {
        if (!error && *under_way) {
            boost::system::error_code unheard;
            self->socket_.close(unheard);
        }
    });
    const auto [error] = co_await self->socket_.async_connect(endpoint, kTask);
    *under_way = false;
    co_return error;
}

Task<bool> Connection::dial(std::shared_ptr<Connection> self) {
    const auto endpoints =
        co_await find_host(self->endpoint_.host, self->endpoint_.port, self->options_.dial_timeout);
    if (self->closed_) {
        co_return false;
    }
    if (endpoints.has_error()) {
        self->dial_error_ = "dial tcp: " + endpoints.error().detail;
        co_return false;
    }
    // An address that does not even refuse must leave time for the next.
    auto left = static_cast<std::int64_t>(endpoints.value().size());
    for (const tcp::endpoint& endpoint : endpoints.value()) {
        const auto time = self->dial_timer_.expiry() - std::chrono::steady_clock::now();
        const auto error = co_await reach(self, endpoint, time / left--);
        if (self->closed_) {
            co_return false;
        }
        if (!error) {
            boost::system::error_code ignored;
            self->socket_.set_option(tcp::no_delay(true), ignored);
            co_return true;
        }
        self->dial_error_ = fmt::format("dial tcp {}: {}", self->authority_, dial_failure(error));
    }
    co_return false;
}

bool Connection::begin_session() {
    auto session = wire::H2Session::create(wire::Role::kClient, limits_for(options_));
    if (!session) {
        return false;
    }
    session_.emplace(std::move(session.value()));
    return true;
}

Task<> Connection::run(std::shared_ptr<Connection> self) {
    const bool connected = co_await dial(self);
    if (self->closed_) {
        co_return;
    }
    if (!connected || !self->begin_session()) {
        self->fail(self->dial_error_);
        co_return;
    }
    spawn(self->socket_.get_executor(), write_all(self), "client writer");
    co_await read_all(self);
}

Task<> Connection::read_all(std::shared_ptr<Connection> self) {
    while (!self->closed_) {
        const auto [error, count] =
            co_await self->socket_.async_read_some(boost::asio::buffer(self->input_), kTask);
        if (self->closed_) {
            co_return;
        }
        if (error) {
            self->fail(error == boost::asio::error::eof ? "the server closed the connection"
                                                        : error.message());
            co_return;
        }
        const auto fed = self->session_->feed(ByteView(self->input_.data(), count));
        self->take_events();
        if (!fed && !self->closed_) {
            self->fail(fed.error().detail);
            co_return;
        }
        self->heard_at_ = std::chrono::steady_clock::now();
        self->wake_writer();
    }
}

Task<> Connection::write_all(std::shared_ptr<Connection> self) {
    std::string output;
    while (!self->closed_) {
        output.clear();
        self->session_->take_output(output, kWriteBytes);
        // A call that could not leave any more is told here.
        self->take_events();
        if (!output.empty() && !self->closed_) {
            const auto [error, count] = co_await boost::asio::async_write(
                self->socket_, boost::asio::buffer(output), kTask);
            static_cast<void>(count);
            if (error && !self->closed_) {
                self->fail(error.message());
            }
            continue;
        }
        const bool was_ready = self->ready_;
        self->on_written();
        if (self->closed_ || self->ready_ != was_ready) {
            continue;
        }
        self->writer_wake_.expires_at(TimePoint::max());
        // It ends by cancel(), in wake_writer or close.
        [[maybe_unused]] const auto [woken] = co_await self->writer_wake_.async_wait(kTask);
    }
}

void Connection::on_written() {
    if (closed_) {
        return;
    }
    if (session_->is_done()) {
        fail("the server broke the rules of HTTP/2");
    } else if (session_->has_peer_settings() && !ready_) {
        ready_ = true;
        dial_timer_.cancel();
        hooks_.on_ready();
    }
}

void Connection::ping() {
    asked_at_ = std::chrono::steady_clock::now();
    session_->ping();
    wake_writer();
}

void Connection::wake_writer() { writer_wake_.cancel(); }

bool Connection::start(const CallPtr& call) {
    if (closed_ || draining_ || !session_) {
        return false;
    }
    wire::RequestOptions options;
    options.path = wire::method_info(call->request.method).path;
    options.authority = authority_;
    if (call->request.deadline != TimePoint::max()) {
        options.timeout_ns = std::max<std::int64_t>(remaining_ns(call->request.deadline), 1);
    }
    if (call->request.stream != nullptr) {
        const auto& metadata = call->request.stream->metadata;
        options.metadata.assign(metadata.begin(), metadata.end());
    }
    const auto stream = session_->start_request(options);
    if (!stream) {
        drain();
        return false;
    }
    session_->send_message(stream.value(), call->request.message);
    session_->finish_sending(stream.value());
    if (call->request.stream != nullptr) {
        session_->hold_reading(stream.value());
    }
    call->stream = stream.value();
    call->started = std::chrono::steady_clock::now();
    call->connection = weak_from_this();
    calls_.emplace(stream.value(), call);
    if (call->request.stream != nullptr && !std::exchange(watching_streams_, true)) {
        spawn(socket_.get_executor(), watch_streams(shared_from_this()), "client stream watchdog");
    }
    wake_writer();
    return true;
}

void Connection::cancel(const Call& call) {
    if (closed_ || calls_.erase(call.stream) == 0) {
        return;
    }
    session_->reset(call.stream, wire::H2Code::kCancel);
    wake_writer();
    end_if_drained();
}

void Connection::credit(const Call& call) {
    if (closed_ || !calls_.contains(call.stream)) {
        return;
    }
    session_->resume_reading(call.stream);
    session_->hold_reading(call.stream);
    wake_writer();
}

void Connection::drain() {
    draining_ = true;
    end_if_drained();
}

void Connection::ask_for_life() {
    const bool asked_already = heard_at_ < asked_at_;
    if (closed_ || draining_ || asked_already ||
        std::chrono::steady_clock::now() - asked_at_ < kAskInterval) {
        return;
    }
    ping();
    spawn(socket_.get_executor(), watch_silence(shared_from_this()), "client silence watchdog");
}

Task<> Connection::watch_silence(std::shared_ptr<Connection> self) {
    self->dial_timer_.expires_after(self->options_.dial_timeout);
    const auto [error] = co_await self->dial_timer_.async_wait(kTask);
    if (!error && !self->closed_ && !self->draining_ && self->heard_at_ < self->asked_at_) {
        self->hooks_.on_draining();
        self->drain();
    }
}

bool Connection::has_streams() const {
    return std::any_of(calls_.begin(), calls_.end(),
                       [](const auto& call) { return call.second->request.stream != nullptr; });
}

Task<> Connection::watch_streams(std::shared_ptr<Connection> self) {
    bool asked = false;
    while (!self->closed_ && self->has_streams()) {
        if (asked && self->heard_at_ < self->asked_at_) {
            self->fail("the server says nothing any more");
            break;
        }
        const TimePoint ask_at = later(self->heard_at_, self->options_.keepalive_time);
        asked = ask_at <= std::chrono::steady_clock::now();
        if (asked) {
            self->ping();
            self->stream_timer_.expires_after(self->options_.keepalive_timeout);
        } else {
            self->stream_timer_.expires_at(ask_at);
        }
        [[maybe_unused]] const auto [ended] = co_await self->stream_timer_.async_wait(kTask);
    }
    self->watching_streams_ = false;
}

void Connection::close() {
    closed_ = true;
    calls_.clear();
    dial_timer_.cancel();
    stream_timer_.cancel();
    writer_wake_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

void Connection::fail(const std::string& why) {
    auto calls = std::move(calls_);
    close();
    const wire::GrpcStatus status{wire::GrpcCode::kUnavailable,
                                  fmt::format("connection error: {}", why)};
    for (const auto& [stream, call] : calls) {
        hooks_.on_result(call, {status, {}, true});
    }
    hooks_.on_closed(why);
}

void Connection::take_events() {
    session_->take_events(events_);
    for (wire::StreamEvent& event : events_) {
        if (closed_) {
            return;
        }
        on_event(event);
    }
    end_if_drained();
}

// At once: a writer that is stuck, because the server reads no more, would never come to it.
void Connection::end_if_drained() {
    if (draining_ && calls_.empty() && !closed_) {
        fail("the server went away");
    }
}

void Connection::on_event(wire::StreamEvent& event) {
    if (auto* message = std::get_if<wire::Message>(&event)) {
        on_message(*message);
    } else if (auto* ended = std::get_if<wire::ResponseEnded>(&event)) {
        end_call(ended->stream, {.status = std::move(ended->status),
                                 .message = {},
                                 .sent = true,
                                 .torn = ended->given_up});
    } else if (const auto* reset = std::get_if<wire::StreamReset>(&event)) {
        const bool refused =
            reset->code == static_cast<std::uint32_t>(wire::H2Code::kRefusedStream);
        end_call(reset->stream, {.status = wire::status_of_reset(reset->code),
                                 .message = {},
                                 .sent = !refused,
                                 .torn = true});
    } else if (std::holds_alternative<wire::GoAwayReceived>(event) && !draining_) {
        draining_ = true;
        if (ready_) {
            hooks_.on_draining();
        }
    }
}

void Connection::on_message(wire::Message& message) {
    const auto found = calls_.find(message.stream);
    if (found == calls_.end()) {
        return;
    }
    if (const auto& stream = found->second->request.stream; stream != nullptr) {
        stream->on_message(std::move(message.payload));
        return;
    }
    if (found->second->has_answer) {
        session_->reset(message.stream, wire::H2Code::kCancel);
        end_call(message.stream,
                 {.status = {wire::GrpcCode::kInternal, "more than one answer to a unary call"},
                  .message = {},
                  .sent = true,
                  .torn = true});
        return;
    }
    found->second->has_answer = true;
    found->second->answer = std::move(message.payload);
}

void Connection::end_call(wire::StreamId stream, CallResult result) {
    const auto found = calls_.find(stream);
    if (found == calls_.end()) {
        return;
    }
    const CallPtr call = std::move(found->second);
    calls_.erase(found);
    if (result.status.is_ok() && !call->has_answer && call->request.stream == nullptr) {
        result.status = {wire::GrpcCode::kInternal, "the call ended without an answer"};
    }
    result.message = std::move(call->answer);
    hooks_.on_result(call, std::move(result));
}

}  // namespace cairn::client
