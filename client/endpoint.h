// Endpoint: where a server listens for clients, as people write it.
// Values and pure functions; any thread. Must never resolve a name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/result.h"

namespace cairn::client {

struct Endpoint {
    std::string host;  // without the brackets of an IPv6 address
    std::uint16_t port = 0;
    std::string text;  // as it was written, for messages

    // host:port as HTTP writes it.
    [[nodiscard]] std::string authority() const;
    bool operator==(const Endpoint&) const = default;
};

// "host:port" or "http://host:port". Error: kInvalidArgument; also for https, which waits for TLS.
Result<Endpoint> parse_endpoint(std::string_view text);

}  // namespace cairn::client
