// The grpc-timeout header: how long the caller will wait, as text on the wire.
// Pure functions; any thread. Must never read a clock: a timeout is a length, not a point in time.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cairn::wire {

// The longest timeout: longer ones are cut to it (292 years), as grpc-go does.
inline constexpr std::int64_t kTimeoutNsMax = std::numeric_limits<std::int64_t>::max();

// Reads 1 to 8 digits and a unit (H M S m u n): nanoseconds in [0, kTimeoutNsMax].
// Error: kMalformed with a text that quotes the header's value.
Result<std::int64_t> parse_timeout(std::string_view text);

// The shortest exact form that fits 8 digits; where none is exact, rounded up to the finest unit
// that fits, so that a caller never waits for less than it asked. A negative length is "0n".
std::string format_timeout(std::int64_t timeout_ns);

}  // namespace cairn::wire
