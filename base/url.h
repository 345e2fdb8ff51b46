// Url: scheme://host:port, the only shape of address that flags and members have.
// Values and pure functions; any thread. Must never resolve a name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cairn {

struct Url {
    std::string scheme;  // "http", "https", "unix" or "unixs"
    std::string host;    // without the brackets of an IPv6 address; may be empty
    std::uint16_t port = 0;
    std::string text;  // as etcd prints it: scheme in lower case, else as it was given

    bool operator==(const Url&) const = default;

    // An IPv4 or IPv6 address in digits.
    [[nodiscard]] bool host_is_ip() const;
};

// Blanks around `text` are dropped. Errors: kInvalidConfig, in etcd's words.
Result<Url> parse_url(std::string_view text);
// A list separated by commas, sorted by text as etcd sorts it; at least one.
Result<std::vector<Url>> parse_urls(std::string_view text);

// The texts of `urls`, separated by commas.
std::string join_urls(const std::vector<Url>& urls);

}  // namespace cairn
