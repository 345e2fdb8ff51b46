#include "proto/wire/grpc_status.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/go_syntax.h"

namespace cairn::wire {

namespace {

struct CodeText {
    std::string_view name;
    std::string_view digits;
};

constexpr std::array<CodeText, 17> kCodes{{
    {"OK", "0"},
    {"Canceled", "1"},
    {"Unknown", "2"},
    {"InvalidArgument", "3"},
    {"DeadlineExceeded", "4"},
    {"NotFound", "5"},
    {"AlreadyExists", "6"},
    {"PermissionDenied", "7"},
    {"ResourceExhausted", "8"},
    {"FailedPrecondition", "9"},
    {"Aborted", "10"},
    {"OutOfRange", "11"},
    {"Unimplemented", "12"},
    {"Internal", "13"},
    {"Unavailable", "14"},
    {"DataLoss", "15"},
    {"Unauthenticated", "16"},
}};

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool stands_for_itself(char c) { return c >= ' ' && c <= '~' && c != '%'; }

void append_escaped(std::string& out, std::string_view bytes) {
    for (const char c : bytes) {
        const auto byte = static_cast<std::uint8_t>(c);
        out.push_back('%');
        out.push_back(kHexDigits[byte >> 4U]);
        out.push_back(kHexDigits[byte & 0xFU]);
    }
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return -1;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string_view grpc_code_name(GrpcCode code) {
    const auto index = static_cast<std::size_t>(code);
    return index < kCodes.size() ? kCodes[index].name : "?";
}

std::string_view encode_code(GrpcCode code) {
    const auto index = static_cast<std::size_t>(code);
    return index < kCodes.size() ? kCodes[index].digits : "2";
}

std::optional<GrpcCode> decode_code(std::string_view text) {
    if (text.empty() || text.size() > 2 || !is_digit(text.front()) || !is_digit(text.back())) {
        return std::nullopt;
    }
    int value = 0;
    for (const char c : text) {
        value = value * 10 + (c - '0');
    }
    return value < static_cast<int>(kCodes.size()) ? static_cast<GrpcCode>(value)
                                                   : GrpcCode::kUnknown;
}

std::string encode_message(std::string_view message) {
    std::string out;
    out.reserve(message.size());
    while (!message.empty()) {
        const std::size_t length = first_rune(message).bytes;
        if (length == 0) {
            append_escaped(out, kReplacement);
            message.remove_prefix(1);
            continue;
        }
        if (length == 1 && stands_for_itself(message.front())) {
            out.push_back(message.front());
        } else {
            append_escaped(out, message.substr(0, length));
        }
        message.remove_prefix(length);
    }
    return out;
}

std::string decode_message(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high >= 0 && low >= 0) {
                out.push_back(static_cast<char>(high * 16 + low));
                i += 2;
                continue;
            }
        }
        out.push_back(text[i]);
    }
    return out;
}

GrpcStatus status_of_reset(std::uint32_t http2_error_code) {
    switch (http2_error_code) {
        case 0x7: return {GrpcCode::kUnavailable, "stream refused by the server"};
        case 0x8: return {GrpcCode::kCancelled, "stream cancelled by the server"};
        case 0xb: return {GrpcCode::kResourceExhausted, "server asks for calm"};
        case 0xc: return {GrpcCode::kPermissionDenied, "transport security too weak"};
        default:
            return {GrpcCode::kInternal, "stream terminated by RST_STREAM with error code " +
                                             std::to_string(http2_error_code)};
    }
}

GrpcCode code_of_http_status(int http_status) {
    switch (http_status) {
        case 400: return GrpcCode::kInternal;
        case 401: return GrpcCode::kUnauthenticated;
        case 403: return GrpcCode::kPermissionDenied;
        case 404: return GrpcCode::kUnimplemented;
        case 429:
        case 502:
        case 503:
        case 504: return GrpcCode::kUnavailable;
        default: return GrpcCode::kUnknown;
    }
}

}  // namespace cairn::wire
