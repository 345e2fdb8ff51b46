// Go's text forms of numbers, switches, durations and strings, which etcd's flags and output use.
// Pure functions; any thread. Must never accept what Go refuses: scripts are written against it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn {

// strconv.ParseBool. Nothing: the text is none.
std::optional<bool> parse_go_bool(std::string_view text);
// strconv.ParseUint and ParseInt with base 0 and 64 bits, without underscores. `negative_ok`
// admits a sign; the result is then the two's complement.
std::optional<std::uint64_t> parse_go_int(std::string_view text, bool negative_ok);
// time.ParseDuration, in nanoseconds.
std::optional<std::int64_t> parse_go_duration(std::string_view text);

// time.Duration.String: "1h30m0s", "2.341293ms", "0s".
std::string format_go_duration(std::int64_t duration_ns);
// fmt's %q: quoted, escapes for what is not printable ASCII or printable Unicode.
std::string quote_go(std::string_view text);

// One character of UTF-8; overlong forms and surrogates are no characters.
struct Rune {
    std::uint32_t code = 0;
    std::size_t bytes = 0;  // 0: the first byte begins none
};
// The first character of `text`, which must not be empty.
Rune first_rune(std::string_view text);
// Whether it is characters from end to end, as protobuf's strings must be.
bool is_utf8(std::string_view text);

// Levenshtein's distance: how many letters to change, add or drop. For "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace cairn
