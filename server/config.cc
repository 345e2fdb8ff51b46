#include "server/config.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/go_syntax.h"

namespace cairn::server {
namespace {

Error invalid(std::string text) { return {Errc::kInvalidConfig, std::move(text)}; }

std::string join(const std::vector<std::string>& parts, std::string_view mark) {
    std::string text;
    for (const std::string& part : parts) {
        text += text.empty() ? std::string_view() : mark;
        text += part;
    }
    return text;
}

std::vector<std::string> texts_of(const std::vector<Url>& urls) {
    std::vector<std::string> texts;
    for (const Url& url : urls) {
        texts.push_back(url.text);
    }
    return texts;
}

// What this build cannot speak yet; later issues bring it.
Result<void> check_scheme(std::string_view flag, const Url& url) {
    if (url.scheme == "http") {
        return ok();
    }
    const std::string_view what = url.scheme == "https" ? "TLS is" : "unix sockets are";
    return invalid(fmt::format("--{}={}: {} not supported yet", flag, url.text, what));
}

Result<std::vector<Url>> read_listen_urls(const FlagValues& flags, std::string_view flag) {
    CAIRN_TRY(std::vector<Url> urls, parse_urls(flags.text(flag)));
    for (const Url& url : urls) {
        CAIRN_TRY(check_scheme(flag, url));
        if (url.host != "localhost" && !url.host_is_ip()) {
            return invalid(fmt::format("expected IP in URL for binding ({})", url.text));
        }
    }
    return urls;
}

Result<std::vector<std::string>> read_advertised_urls(const FlagValues& flags,
                                                      std::string_view flag) {
    CAIRN_TRY(const std::vector<Url> urls, parse_urls(flags.text(flag)));
    for (const Url& url : urls) {
        CAIRN_TRY(check_scheme(flag, url));
        if (url.host.empty()) {
            return invalid(fmt::format("unexpected empty host ({})", url.text));
        }
    }
    return texts_of(urls);
}

// "m=http://a:1,m=http://a:2,n=http://b:1": URLs by name.
Result<std::map<std::string, std::vector<Url>>> parse_cluster(std::string_view text) {
    std::map<std::string, std::vector<Url>> members;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        const std::string_view part = text.substr(begin, comma - begin);
        begin = comma + 1;
        if (part.empty()) {
            continue;
        }
        const std::size_t equals = std::min(part.find('='), part.size());
        if (equals == 0) {
            return invalid(fmt::format("--initial-cluster: a member without a name: {}", part));
        }
        const std::string_view url_text = part.substr(std::min(equals + 1, part.size()));
        Result<Url> url = parse_url(url_text);
        if (!url) {
            return invalid(fmt::format("error setting up initial cluster: {}", url.error().detail));
        }
        members[std::string(part.substr(0, equals))].push_back(std::move(url.value()));
    }
    if (members.size() > kInitialMembersMax) {
        return invalid(fmt::format("--initial-cluster has {} members, at most {} are possible",
                                   members.size(), kInitialMembersMax));
    }
    return members;
}

std::string cluster_text(const std::vector<InitialMember>& members) {
    std::vector<std::string> parts;
    for (const InitialMember& member : members) {
        for (const std::string& url : member.peer_urls) {
            parts.push_back(member.name + "=" + url);
        }
    }
    return join(parts, ",");
}

// For comparison only: etcd resolves names first, of which this is the one that needs no resolver.
std::vector<std::string> comparable(const std::vector<std::string>& urls) {
    std::vector<std::string> result;
    for (const std::string& url : urls) {
        constexpr std::string_view kLocal = "http://localhost:";
        result.push_back(url.compare(0, kLocal.size(), kLocal) == 0
                             ? "http://127.0.0.1:" + url.substr(kLocal.size())
                             : url);
    }
    std::sort(result.begin(), result.end());
    return result;
}

// The texts of `left` that are not in `right`.
std::vector<std::string> without(const std::vector<std::string>& left,
                                 const std::vector<std::string>& right) {
    std::vector<std::string> rest;
    for (const std::string& text : left) {
        if (std::find(right.begin(), right.end(), text) == right.end()) {
            rest.push_back(text);
        }
    }
    return rest;
}

std::string quoted(const std::vector<std::string>& texts) {
    std::vector<std::string> parts;
    for (const std::string& text : texts) {
        parts.push_back("\"" + text + "\"");
    }
    return "[" + join(parts, " ") + "]";
}

Result<void> check_own_urls(const ServerConfig& config, const InitialMember& self) {
    const std::vector<std::string>& advertised = config.initial_advertise_peer_urls;
    // Who joins has told the cluster its URLs before.
    if (config.initial_cluster_state == ClusterState::kExisting ||
        same_urls(advertised, self.peer_urls)) {
        return ok();
    }
    const std::string why = url_difference(advertised, self.peer_urls);
    std::vector<std::string> missing = without(self.peer_urls, advertised);
    if (!missing.empty()) {
        return invalid(fmt::format(
            "--initial-cluster has {} but missing from --initial-advertise-peer-urls={} ({})",
            cluster_text({{self.name, std::move(missing)}}), join(advertised, ","), why));
    }
    missing = without(advertised, self.peer_urls);
    if (!missing.empty()) {
        return invalid(fmt::format(
            "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}",
            join(missing, ","), cluster_text({self})));
    }
    return invalid(fmt::format("failed to resolve {} to match --initial-cluster={} ({})",
                               join(advertised, ","), cluster_text({self}), why));
}

// What becomes part of a member's record.
Result<void> check_utf8(const FlagValues& flags, const char* name) {
    if (!is_utf8(flags.text(name))) {
        return invalid(fmt::format("--{}={} is not UTF-8", name, quote_go(flags.text(name))));
    }
    return ok();
}

Result<void> read_cluster(const FlagValues& flags, ServerConfig& config) {
    CAIRN_TRY(check_utf8(flags, "initial-cluster"));
    if (config.name.empty()) {
        // In a member's record that means that it has not started yet.
        return invalid("--name must not be empty");
    }
    std::string text = flags.text("initial-cluster");
    if (text.empty()) {
        text = cluster_text({{config.name, config.initial_advertise_peer_urls}});
    }
    CAIRN_TRY(const auto members, parse_cluster(text));
    std::vector<std::string> all_urls;
    for (const auto& [name, urls] : members) {
        for (const Url& url : urls) {
            CAIRN_TRY(check_scheme("initial-cluster", url));
            all_urls.push_back(url.text);
        }
        InitialMember member{name, texts_of(urls)};
        std::sort(member.peer_urls.begin(), member.peer_urls.end());
        config.initial_cluster.push_back(std::move(member));
    }
    const auto self =
        std::find_if(config.initial_cluster.begin(), config.initial_cluster.end(),
                     [&](const InitialMember& member) { return member.name == config.name; });
    if (self == config.initial_cluster.end()) {
        return invalid(fmt::format(
            "couldn't find local name \"{}\" in the initial cluster configuration", config.name));
    }
    CAIRN_TRY(check_own_urls(config, *self));
    std::sort(all_urls.begin(), all_urls.end());
    if (std::adjacent_find(all_urls.begin(), all_urls.end()) != all_urls.end()) {
        return invalid(fmt::format("initial cluster {} has duplicate url",
                                   cluster_text(config.initial_cluster)));
    }
    return ok();
}

Result<void> read_addresses(const FlagValues& flags, ServerConfig& config) {
    if (flags.is_given("listen-client-urls") && !flags.is_given("advertise-client-urls")) {
        return invalid(
            "--advertise-client-urls is required when --listen-client-urls is set "
            "explicitly");
    }
    CAIRN_TRY(config.listen_client_urls, read_listen_urls(flags, "listen-client-urls"));
    CAIRN_TRY(config.listen_peer_urls, read_listen_urls(flags, "listen-peer-urls"));
    CAIRN_TRY(config.advertise_client_urls, read_advertised_urls(flags, "advertise-client-urls"));
    CAIRN_TRY(config.initial_advertise_peer_urls,
              read_advertised_urls(flags, "initial-advertise-peer-urls"));
    for (const Url& client : config.listen_client_urls) {
        for (const Url& peer : config.listen_peer_urls) {
            if (client.port != 0 && client.text == peer.text) {
                return invalid(fmt::format(
                    "--listen-client-urls and --listen-peer-urls are the same: {}", client.text));
            }
        }
    }
    return ok();
}

Result<void> read_times(const FlagValues& flags, ServerConfig& config) {
    const std::uint64_t heartbeat = flags.number("heartbeat-interval");
    const std::uint64_t election = flags.number("election-timeout");
    const auto ms_max = static_cast<std::uint64_t>(kElectionTimeoutMax.count());
    if (heartbeat == 0) {
        return invalid("--heartbeat-interval must be >0 (set to 0ms)");
    }
    if (election == 0) {
        return invalid("--election-timeout must be >0 (set to 0ms)");
    }
    if (heartbeat > election / 5) {
        return invalid(
            fmt::format("--election-timeout[{}ms] should be at least as 5 times as "
                        "--heartbeat-interval[{}ms]",
                        election, heartbeat));
    }
    if (election > ms_max) {
        return invalid(
            fmt::format("--election-timeout[{}ms] is too long, and should be set less "
                        "than {}ms",
                        election, ms_max));
    }
    config.heartbeat_interval = std::chrono::milliseconds(heartbeat);
    config.election_timeout = std::chrono::milliseconds(election);
    config.pre_vote = flags.boolean("pre-vote");
    config.lease_reads = flags.boolean("experimental-lease-reads");
    return ok();
}

Result<void> read_membership(const FlagValues& flags, ServerConfig& config) {
    config.strict_reconfig_check = flags.boolean("strict-reconfig-check");
    const char* const name =
        flags.is_given("max-learners") ? "max-learners" : "experimental-max-learners";
    const std::int64_t learners = flags.signed_number(name);
    if (learners <= 0) {
        return invalid(fmt::format("--{} must be greater than 0", name));
    }
    config.max_learners = static_cast<std::uint64_t>(learners);
    return ok();
}

Result<void> read_limits(const FlagValues& flags, ServerConfig& config) {
    config.max_request_bytes = flags.number("max-request-bytes");
    config.max_txn_ops = flags.number("max-txn-ops");
    config.response_budget_bytes = flags.number("experimental-response-budget-bytes");
    config.log_bytes_max = flags.number("experimental-log-bytes-max");
    config.log_entries_max = flags.number("experimental-log-entries-max");
    config.snapshot_rate_bytes = flags.number("experimental-snapshot-rate-bytes");
    config.max_concurrent_streams =
        static_cast<std::uint32_t>(flags.number("max-concurrent-streams"));
    config.grpc_keepalive_min_time =
        std::chrono::nanoseconds(flags.duration_ns("grpc-keepalive-min-time"));
    if (config.max_request_bytes == 0 || config.max_request_bytes > kMaxRequestBytesMax) {
        return invalid(fmt::format("--max-request-bytes={}: must be from 1 to {}",
                                   config.max_request_bytes, kMaxRequestBytesMax));
    }
    if (config.response_budget_bytes < kResponseBudgetBytesMin ||
        config.response_budget_bytes > kResponseBudgetBytesMax) {
        return invalid(fmt::format("--experimental-response-budget-bytes={}: must be from {} to {}",
                                   config.response_budget_bytes, kResponseBudgetBytesMin,
                                   kResponseBudgetBytesMax));
    }
    // Or what can be written could never be read. An answer has a header, too.
    if (config.response_budget_bytes / 8 * 7 < config.max_request_bytes + 1024) {
        return invalid(fmt::format(
            "--experimental-response-budget-bytes={}: one answer may take seven eighths "
            "of it, which must be at least 1 KiB more than --max-request-bytes={}",
            config.response_budget_bytes, config.max_request_bytes));
    }
    if (config.log_bytes_max < kLogBytesKeptMin || config.log_bytes_max > kLogBytesKeptMax) {
        return invalid(fmt::format("--experimental-log-bytes-max={}: must be from {} to {}",
                                   config.log_bytes_max, kLogBytesKeptMin, kLogBytesKeptMax));
    }
    if (config.log_entries_max < kLogEntriesKeptMin ||
        config.log_entries_max > kLogEntriesKeptMax) {
        return invalid(fmt::format("--experimental-log-entries-max={}: must be from {} to {}",
                                   config.log_entries_max, kLogEntriesKeptMin, kLogEntriesKeptMax));
    }
    if (config.max_txn_ops == 0) {
        return invalid("--max-txn-ops=0: must be at least 1");
    }
    if (config.max_concurrent_streams == 0) {
        return invalid("--max-concurrent-streams=0: must be at least 1");
    }
    if (config.grpc_keepalive_min_time.count() < 0) {
        return invalid(fmt::format("--grpc-keepalive-min-time={}: must not be negative",
                                   flags.text("grpc-keepalive-min-time")));
    }
    return ok();
}

LogLevel level_of(std::string_view text) {
    constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
        {"debug", LogLevel::kDebug}, {"warn", LogLevel::kWarn},   {"error", LogLevel::kError},
        {"panic", LogLevel::kPanic}, {"fatal", LogLevel::kFatal},
    };
    for (const auto& [name, level] : kLevels) {
        if (name == text) {
            return level;
        }
    }
    return LogLevel::kInfo;
}

