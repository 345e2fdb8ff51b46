// GrpcStatus: how a call ended, and its text form in the trailers grpc-status and grpc-message.
// Values and pure functions; any thread.
// Must never decide which code an Errc of the server has: that is server/api/api_error alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::wire {

// The closed list of gRPC (doc/statuscodes.md of the gRPC specification); the values are the wire.
enum class GrpcCode : std::uint8_t {
    kOk = 0,
    kCancelled = 1,
    kUnknown = 2,
    kInvalidArgument = 3,
    kDeadlineExceeded = 4,
    kNotFound = 5,
    kAlreadyExists = 6,
    kPermissionDenied = 7,
    kResourceExhausted = 8,
    kFailedPrecondition = 9,
    kAborted = 10,
    kOutOfRange = 11,
    kUnimplemented = 12,
    kInternal = 13,
    kUnavailable = 14,
    kDataLoss = 15,
    kUnauthenticated = 16,
};

// The name as the Go implementation prints it ("ResourceExhausted"), for logs and the CLI.
std::string_view grpc_code_name(GrpcCode code);

// The end of a call. `message` is UTF-8 for people, not yet percent-encoded.
struct GrpcStatus {
    GrpcCode code = GrpcCode::kOk;
    std::string message;

    [[nodiscard]] bool is_ok() const { return code == GrpcCode::kOk; }
    bool operator==(const GrpcStatus&) const = default;
};

// The decimal digits of the code, as grpc-status carries them. Static storage.
std::string_view encode_code(GrpcCode code);
// Reads grpc-status; nothing for anything but one or two digits. A number above the list is
// kUnknown, as the specification asks of readers.
std::optional<GrpcCode> decode_code(std::string_view text);

// Percent-encodes grpc-message: printable ASCII but '%' stands for itself, every other byte is
// %XX. Bytes that are not UTF-8 become U+FFFD first, as grpc-go sends them.
std::string encode_message(std::string_view message);
// The inverse; an escape that is not one stays as it is (readers must not fail on it).
std::string decode_message(std::string_view text);

// What a client reports for a stream that ended by RST_STREAM with this HTTP/2 error code
// (gRPC over HTTP/2, "HTTP2 Transport Mapping", Errors).
GrpcStatus status_of_reset(std::uint32_t http2_error_code);
// What a client reports for an HTTP status that came without grpc-status (gRPC's
// http-grpc-status-mapping).
GrpcCode code_of_http_status(int http_status);

}  // namespace cairn::wire
