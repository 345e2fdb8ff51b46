#include "proto/wire/h2_head.h"

#include <algorithm>
#include <utility>

#include "proto/wire/deadline.h"
#include "proto/wire/stream_event.h"

namespace cairn::wire {

namespace {

constexpr std::string_view kGrpcType = "application/grpc";
constexpr std::size_t kQuotedBytesMax = 128;  // of a hostile header in an error text

std::string quoted(std::string_view text) {
    return '"' + std::string(text.substr(0, kQuotedBytesMax)) + '"';
}

Encoding encoding_of(std::string_view value) {
    if (value.empty() || value == "identity") {
        return Encoding::kIdentity;
    }
    return value == "gzip" ? Encoding::kGzip : Encoding::kOther;
}

int parse_http_status(std::string_view value) {
    int status = 0;
    for (const char c : value.substr(0, 3)) {
        status = c >= '0' && c <= '9' ? status * 10 + (c - '0') : 0;
    }
    return status;
}

}  // namespace

bool is_grpc_content_type(std::string_view value) {
    if (!value.starts_with(kGrpcType)) {
        return false;
    }
    return value.size() == kGrpcType.size() || value[kGrpcType.size()] == '+' ||
           value[kGrpcType.size()] == ';';
}

void RequestHead::add(std::string_view name, std::string_view value) {
    if (name == ":path") {
        method = find_method(value);
        if (method == nullptr) {
            path = value;
        }
    } else if (name == ":method") {
        if (value != "POST") {
            http_method = value;
        }
    } else if (name == "content-type") {
        content_type_ok = is_grpc_content_type(value);
        if (!content_type_ok) {
            content_type = value;
        }
    } else if (name == "grpc-timeout") {
        Result<std::int64_t> parsed = parse_timeout(value);
        if (parsed.has_value()) {
            timeout_ns = parsed.value();
        } else {
            timeout_error = parsed.error().detail;
        }
    } else if (name == "grpc-encoding") {
        encoding = encoding_of(value);
        if (encoding == Encoding::kOther) {
            encoding_name = value;
        }
    } else if (name == "token") {
        token = value;
    } else if (name == "authorization") {
        authorization = value;
    } else if (name == "hasleader") {
        has_leader = value == "true";
    } else if (name == kSnapshotFormatHeader) {
        native_snapshot = value == kNativeSnapshot;
    }
}

std::optional<EarlyAbort> RequestHead::refusal() const {
    if (!content_type_ok) {
        return EarlyAbort{415,
                          {GrpcCode::kInvalidArgument,
                           "invalid gRPC request content-type " + quoted(content_type)}};
    }
    if (!timeout_error.empty()) {
        return EarlyAbort{400, {GrpcCode::kInternal, "malformed grpc-timeout: " + timeout_error}};
    }
    if (!http_method.empty()) {
        return EarlyAbort{405,
                          {GrpcCode::kInternal, "Received a HEADERS frame with :method " +
                                                    quoted(http_method) + " which should be POST"}};
    }
    if (encoding == Encoding::kOther && method != nullptr) {
        return EarlyAbort{
            200,
            {GrpcCode::kUnimplemented,
             "grpc: Decompressor is not installed for grpc-encoding " + quoted(encoding_name)}};
    }
    return std::nullopt;
}

void ResponseHead::add(std::string_view name, std::string_view value) {
    if (name == ":status") {
        http_status = parse_http_status(value);
    } else if (name == "content-type") {
        content_type_ok = is_grpc_content_type(value);
    } else if (name == "grpc-status") {
        code = decode_code(value).value_or(GrpcCode::kUnknown);
    } else if (name == "grpc-message") {
        message = decode_message(value);
    } else if (name == "grpc-encoding") {
        encoding = encoding_of(value);
    }
}

GrpcStatus ResponseHead::end_status() const {
    if (code.has_value()) {
        return {*code, message};
    }
    if (http_status != 0 && http_status != 200) {
        return {code_of_http_status(http_status),
                "unexpected HTTP status code received from server: " + std::to_string(http_status)};
    }
    if (http_status == 200 && !content_type_ok) {
        return {GrpcCode::kUnknown, "the answer's content-type is not application/grpc"};
    }
    return {GrpcCode::kInternal, "server closed the stream without sending trailers"};
}

}  // namespace cairn::wire
