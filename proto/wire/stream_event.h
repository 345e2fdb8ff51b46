// StreamEvent: what happened on an HTTP/2 session since the last look, in order.
// Values; handed from H2Session to whoever drives it, on the session's thread.
// Must never point into the session: an event may outlive its stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"

namespace cairn::wire {

// HTTP/2's own number; odd for requests, never used twice on a connection.
using StreamId = std::int32_t;

// Error codes of RST_STREAM and GOAWAY (RFC 9113 §7) that this project sends or looks for.
enum class H2Code : std::uint32_t {
    kNoError = 0x0,
    kProtocolError = 0x1,
    kInternalError = 0x2,
    kFlowControlError = 0x3,
    kStreamClosed = 0x5,
    kFrameSizeError = 0x6,
    kRefusedStream = 0x7,
    kCancel = 0x8,
    kEnhanceYourCalm = 0xb,
};

// What a client says beside Maintenance/Snapshot to get cairn's own format
// (docs/formats/snapshot.md).
inline constexpr std::string_view kSnapshotFormatHeader = "cairn-snapshot-format";
inline constexpr std::string_view kNativeSnapshot = "native";

// Server. A well-formed gRPC request began. Ends by send_trailers or reset from our side, or by
// a StreamReset event; exactly one of them.
struct RequestStarted {
    StreamId stream = 0;
    const GrpcMethod* method = nullptr;  // nullptr: not in the table; then `path` says what it was
    std::string path;                    // empty when `method` is known
    std::string token;                   // metadata token, else authorization, as it was sent
    std::optional<std::int64_t> timeout_ns;  // grpc-timeout, from the arrival of the headers
    bool has_leader = false;                 // metadata hasleader: true
    bool native_snapshot = false;            // metadata kSnapshotFormatHeader: kNativeSnapshot

    [[nodiscard]] std::string_view full_path() const {
        return method != nullptr ? method->path : std::string_view(path);
    }
};

// Both. One complete message, de-framed and inflated. A server gets one at the most of a call that
// takes one: what follows it ends the call.
struct Message {
    StreamId stream = 0;
    Bytes payload;
};

// Server. The client will send no more on this stream (half close).
struct RemoteClosed {
    StreamId stream = 0;
};

// Both. The stream is gone before its regular end: the peer reset it, or broke a rule on it, or
// (client) the server goes away and never looked at it (kRefusedStream: safe to send again).
struct StreamReset {
    StreamId stream = 0;
    std::uint32_t code = 0;  // an H2Code or one we have no name for
};

// Client. The server accepted the call; messages may follow.
struct ResponseStarted {
    StreamId stream = 0;
};

// Client. The call ended with this status. Nothing follows on this stream.
struct ResponseEnded {
    StreamId stream = 0;
    GrpcStatus status;
    bool given_up = false;  // by us: the answer was too large or malformed, the status is our own
};

// Both. The peer will accept no new streams above `last_stream`.
struct GoAwayReceived {
    StreamId last_stream = 0;
    std::uint32_t code = 0;
    std::string debug;  // the peer's own words, at most 256 bytes
};

using StreamEvent = std::variant<RequestStarted, Message, RemoteClosed, StreamReset,
                                 ResponseStarted, ResponseEnded, GoAwayReceived>;

}  // namespace cairn::wire
