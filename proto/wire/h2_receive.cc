// The receiving half of H2Core: what the library calls while H2Session::feed runs.
#include <algorithm>
#include <array>
#include <utility>

#include "proto/wire/gzip.h"
#include "proto/wire/h2_core.h"

namespace cairn::wire {

namespace {

constexpr std::size_t kDebugBytesMax = 256;
constexpr std::size_t kRememberedHeaderBytesMax = 256;

constexpr std::size_t kDeflateRatioMax = 1032;  // zlib's technical notes

// Frame types and flags (RFC 9113 §6).
constexpr std::uint8_t kDataFrame = 0x0;
constexpr std::uint8_t kHeadersFrame = 0x1;
constexpr std::uint8_t kSettingsFrame = 0x4;
constexpr std::uint8_t kPingFrame = 0x6;
constexpr std::uint8_t kEndStreamFlag = 0x1;
constexpr std::uint8_t kAckFlag = 0x1;

GrpcCode code_of(Errc code) {
    return code == Errc::kMessageTooLarge ? GrpcCode::kResourceExhausted : GrpcCode::kInternal;
}

// RFC 9113 §8.2 and §8.3.1, as far as they guard what is kept of a header. What stands in
// :authority is the client's business: gRPC does not use it.
bool is_request_header(std::string_view name, std::string_view value) {
    constexpr std::array<std::string_view, 4> kPseudoHeaders{":method", ":path", ":scheme",
                                                             ":authority"};
    constexpr std::array<std::string_view, 5> kOfOneConnection{
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};
    const auto is_in = [name](const auto& names) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    const bool named = name.starts_with(':')
                           ? is_in(kPseudoHeaders)
                           : H2Library::is_header_name(name) && !is_in(kOfOneConnection);
    return named && H2Library::is_header_value(value);
}

// A connection's client says the same with every call: comparing is cheaper than copying.
void remember(std::string& kept, std::string_view value) {
    value = value.substr(0, kRememberedHeaderBytesMax);
    if (kept != value) {
        kept = value;
    }
}

// What may wait to be read by a peer. Of each stream an answer and a reset, or a window; of the
// connection little beside what it asked us to acknowledge.
std::size_t frames_max(const H2Limits& limits) {
    constexpr std::size_t kOwnFramesMax = 64;
    return 2 * std::size_t{limits.concurrent_streams_max} + limits.outbound_acks_max +
           kOwnFramesMax;
}

}  // namespace

Result<void> H2Core::feed(ByteView bytes) {
    if (failure_.has_value()) {
        return *failure_;
    }
    const Result<void> received = library_.receive(bytes);
    if (!received.has_value()) {
        const bool flooded = received.error().code == Errc::kTooManyRequests;
        give_up(flooded ? H2Code::kEnhanceYourCalm : H2Code::kProtocolError,
                received.error().detail);
    } else if (is_server() && !guard_.verdict().empty()) {
        give_up(H2Code::kEnhanceYourCalm, guard_.verdict());
    } else if (library_.queued_frames() > frames_max(limits_)) {
        give_up(H2Code::kEnhanceYourCalm, "too_many_unread_frames");
    }
    if (failure_.has_value()) {
        return *failure_;
    }
    return ok();
}

H2Core::~H2Core() {
    if (limits_.budget != nullptr) {
        limits_.budget->request_bytes -= partial_bytes_ + pending_bytes_;
        limits_.budget->streams -= streams_.size();
    }
}

void H2Core::give_up(H2Code code, std::string_view why) {
    if (failure_.has_value()) {
        return;
    }
    failure_ = Error{Errc::kProtocol, std::string(why)};
    library_.submit_goaway(code, why);
}

void H2Core::take_events(std::vector<StreamEvent>& events) {
    events.clear();
    events.swap(events_);
}

void H2Core::on_frame_begin(const FrameHead& head) {
    has_peer_settings_ = has_peer_settings_ || head.type == kSettingsFrame;
    if (head.type == kHeadersFrame) {
        // The library skips what is for a stream that is gone.
        if (is_server() && head.stream <= newest_stream_) {
            const H2Stream* const stream = streams_.find(head.stream);
            if (stream == nullptr || stream->dead) {
                guard_.on_idle_frame();
            }
        }
        return;
    }
    if (head.type == kDataFrame) {
        if (head.payload_bytes == 0 && (head.flags & kEndStreamFlag) == 0) {
            guard_.on_idle_frame();
        }
    } else if (head.type == kPingFrame && (head.flags & kAckFlag) == 0 && is_server()) {
        guard_.on_ping();
    } else {
        guard_.on_idle_frame();
    }
}

void H2Core::on_headers_begin(StreamId id, bool is_request) {
    if (is_server() && is_request) {
        H2Stream& stream = streams_.open(id);
        newest_stream_ = id;
        if (H2Budget* const budget = limits_.budget.get(); budget != nullptr) {
            ++budget->streams;
            if (budget->is_over_streams(streams_.size())) {
                ++budget->streams_refused;
                refuse_headers(stream, H2Code::kRefusedStream);
            }
        }
        return;
    }
    if (H2Stream* stream = streams_.find(id)) {
        stream->header_list_bytes = 0;
        if (!is_server() && !stream->started) {
            stream->response = ResponseHead{};  // what a 1xx said is forgotten
        }
    }
}

// A stream that we know of counts when it is closed.
void H2Core::on_headers_refused(StreamId id) {
    if (is_server() && streams_.find(id) == nullptr) {
        guard_.on_wasted_stream();
    }
}

bool H2Core::on_header(StreamId id, std::string_view name, std::string_view value) {
    H2Stream* stream = streams_.find(id);
    if (stream == nullptr || stream->dead) {
        return true;
    }
    stream->header_list_bytes += name.size() + value.size() + kHeaderOverheadBytes;
    if (stream->header_list_bytes > limits_.header_list_bytes_max) {
        refuse_headers(*stream, H2Code::kFrameSizeError);
        return false;
    }
    if (is_server() && !is_request_header(name, value)) {
        refuse_headers(*stream, H2Code::kProtocolError);
        return false;
    }
    if (!is_server()) {
        stream->response.add(name, value);
    } else if (name == "user-agent") {
        remember(user_agent_, value);
    } else if (name == "client-api-version") {
        remember(client_api_version_, value);
    } else if (!stream->started) {  // a request's trailers say nothing to gRPC
        stream->request.add(name, value);
    }
    return true;
}

void H2Core::refuse_headers(H2Stream& stream, H2Code code) {
    stream.dead = true;
    library_.submit_reset(stream.id, code);
}

void H2Core::on_headers_end(StreamId id, bool end_stream) {
    H2Stream* stream = streams_.find(id);
    if (stream == nullptr) {
        return;
    }
    if (stream->dead) {
        stream->remote_closed = stream->remote_closed || end_stream;
        return;
    }
    if (!is_server()) {
        on_response_head(*stream, end_stream);
        return;
    }
    if (!stream->started) {
        stream->remote_closed = end_stream;  // decides whether a refusal must reset the stream
        on_request_head(*stream);
    } else if (!end_stream) {
        refuse_headers(*stream, H2Code::kProtocolError);  // trailers are the last (RFC 9113 §8.1)
        return;
    }
    if (end_stream) {
        on_remote_end(*stream);
    }
}

void H2Core::on_request_head(H2Stream& stream) {
    RequestHead& head = stream.request;
    if (head.method == nullptr && head.path.empty()) {
        refuse_headers(stream, H2Code::kProtocolError);
        return;
    }
    if (const std::optional<EarlyAbort> abort = head.refusal()) {
        stream.dead = true;
        stream.finished = true;
        send_trailers_only(stream, abort->http_status, abort->status);
        return;
    }
    stream.started = true;
    RequestStarted event;
    event.stream = stream.id;
    event.method = head.method;
    event.path = std::move(head.path);
    event.token = head.token.empty() ? std::move(head.authorization) : std::move(head.token);
    event.timeout_ns = head.timeout_ns;
    event.has_leader = head.has_leader;
    event.native_snapshot = head.native_snapshot;
    events_.emplace_back(std::move(event));
}

void H2Core::on_response_head(H2Stream& stream, bool end_stream) {
    const ResponseHead& head = stream.response;
    if (end_stream) {
        stream.remote_closed = true;
        const bool cut = head.code == GrpcCode::kOk && !stream.deframer.at_boundary();
        end_response(stream,
                     cut ? GrpcStatus{GrpcCode::kInternal, "unexpected EOF"} : head.end_status());
        return;
    }
    const bool informational = head.http_status >= 100 && head.http_status < 200;
    if (stream.started || informational) {
        return;
    }
    stream.started = true;
    if (head.http_status != 200 || !head.content_type_ok) {
        end_response(stream, head.end_status());
        return;
    }
    events_.emplace_back(ResponseStarted{stream.id});
}

// Client: the last event of a call; whatever of the stream is left ends with it.
void H2Core::end_response(H2Stream& stream, GrpcStatus status, bool given_up) {
    const StreamId id = stream.id;
    stream.finished = true;
    stream.dead = true;
    events_.emplace_back(ResponseEnded{id, std::move(status), given_up});
    const bool local_closed = stream.ending && stream.out.bytes() == 0 && !stream.deferred;
    if (!stream.remote_closed || !local_closed) {
        reset(id, H2Code::kCancel);
    }
}

void H2Core::on_data(StreamId id, ByteView bytes) {
    H2Stream* stream = streams_.find(id);
    credit(stream, bytes.size());
    if (stream != nullptr && !stream->dead) {
        take_messages(*stream, bytes);
    }
}

// A peer with too much of ours unread, or too much unanswered, gets no new connection window: it is
// bounded by what it may still send of the present one. A held stream gets none of its own.
bool H2Core::holds_back() const {
    return queued_bytes_ > limits_.queued_bytes_max || pending_bytes_ > limits_.pending_bytes_max;
}

void H2Core::credit(H2Stream* stream, std::size_t bytes) {
    if (holds_back()) {
        withheld_bytes_ += bytes;
    } else {
        library_.credit_connection(bytes);
    }
    if (stream != nullptr && stream->held) {
        stream->withheld_bytes += bytes;
    } else if (stream != nullptr) {
        library_.credit_stream(stream->id, bytes);
    }
}

bool H2Core::release_connection_credit() {
    if (withheld_bytes_ == 0 || queued_bytes_ > limits_.queued_bytes_max / 2 ||
        pending_bytes_ > limits_.pending_bytes_max / 2) {
        return false;
    }
    library_.credit_connection(std::exchange(withheld_bytes_, 0));
    return true;
}

void H2Core::on_data_end(StreamId id) {
    if (H2Stream* stream = streams_.find(id)) {
        on_remote_end(*stream);
    }
}

void H2Core::take_messages(H2Stream& stream, ByteView bytes) {
    while (!bytes.empty() && !stream.dead) {
        Bytes message;
        const Result<bool> complete = next_message(stream, bytes, message);
        if (!complete.has_value()) {
            fail_call(stream, {code_of(complete.error().code), complete.error().detail});
            return;
        }
        if (stream.keeps_messages()) {
            stream.message_bytes += message.size();
        }
        recount(stream);
        if (const std::string_view reason = overdrawn(); !reason.empty()) {
            fail_call(stream, {GrpcCode::kResourceExhausted, std::string(reason)});
            return;
        }
        if (complete.value()) {
            stream.has_message = true;
            guard_.on_work_received();
            events_.emplace_back(Message{stream.id, std::move(message)});
        }
    }
}

Result<bool> H2Core::next_message(H2Stream& stream, ByteView& bytes, Bytes& message) {
    GrpcFrame frame;
    CAIRN_TRY(const bool complete, stream.deframer.next(bytes, limits_.message_bytes_max, frame));
    // An end inside of its prefix is told as such.
    const bool begun = complete || !stream.deframer.in_prefix();
    if (begun && stream.has_message && stream.keeps_messages()) {
        return Error{Errc::kMalformed, "a unary call takes one message, two came"};
    }
    if (!complete) {
        return false;
    }
    if (!frame.compressed) {
        message = std::move(frame.payload);
        return true;
    }
    const Encoding encoding = is_server() ? stream.request.encoding : stream.response.encoding;
    if (encoding != Encoding::kGzip) {
        return Error{Errc::kMalformed, "grpc: compressed flag set with identity or empty encoding"};
    }
    const ByteView compressed = frame.payload.view();
    Result<Bytes> inflated = gunzip(compressed, limits_.message_bytes_max);
    if (is_server()) {
        const std::size_t most =
            std::min(compressed.size() * kDeflateRatioMax, limits_.message_bytes_max);
        guard_.on_inflated(compressed.size(),
                           inflated.has_value() ? inflated.value().size() : most);
    }
    CAIRN_TRY(message, std::move(inflated));
    return true;
}

void H2Core::drop_request(H2Stream& stream) {
    stream.deframer.reset();
    stream.message_bytes = 0;
    recount(stream);
}

void H2Core::recount(H2Stream& stream) {
    const std::size_t held = stream.deframer.buffered_bytes() + stream.message_bytes;
    const std::size_t before = stream.partial_bytes + stream.pending_bytes;
    partial_bytes_ -= stream.partial_bytes;
    pending_bytes_ -= stream.pending_bytes;
    stream.partial_bytes = stream.remote_closed ? 0 : held;
    stream.pending_bytes = stream.remote_closed ? held : 0;
    partial_bytes_ += stream.partial_bytes;
    pending_bytes_ += stream.pending_bytes;
    if (limits_.budget != nullptr) {
        limits_.budget->request_bytes = limits_.budget->request_bytes - before + held;
    }
}

std::string_view H2Core::overdrawn() const {
    if (partial_bytes_ > limits_.partial_bytes_max) {
        return "too many bytes of unfinished messages on this connection";
    }
    H2Budget* const budget = limits_.budget.get();
    if (budget != nullptr && budget->is_over_bytes(partial_bytes_ + pending_bytes_)) {
        ++budget->requests_refused;
        return "too many bytes of unanswered requests on this server";
    }
    return {};
}

// The peer's bytes made the call impossible: end it for both sides.
void H2Core::fail_call(H2Stream& stream, GrpcStatus status) {
    drop_request(stream);
    if (!is_server()) {
        end_response(stream, std::move(status), true);
        return;
    }
    stream.dead = true;
    if (!stream.finished) {
        events_.emplace_back(StreamReset{stream.id, static_cast<std::uint32_t>(H2Code::kCancel)});
        send_trailers(stream.id, std::move(status));
    }
}

void H2Core::on_remote_end(H2Stream& stream) {
    stream.remote_closed = true;
    recount(stream);
    if (stream.dead) {
        return;
    }
    if (!is_server()) {
        end_response(stream, stream.response.end_status());
    } else if (!stream.deframer.at_boundary()) {
        // As etcd's gRPC server: the reader's error, which has no code.
        const char* const reason = stream.deframer.in_prefix() ? "EOF" : "unexpected EOF";
        fail_call(stream, {GrpcCode::kUnknown, reason});
    } else {
        events_.emplace_back(RemoteClosed{stream.id});
    }
}

void H2Core::on_stream_closed(StreamId id, std::uint32_t code) {
    H2Stream* stream = streams_.find(id);
    if (stream == nullptr) {
        return;
    }
    // Whoever makes us work and then takes it back pays for it; our own resets are no sign of it.
    if (code == static_cast<std::uint32_t>(H2Code::kNoError) || stream->reset_by_us) {
        guard_.on_finished_stream();
    } else {
        guard_.on_wasted_stream();
    }
    const bool known = !is_server() || stream->started;
    if (known && !stream->finished) {
        const auto refused = static_cast<std::uint32_t>(H2Code::kRefusedStream);
        events_.emplace_back(StreamReset{id, stream->never_sent ? refused : code});
    }
    queued_bytes_ -= stream->out.bytes();
    drop_request(*stream);
    streams_.close(id);
    if (limits_.budget != nullptr) {
        --limits_.budget->streams;
    }
}

void H2Core::on_goaway(StreamId last_stream, std::uint32_t code, std::string_view debug) {
    events_.emplace_back(
        GoAwayReceived{last_stream, code, std::string(debug.substr(0, kDebugBytesMax))});
}

void H2Core::on_pong(std::string_view opaque) {
    if (opaque == kShutdownPing) {
        send_final_goaway();
    } else {
        ++pongs_;
    }
}

}  // namespace cairn::wire
