// The sending half of H2Core: requests, answers, and what the library calls to write them.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/assert.h"
#include "proto/wire/deadline.h"
#include "proto/wire/h2_core.h"

namespace cairn::wire {

namespace {

constexpr std::size_t kStatusMessageBytesMax = 8 * 1024;
constexpr std::size_t kMetadataMax = 64;
constexpr std::size_t kRequestHeadersMax = 8;
static_assert(kMetadataMax + kRequestHeadersMax <= kHeadersMax);

constexpr Header kStatus200{":status", "200", true};
constexpr Header kContentType{"content-type", "application/grpc", true};

std::string_view http_status_text(int status) {
    switch (status) {
        case 400: return "400";
        case 405: return "405";
        case 415: return "415";
        default: return "200";
    }
}

Result<void> check_options(const RequestOptions& options) {
    if (options.metadata.size() > kMetadataMax) {
        return Error{Errc::kMalformed, "more than 64 metadata entries"};
    }
    if (!options.path.starts_with('/')) {
        return Error{Errc::kMalformed, "a method path begins with a slash"};
    }
    for (const std::string_view value : {options.path, options.authority, options.user_agent}) {
        if (!H2Library::is_header_value(value)) {
            return Error{Errc::kMalformed, "not a header value: " + std::string(value)};
        }
    }
    for (const auto& [name, value] : options.metadata) {
        if (!H2Library::is_header_name(name) || !H2Library::is_header_value(value)) {
            return Error{Errc::kMalformed, "not a header: " + std::string(name)};
        }
    }
    return ok();
}

}  // namespace

bool H2Core::take_output(std::string& out, std::size_t bytes_max) {
    const std::size_t end = out.size() + bytes_max;
    bool credited = false;
    do {
        // Before, too: what was answered or reset since made room without anything being sent.
        release_connection_credit();
        const Result<void> sent = library_.send(out, end);
        if (!sent.has_value() && !failure_.has_value()) {
            failure_ = sent.error();
        }
        // What just left may have made room: the peer must hear of it now, there may be no later.
        credited = release_connection_credit();
    } while (credited && wants_write() && out.size() < end);
    return wants_write();
}

bool H2Core::is_done() const {
    return (failure_.has_value() || !library_.wants_read()) && !library_.wants_write();
}

H2Stream* H2Core::sendable(StreamId id) const {
    H2Stream* stream = streams_.find(id);
    return stream == nullptr || stream->finished || stream->ending ? nullptr : stream;
}

bool H2Core::ensure_response(H2Stream& stream) {
    if (!stream.headers_sent) {
        const std::array<Header, 2> headers{kStatus200, kContentType};
        stream.headers_sent = library_.submit_response(stream.id, headers, true);
    }
    return stream.headers_sent;
}

void H2Core::resume_sending(H2Stream& stream) {
    if (stream.deferred) {
        stream.deferred = false;
        library_.resume_data(stream.id);
    }
}

bool H2Core::send_headers(StreamId id) {
    H2Stream* stream = sendable(id);
    return stream != nullptr && ensure_response(*stream);
}

template <class... Message>
bool H2Core::queue_message(StreamId id, Message&&... message) {
    H2Stream* stream = sendable(id);
    if (stream == nullptr || (is_server() && !ensure_response(*stream))) {
        return false;
    }
    const std::size_t before = stream->out.bytes();
    stream->out.push(std::forward<Message>(message)...);
    queued_bytes_ += stream->out.bytes() - before;
    resume_sending(*stream);
    return true;
}

bool H2Core::send_message(StreamId id, Bytes payload) {
    return queue_message(id, std::move(payload));
}

bool H2Core::send_message(StreamId id, ByteView payload, std::shared_ptr<const void> owner) {
    return queue_message(id, payload, std::move(owner));
}

bool H2Core::send_trailers(StreamId id, GrpcStatus status) {
    H2Stream* stream = sendable(id);
    if (stream == nullptr) {
        return false;
    }
    stream->finished = true;
    // Whoever answers has done with the request, however long the answer waits for its peer, and
    // nobody takes what still comes of it.
    stream->dead = true;
    drop_request(*stream);
    if (status.message.size() > kStatusMessageBytesMax) {
        status.message.resize(kStatusMessageBytesMax);
    }
    if (!stream->headers_sent) {
        send_trailers_only(*stream, 200, status);
        return true;
    }
    stream->ending = true;
    stream->end_status = std::move(status);
    resume_sending(*stream);
    return true;
}

void H2Core::send_trailers_only(H2Stream& stream, int http_status, const GrpcStatus& status) {
    const std::string message = encode_message(status.message);
    const std::array<Header, 4> headers{{
        {":status", http_status_text(http_status), true},
        kContentType,
        {"grpc-status", encode_code(status.code), true},
        {"grpc-message", message},
    }};
    const std::size_t count = message.empty() ? headers.size() - 1 : headers.size();
    stream.headers_sent = true;
    library_.submit_response(stream.id, std::span(headers).first(count), false);
}

void H2Core::send_queued_trailers(StreamId id) {
    H2Stream* stream = streams_.find(id);
    CAIRN_ASSERT(stream != nullptr);
    const std::string message = encode_message(stream->end_status.message);
    const std::array<Header, 2> headers{{
        {"grpc-status", encode_code(stream->end_status.code), true},
        {"grpc-message", message},
    }};
    const std::size_t count = message.empty() ? headers.size() - 1 : headers.size();
    library_.submit_trailers(id, std::span(headers).first(count));
}

bool H2Core::finish_sending(StreamId id) {
    H2Stream* stream = sendable(id);
    if (stream == nullptr) {
        return false;
    }
    stream->ending = true;
    resume_sending(*stream);
    return true;
}

bool H2Core::reset(StreamId id, H2Code code) {
    H2Stream* stream = streams_.find(id);
    if (stream == nullptr || stream->reset_by_us) {
        return false;
    }
    stream->finished = true;
    stream->dead = true;
    stream->reset_by_us = true;
    library_.submit_reset(id, code);
    return true;
}

void H2Core::hold_reading(StreamId id) {
    if (H2Stream* stream = streams_.find(id)) {
        stream->held = true;
    }
}

void H2Core::resume_reading(StreamId id) {
    H2Stream* stream = streams_.find(id);
    if (stream == nullptr || !stream->held) {
        return;
    }
    stream->held = false;
    library_.credit_stream(id, std::exchange(stream->withheld_bytes, 0));
}

Result<StreamId> H2Core::start_request(const RequestOptions& options) {
    CAIRN_TRY(check_options(options));
    if (failure_.has_value()) {
        return Error{Errc::kClosed, failure_->detail};
    }
    const std::string timeout =
        options.timeout_ns.has_value() ? format_timeout(*options.timeout_ns) : std::string();
    std::vector<Header> headers{
        {":method", "POST", true},
        {":scheme", options.scheme},
        {":path", options.path},
        {":authority", options.authority},
        kContentType,
        {"te", "trailers", true},
        {"user-agent", options.user_agent},
    };
    if (!timeout.empty()) {
        headers.push_back({"grpc-timeout", timeout});
    }
    for (const auto& [name, value] : options.metadata) {
        headers.push_back({name, value});
    }
    CAIRN_TRY(const StreamId id, library_.submit_request(headers));
    streams_.open(id);
    return id;
}

void H2Core::shutdown() {
    if (!is_server() || shutting_down_) {
        send_final_goaway();
        return;
    }
    // The client may have calls on the way to us: a first GOAWAY stops new ones, the answer to
    // the PING shows that it was read, and only then the real last id is known (RFC 9113 §6.8).
    shutting_down_ = true;
    library_.submit_shutdown_notice();
    library_.submit_ping(kShutdownPing);
}

void H2Core::send_final_goaway() {
    if (!final_goaway_) {
        final_goaway_ = true;
        library_.submit_goaway(H2Code::kNoError, {});
    }
}

void H2Core::ping() {
    guard_.on_ping_sent();
    library_.submit_ping(kProbePing);
}

void H2Core::on_work_sent(StreamId id, bool end_stream) {
    guard_.on_work_sent();
    if (!is_server() || !end_stream) {
        return;
    }
    // The call is over while the client still talks: tell it to stop (RFC 9113 §8.1).
    H2Stream* stream = streams_.find(id);
    if (stream != nullptr && !stream->remote_closed) {
        stream->reset_by_us = true;
        library_.submit_reset(id, H2Code::kNoError);
    }
}

void H2Core::on_error_goaway_sent() {
    if (limits_.budget != nullptr) {
        ++limits_.budget->sessions_ended;
    }
}

void H2Core::on_request_not_sent(StreamId id) {
    if (H2Stream* stream = streams_.find(id)) {
        stream->never_sent = true;
    }
}

DataPlan H2Core::plan_data(StreamId id, std::size_t size) {
    H2Stream* stream = streams_.find(id);
    CAIRN_ASSERT(stream != nullptr);
    const std::size_t queued = stream->out.bytes();
    DataPlan plan;
    plan.bytes = std::min(queued, size);
    plan.last = plan.bytes == queued && stream->ending;
    plan.trailers = plan.last && is_server();
    plan.wait = plan.bytes == 0 && !plan.last;
    stream->deferred = plan.wait;
    return plan;
}

void H2Core::move_data(StreamId id, std::size_t size, std::string& out) {
    H2Stream* stream = streams_.find(id);
    CAIRN_ASSERT(stream != nullptr);
    stream->out.copy_to(out, size);
    queued_bytes_ -= size;
}

}  // namespace cairn::wire
