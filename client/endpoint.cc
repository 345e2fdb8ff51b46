#include "client/endpoint.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace cairn::client {
namespace {

Error invalid(std::string_view text, std::string_view why) {
    return {GrpcCode::kInvalidArgument, fmt::format("endpoint \"{}\": {}", text, why), false};
}

std::string in_lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return out;
}

}  // namespace

std::string Endpoint::authority() const {
    return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                               : fmt::format("[{}]:{}", host, port);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
    constexpr std::string_view kMark = "://";
    std::string_view address = text;
    if (const std::size_t mark = text.find(kMark); mark != std::string_view::npos) {
        const std::string scheme = in_lower_case(text.substr(0, mark));
        if (scheme != "http") {
            return invalid(text,
                           scheme == "https" ? "TLS is not supported yet" : "only http is known");
        }
        address.remove_prefix(mark + kMark.size());
        // etcd goes by the host of the URL alone.
        address = address.substr(0, address.find_first_of("/?#"));
    }
    const std::size_t colon = address.rfind(':');
    const bool bracketed = !address.empty() && address.front() == '[';
    if (colon == std::string_view::npos || colon == 0 ||
        (bracketed ? address[colon - 1] != ']' : address.find(':') != colon)) {
        return invalid(text, "must be host:port");
    }
    const std::string_view host = address.substr(0, colon);
    const std::string_view port = address.substr(colon + 1);
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || port.empty() || number == 0 ||
        number > std::numeric_limits<std::uint16_t>::max()) {
        return invalid(text, "the port must be a number from 1 to 65535");
    }
    Endpoint endpoint;
    endpoint.host = bracketed ? host.substr(1, host.size() - 2) : host;
    endpoint.port = static_cast<std::uint16_t>(number);
    endpoint.text = text;
    return endpoint;
}

}  // namespace cairn::client
