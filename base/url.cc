#include "base/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace cairn {
namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

Error invalid(std::string_view what, std::string_view text) {
    return {Errc::kInvalidConfig, fmt::format("{}: {}", what, text)};
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& letter : result) {
        letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    }
    return result;
}

Result<void> split_host_port(std::string_view address, std::string_view text, Url& url) {
    const std::size_t colon = address.rfind(':');
    const bool bracketed = !address.empty() && address.front() == '[';
    const std::size_t bracket = address.rfind(']');
    if (colon == std::string_view::npos || (bracketed && bracket + 1 != colon) ||
        (!bracketed && address.find(':') != colon)) {
        return invalid("URL address does not have the form \"host:port\"", text);
    }
    const std::string_view host = address.substr(0, colon);
    const std::string_view port = address.substr(colon + 1);
    url.host = bracketed ? host.substr(1, host.size() - 2) : host;
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || port.empty() ||
        number > std::numeric_limits<std::uint16_t>::max()) {
        return Error(Errc::kInvalidConfig,
                     fmt::format("parse \"{}\": invalid port \":{}\" after host", text, port));
    }
    url.port = static_cast<std::uint16_t>(number);
    return ok();
}

}  // namespace

bool Url::host_is_ip() const {
    in6_addr address{};
    return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
           inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

Result<Url> parse_url(std::string_view given) {
    const std::string_view text = trimmed(given);
    const std::size_t mark = text.find("://");
    Url url;
    url.scheme = mark == std::string_view::npos ? "" : lower(text.substr(0, mark));
    if (url.scheme != "http" && url.scheme != "https" && url.scheme != "unix" &&
        url.scheme != "unixs") {
        return invalid("URL scheme must be http, https, unix, or unixs", text);
    }
    const std::string_view address = text.substr(mark + 3);
    const std::size_t end = address.find_first_of("/?#");
    if (end != std::string_view::npos) {
        return invalid("URL must not contain a path", text);
    }
    if (address.find('@') != std::string_view::npos) {
        return invalid("URL address does not have the form \"host:port\"", text);
    }
    CAIRN_TRY(split_host_port(address, text, url));
    url.text = fmt::format("{}://{}", url.scheme, address);
    return url;
}

Result<std::vector<Url>> parse_urls(std::string_view text) {
    std::vector<Url> urls;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        CAIRN_TRY(Url url, parse_url(text.substr(begin, comma - begin)));
        urls.push_back(std::move(url));
        begin = comma + 1;
    }
    std::sort(urls.begin(), urls.end(), [](const Url& a, const Url& b) { return a.text < b.text; });
    return urls;
}

std::string join_urls(const std::vector<Url>& urls) {
    std::string text;
    for (const Url& url : urls) {
        text += text.empty() ? "" : ",";
        text += url.text;
    }
    return text;
}

}  // namespace cairn
