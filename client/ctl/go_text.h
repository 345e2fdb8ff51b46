// What Go's strconv, time and pflag make of a text, with their words when it does not parse:
// etcdctl's errors are made of them.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::client::ctl {

struct GoNumber {
    std::int64_t value = 0;
    std::string error;  // empty: it is one
};

struct GoUnsigned {
    std::uint64_t value = 0;
    std::string error;  // empty: it is one
};

// strconv.ParseUint with 64 bits; `base` is not 0.
GoUnsigned parse_go_unsigned(std::string_view text, int base);
// strconv.ParseInt with 64 bits; base 0: as the prefix (0x, 0o, 0b, 0) says.
GoNumber parse_go_number(std::string_view text, int base);
// The error of strconv.ParseBool and of time.ParseDuration; empty: it is one.
std::string go_bool_error(std::string_view text);
std::string go_duration_error(std::string_view text);

// One quoted word from the front of `text`, which begins with its quote: in "…" with Go's escapes,
// in '…' or `…` as it stands. Nothing: the quote is not closed, or an escape is none.
std::optional<std::string> take_quoted(std::string_view& text);
// Words separated by blanks; a word may be quoted.
std::optional<std::vector<std::string>> words_of(std::string_view text);

}  // namespace cairn::client::ctl
