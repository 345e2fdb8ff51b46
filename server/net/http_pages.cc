#include "server/net/http_pages.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace cairn::server::net {
namespace {

constexpr std::array<std::string_view, 1> kLiveChecks{"serializable_read"};
constexpr std::array<std::string_view, 4> kReadyChecks{"data_corruption", "serializable_read",
                                                       "linearizable_read", "non_learner"};

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A broken escape stands for itself.
std::string percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            out.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            out.push_back(text[i] == '+' ? ' ' : text[i]);
        }
    }
    return out;
}

// "/livez" -> all; "/livez/x" -> x, when it is one of them.
template <std::size_t N>
std::optional<std::vector<std::string>> select(std::string_view path, std::string_view root,
                                               const std::array<std::string_view, N>& checks) {
    if (path == root) {
        return std::vector<std::string>(checks.begin(), checks.end());
    }
    if (path.substr(0, root.size()) != root || path[root.size()] != '/') {
        return std::nullopt;
    }
    const std::string_view name = path.substr(root.size() + 1);
    if (std::find(checks.begin(), checks.end(), name) == checks.end()) {
        return std::nullopt;
    }
    return std::vector<std::string>{std::string(name)};
}

std::string json_escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out.push_back(c);
        }
    }
    return out;
}

}  // namespace

bool HttpTarget::has(std::string_view name) const {
    return std::any_of(query.begin(), query.end(),
                       [&](const auto& item) { return item.first == name; });
}

std::vector<std::string> HttpTarget::all(std::string_view name) const {
    std::vector<std::string> values;
    for (const auto& [key, value] : query) {
        if (key == name) {
            values.push_back(value);
        }
    }
    return values;
}

bool HttpTarget::is_true(std::string_view name) const {
    const auto values = all(name);
    return !values.empty() && values.front() == "true";
}

HttpTarget parse_target(std::string_view target) {
    HttpTarget parsed;
    const std::size_t mark = target.find('?');
    parsed.path = percent_decode(target.substr(0, mark));
    std::string_view rest =
        mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
    while (!rest.empty()) {
        const std::string_view item = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), item.size() + 1));
        const std::size_t equals = item.find('=');
        const std::string_view value =
            equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
        parsed.query.emplace_back(percent_decode(item.substr(0, equals)), percent_decode(value));
    }
    return parsed;
}

std::optional<std::vector<std::string>> checks_of(const HttpTarget& target) {
    auto selected = select(target.path, "/livez", kLiveChecks);
    if (!selected.has_value()) {
        selected = select(target.path, "/readyz", kReadyChecks);
    }
    if (selected.has_value()) {
        const auto excluded = target.all("exclude");
        std::erase_if(*selected, [&](const std::string& name) {
            return std::find(excluded.begin(), excluded.end(), name) != excluded.end();
        });
    }
    return selected;
}

HttpReply checks_page(const HttpTarget& target, const std::vector<CheckResult>& results) {
    HttpReply reply;
    std::string lines;
    for (const auto& result : results) {
        if (result.failure.has_value()) {
            reply.status = 503;
            lines += fmt::format("[-]{} failed: {}\n", result.name, *result.failure);
        } else {
            lines += fmt::format("[+]{} ok\n", result.name);
        }
    }
    if (reply.status != 200) {
        reply.body = lines;
    } else {
        reply.body = (target.has("verbose") ? lines : std::string()) + "ok\n";
    }
    return reply;
}

HttpReply health_page(const std::string& reason) {
    HttpReply reply;
    const bool healthy = reason.empty();
    reply.body = fmt::format(R"({{"health":"{}","reason":"{}"}})", healthy ? "true" : "false",
                             json_escape(reason));
    if (healthy) {
        reply.content_type = "application/json";
    } else {
        // As Go's http.Error answers.
        reply.status = 503;
        reply.body += "\n";
    }
    return reply;
}

HttpReply version_page(std::string_view etcd_version, std::string_view cluster_version) {
    HttpReply reply;
    reply.content_type = "application/json";
    reply.body =
        fmt::format(R"({{"etcdserver":"{}","etcdcluster":"{}"}})", etcd_version, cluster_version);
    return reply;
}

bool is_page(const HttpTarget& target) {
    constexpr std::array<std::string_view, 3> kPages{"/health", "/version", "/metrics"};
    return std::find(kPages.begin(), kPages.end(), target.path) != kPages.end() ||
           checks_of(target).has_value();
}

HttpReply error_page(unsigned status, std::string_view text) {
    HttpReply reply;
    reply.status = status;
    reply.body = fmt::format("{} {}", status, text);
    return reply;
}

HttpReply not_found_page() {
    return {404, "404 page not found\n", "text/plain; charset=utf-8", ""};
}

HttpReply method_not_allowed_page() {
    return {405, "Method Not Allowed\n", "text/plain; charset=utf-8", "GET"};
}

}  // namespace cairn::server::net
