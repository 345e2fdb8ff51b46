// What a call needs of an HTTP/2 header block, and gRPC's rules for it.
// Values owned by one stream; not for several threads. Must never keep a header nobody asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"

namespace cairn::wire {

// What a header costs against the list limit beside its text (RFC 9113 §6.5.2).
inline constexpr std::size_t kHeaderOverheadBytes = 32;

enum class Encoding : std::uint8_t { kIdentity, kGzip, kOther };

// The answer to a request that is no gRPC call at all: an HTTP status beside the gRPC one.
struct EarlyAbort {
    int http_status = 200;
    GrpcStatus status;
};

// A request's headers as they come in, one by one.
struct RequestHead {
    const GrpcMethod* method = nullptr;
    std::string path;  // only if `method` is nullptr
    std::string token;
    std::string authorization;
    std::string http_method;    // only if not POST
    std::string content_type;   // only if not gRPC's
    std::string encoding_name;  // only if Encoding::kOther
    std::string timeout_error;  // why grpc-timeout does not parse
    std::optional<std::int64_t> timeout_ns;
    Encoding encoding = Encoding::kIdentity;
    bool content_type_ok = false;
    bool has_leader = false;
    bool native_snapshot = false;

    void add(std::string_view name, std::string_view value);
    // Nothing when a call may start. The order and the words of the refusals are grpc-go's:
    // content type (415), malformed headers (400), method (405), encoding (Unimplemented, but an
    // unknown path is for the caller to refuse first).
    [[nodiscard]] std::optional<EarlyAbort> refusal() const;
};

// A response's headers or trailers.
struct ResponseHead {
    int http_status = 0;
    bool content_type_ok = false;
    std::optional<GrpcCode> code;
    std::string message;  // already percent-decoded
    Encoding encoding = Encoding::kIdentity;

    void add(std::string_view name, std::string_view value);
    // How the call ended, from trailers, or from headers that are no gRPC answer.
    [[nodiscard]] GrpcStatus end_status() const;
};

// application/grpc, alone or followed by '+' or ';'.
bool is_grpc_content_type(std::string_view value);

}  // namespace cairn::wire