void read_log(const FlagValues& flags, ServerConfig& config) {
    config.log_level = level_of(flags.text("log-level"));
    config.log_format = flags.text("log-format") == "json" ? LogFormat::kJson : LogFormat::kConsole;
    config.log_output =
        flags.text("log-outputs") == "stdout" ? LogOutput::kStdout : LogOutput::kStderr;
}

// A flag that does nothing should not look as if it did.
void warn_of_no_effect(const FlagValues& flags, ServerConfig& config) {
    for (const FlagSpec& spec : all_flags()) {
        const FlagValue& value = flags.value(spec.name);
        if (spec.support == FlagSupport::kNoEffect && !value.origin.empty() &&
            value.text != spec.value_default) {
            config.warnings.push_back(
                fmt::format("{}={} has no effect: {}", value.origin, value.text, spec.help));
        }
    }
}

}  // namespace

bool same_urls(const std::vector<std::string>& left, const std::vector<std::string>& right) {
    return comparable(left) == comparable(right);
}

std::string url_difference(const std::vector<std::string>& advertised,
                           const std::vector<std::string>& initial) {
    if (advertised.size() != initial.size()) {
        return fmt::format("len({}) != len({})", quoted(advertised), quoted(initial));
    }
    for (std::size_t i = 0; i < advertised.size(); ++i) {
        if (advertised[i] != initial[i]) {
            return fmt::format("resolved urls: \"{}\" != \"{}\"", advertised[i], initial[i]);
        }
    }
    return {};
}

