#include "proto/wire/deadline.h"

#include <array>
#include <cstddef>

namespace cairn::wire {

namespace {

struct Unit {
    char letter = 0;
    std::int64_t ns = 0;
};

// Finest first: format_timeout takes the first that fits.
constexpr std::array<Unit, 6> kUnits{{
    {'n', 1},
    {'u', 1'000},
    {'m', 1'000'000},
    {'S', 1'000'000'000},
    {'M', 60'000'000'000},
    {'H', 3'600'000'000'000},
}};

constexpr std::size_t kDigitsMax = 8;  // gRPC over HTTP/2: TimeoutValue is at most 8 digits
constexpr std::int64_t kValueMax = 99'999'999;
constexpr std::size_t kQuotedBytesMax = 32;  // a hostile header must not fill an error text

Error malformed(std::string_view what, std::string_view text) {
    std::string detail(what);
    detail += ": \"";
    detail += text.substr(0, kQuotedBytesMax);
    detail += '"';
    return {Errc::kMalformed, std::move(detail)};
}

}  // namespace

Result<std::int64_t> parse_timeout(std::string_view text) {
    if (text.size() < 2) {
        return malformed("transport: timeout string is too short", text);
    }
    if (text.size() > kDigitsMax + 1) {
        return malformed("transport: timeout string is too long", text);
    }
    std::int64_t unit_ns = 0;
    for (const Unit& unit : kUnits) {
        if (unit.letter == text.back()) {
            unit_ns = unit.ns;
        }
    }
    if (unit_ns == 0) {
        return malformed("transport: timeout unit is not recognized", text);
    }
    std::int64_t value = 0;
    for (const char c : text.substr(0, text.size() - 1)) {
        if (c < '0' || c > '9') {
            return malformed("transport: timeout is not a number", text);
        }
        value = value * 10 + (c - '0');
    }
    return value > kTimeoutNsMax / unit_ns ? kTimeoutNsMax : value * unit_ns;
}

std::string format_timeout(std::int64_t timeout_ns) {
    if (timeout_ns <= 0) {
        return "0n";
    }
    for (const Unit& unit : kUnits) {
        const std::int64_t value = timeout_ns / unit.ns + (timeout_ns % unit.ns != 0 ? 1 : 0);
        if (value <= kValueMax) {
            return std::to_string(value) + unit.letter;
        }
    }
    return std::to_string(kValueMax) + 'H';
}

}  // namespace cairn::wire
