// The plain HTTP endpoints of the client port: what they check and what they answer (etcd §18).
// Pure functions on values; any thread.
// Never touches a socket: Http1Session does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::server::net {

struct HttpReply {
    unsigned status = 200;
    std::string body;
    std::string content_type = "text/plain; charset=utf-8";
    std::string allow;  // the Allow header of a 405
    bool head = false;  // of a HEAD: what follows is not the body, though its length is told
};

// A request's target, cut and decoded: "/livez/x?exclude=a&verbose".
struct HttpTarget {
    std::string path;
    std::vector<std::pair<std::string, std::string>> query;

    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
    // The first value is "true" (as /health?serializable=true).
    [[nodiscard]] bool is_true(std::string_view name) const;
};
HttpTarget parse_target(std::string_view target);

// One named check of /livez or /readyz as it came out.
struct CheckResult {
    std::string name;
    std::optional<std::string> failure;  // the reason, when it failed
};

// The checks that a /livez or /readyz request asks for, in order; nothing for an unknown path.
std::optional<std::vector<std::string>> checks_of(const HttpTarget& target);
HttpReply checks_page(const HttpTarget& target, const std::vector<CheckResult>& results);

// /health: `reason` empty when healthy.
HttpReply health_page(const std::string& reason);
HttpReply version_page(std::string_view etcd_version, std::string_view cluster_version);
// Whether anything is served at this path.
bool is_page(const HttpTarget& target);
// As Go's server refuses what it cannot read.
HttpReply error_page(unsigned status, std::string_view text);
HttpReply not_found_page();
HttpReply method_not_allowed_page();

}  // namespace cairn::server::net