std::uint32_t ServerConfig::election_ticks() const {
    return static_cast<std::uint32_t>(election_timeout / heartbeat_interval);
}

Result<ServerConfig> build_config(const CommandLine& line) {
    ServerConfig config;
    config.warnings = line.warnings;
    config.name = line.flags.text("name");
    config.data_dir = line.flags.text("data-dir");
    if (config.data_dir.empty()) {
        config.data_dir = config.name + ".cairn";
    }
    for (const char* const name :
         {"name", "advertise-client-urls", "initial-advertise-peer-urls"}) {
        CAIRN_TRY(check_utf8(line.flags, name));
    }
    CAIRN_TRY(read_addresses(line.flags, config));
    CAIRN_TRY(read_times(line.flags, config));
    CAIRN_TRY(read_limits(line.flags, config));
    CAIRN_TRY(read_membership(line.flags, config));
    config.initial_cluster_token = line.flags.text("initial-cluster-token");
    config.initial_cluster_state = line.flags.text("initial-cluster-state") == "existing"
                                       ? ClusterState::kExisting
                                       : ClusterState::kNew;
    if (const Result<void> cluster = read_cluster(line.flags, config); !cluster) {
        config.initial_error = cluster.error();
    }
    config.force_new_cluster = line.flags.boolean("force-new-cluster");
    read_log(line.flags, config);
    warn_of_no_effect(line.flags, config);
    return config;
}

}  // namespace cairn::server
