#include "process/h2_client.h"

#include <array>
#include <variant>

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>

#include "process/process_cluster.h"

namespace cairn::process {
namespace {

// Of one answer, and of all unfinished ones together.
constexpr std::size_t kAnswerBytesMax = 256U << 20U;

wire::H2Session make_session() {
    wire::H2Limits limits;
    limits.message_bytes_max = kAnswerBytesMax;
    limits.partial_bytes_max = kAnswerBytesMax;
    auto session = wire::H2Session::create(wire::Role::kClient, limits);
    if (session.has_error()) {
        throw Failure{"no HTTP/2 session: " + to_string(session.error())};
    }
    return std::move(session).value();
}

}  // namespace

H2Client::H2Client(const std::string& endpoint) : session_(make_session()) {
    const std::size_t colon = endpoint.rfind(':');
    boost::asio::ip::tcp::resolver resolver(io_);
    boost::asio::connect(socket_,
                         resolver.resolve(endpoint.substr(0, colon), endpoint.substr(colon + 1)));
    flush();
}

void H2Client::flush() {
    std::string out;
    while (session_.take_output(out)) {
    }
    boost::asio::write(socket_, boost::asio::buffer(out));
}

wire::StreamId H2Client::call(const std::string& path, const std::string& request,
                              std::optional<std::int64_t> timeout_ns, Metadata metadata) {
    wire::RequestOptions options;
    options.path = path;
    options.authority = "test";
    options.timeout_ns = timeout_ns;
    options.metadata = std::move(metadata);
    const auto stream = session_.start_request(options);
    if (stream.has_error()) {
        throw Failure{"no new call: " + to_string(stream.error())};
    }
    session_.send_message(stream.value(), ByteView(request));
    session_.finish_sending(stream.value());
    answers_[stream.value()];
    flush();
    return stream.value();
}

void H2Client::reset(wire::StreamId stream) {
    session_.reset(stream, wire::H2Code::kCancel);
    answers_.erase(stream);
    flush();
}

void H2Client::read_until_ended(std::size_t count) {
    while (ended_ < count && !closed_) {
        read_once();
    }
}

void H2Client::read_once() {
    std::array<char, 65536> buffer{};
    boost::system::error_code error;
    const std::size_t size = socket_.read_some(boost::asio::buffer(buffer), error);
    if (error) {
        closed_ = true;
        return;
    }
    if (session_.feed(ByteView(buffer.data(), size)).has_error()) {
        closed_ = true;
    }
    std::vector<wire::StreamEvent> events;
    session_.take_events(events);
    for (auto& event : events) {
        if (const auto* message = std::get_if<wire::Message>(&event)) {
            answers_[message->stream].message = std::string(message->payload.view());
        } else if (auto* ended = std::get_if<wire::ResponseEnded>(&event)) {
            answers_[ended->stream].status = std::move(ended->status);
            ++ended_;
        } else if (auto* goaway = std::get_if<wire::GoAwayReceived>(&event)) {
            goaway_ = std::move(goaway->debug);
        } else if (const auto* reset = std::get_if<wire::StreamReset>(&event)) {
            answers_[reset->stream].status =
                wire::GrpcStatus{wire::GrpcCode::kInternal, "the stream was reset"};
            ++ended_;
        }
    }
    boost::system::error_code ignored;
    std::string out;
    while (session_.take_output(out)) {
    }
    boost::asio::write(socket_, boost::asio::buffer(out), ignored);
}

}  // namespace cairn::process
