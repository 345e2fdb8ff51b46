// Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes of a connection.
// A pure function; any thread. Must never consume the bytes: the chosen session reads them again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace cairn::wire {

// What every HTTP/2 client sends first (RFC 9113 §3.4).
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum class Http2Guess : std::uint8_t { kNo, kYes, kNeedMore };

// Answers kNo at the first byte that differs, so an HTTP/1.1 request is never kept waiting
// ("POST", "PUT" and "PATCH" differ from "PRI" within three bytes).
inline Http2Guess looks_like_http2(ByteView prefix) {
    const std::size_t known = std::min(prefix.size(), kHttp2Preface.size());
    if (prefix.substr(0, known) != kHttp2Preface.substr(0, known)) {
        return Http2Guess::kNo;
    }
    return known == kHttp2Preface.size() ? Http2Guess::kYes : Http2Guess::kNeedMore;
}

}  // namespace cairn::wire
