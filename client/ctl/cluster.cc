#include "client/ctl/cluster.h"

#include <algorithm>
#include <functional>
#include <ostream>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "client/ctl/connect.h"
#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kMemberList[] = {
    {"consistency", 0, OptionType::kString, "l", "l: confirmed by a quorum; s: one member's view",
     "l s"},
};

constexpr OptionSpec kEndpoint[] = {
    {"cluster", 0, OptionType::kBool, "false", "ask all endpoints of the cluster's member list"},
};

constexpr OptionSpec kHashKv[] = {
    {"cluster", 0, OptionType::kBool, "false", "ask all endpoints of the cluster's member list"},
    {"rev", 0, OptionType::kInt, "0", "up to this revision; 0: the newest"},
};

// Endpoints that are asked at once: a thread each.
constexpr std::size_t kEndpointsMax = 64;

struct Endpoints {
    std::vector<std::string> list;
    Outcome outcome;
};

// --endpoints, or with --cluster what the members advertise.
Endpoints endpoints_of(const Context& context) {
    Endpoints endpoints{context.endpoints, {}};
    if (context.line.flag("cluster")) {
        Result<Client> client = open_client(context, context.endpoints);
        if (!client) {
            endpoints.outcome = bad_endpoint(client.error());
            return endpoints;
        }
        const Result<MemberListResponse> members = [&] {
            const Progress progress(context.streams, "member list");
            return client->member_list();
        }();
        if (!members) {
            endpoints.outcome = {kExitError, fmt::format("failed to fetch endpoints from etcd "
                                                         "cluster member list: {}",
                                                         members.error().message)};
            return endpoints;
        }
        endpoints.list.clear();
        for (const Member& member : members->members) {
            endpoints.list.insert(endpoints.list.end(), member.client_urls.begin(),
                                  member.client_urls.end());
        }
    }
    if (endpoints.list.size() > kEndpointsMax) {
        endpoints.outcome = {kExitBadArgs, fmt::format("more than {} endpoints", kEndpointsMax)};
    }
    return endpoints;
}

EndpointHealth health_of(const Context& context, const std::string& endpoint) {
    EndpointHealth health;
    health.endpoint = endpoint;
    const auto begin = std::chrono::steady_clock::now();
    Result<Client> client = open_client(context, {endpoint});
    if (!client) {
        health.error = client.error().message;
        return health;
    }
    // A linearizable read of any key: who may not read it has proved that there is a quorum.
    const Result<GetResponse> read = client->get("health");
    health.took = std::chrono::steady_clock::now() - begin;
    health.healthy = read.has_value() || read.error().code == GrpcCode::kPermissionDenied;
    if (!health.healthy) {
        health.error = read.error().message;
        return health;
    }
    const Result<AlarmListResponse> alarms = client->alarm_list();
    if (!alarms) {
        health.healthy = false;
        health.error = "Unable to fetch the alarm list";
    } else if (!alarms->alarms.empty()) {
        health.healthy = false;
        health.error = "Active Alarm(s): ";
        for (const Alarm& alarm : alarms->alarms) {
            health.error += fmt::format("{} ", alarm_name(alarm.type));
        }
    }
    return health;
}

std::vector<EndpointHealth> ask_all_for_health(const Context& context,
                                               const std::vector<std::string>& endpoints) {
    const Progress progress(context.streams, std::string(context.line.command->path));
    std::vector<EndpointHealth> list(endpoints.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < list.size(); ++i) {
        threads.emplace_back([&, i] { list[i] = health_of(context, endpoints[i]); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return list;
}

template <class Entry>
struct Answers {
    bool asked = false;  // false: it was not even known whom to ask
    std::vector<Entry> entries;
    Outcome outcome;
};

// One question to each endpoint in turn. Those that fail are said on the error stream; the last
// one's error is the outcome's.
template <class Entry, class Answer>
Answers<Entry> ask_each(const Context& context, std::string_view what,
                        const std::function<Result<Answer>(Client&)>& question) {
    Answers<Entry> answers;
    const Endpoints endpoints = endpoints_of(context);
    if (endpoints.outcome.code != kExitOk) {
        answers.outcome = endpoints.outcome;
        return answers;
    }
    answers.asked = true;
    for (std::size_t i = 0; i < endpoints.list.size(); ++i) {
        const std::string& endpoint = endpoints.list[i];
        Result<Client> client = open_client(context, {endpoint});
        Result<Answer> answer = [&] {
            const Progress progress(
                context.streams, fmt::format("{} of {}, endpoint {} of {}", what, endpoint, i + 1,
                                             endpoints.list.size()));
            return client ? question(*client) : Result<Answer>(client.error());
        }();
        if (answer) {
            answers.entries.push_back({endpoint, std::move(*answer)});
            continue;
        }
        context.streams.error << fmt::format("Failed to get the {} of endpoint {} ({})\n", what,
                                             endpoint, answer.error().message);
        answers.outcome = {kExitError, answer.error().message};
    }
    return answers;
}

}  // namespace

const std::span<const OptionSpec> kMemberListOptions = kMemberList;
const std::span<const OptionSpec> kEndpointOptions = kEndpoint;
const std::span<const OptionSpec> kHashKvOptions = kHashKv;

Outcome run_member_list(const Context& context) {
    const std::string& consistency = context.line.text("consistency");
    if (consistency != "l" && consistency != "s") {
        return {kExitBadFeature, fmt::format("unknown consistency flag \"{}\"", consistency)};
    }
    return ask(
        context, [&](Client& client) { return client.member_list(consistency == "l"); },
        [&](const MemberListResponse& response) { print_members(context, response); });
}

Outcome run_endpoint_status(const Context& context) {
    if (Outcome bad = check_output_is_not(context, Output::kProtobuf); bad.code != kExitOk) {
        return bad;
    }
    const auto answers = ask_each<EndpointStatus, StatusResponse>(
        context, "status", [](Client& client) { return client.status(); });
    if (!answers.asked) {
        return answers.outcome;
    }
    print_status(context, answers.entries);
    return {answers.outcome.code, {}};  // what failed was said beside its endpoint
}

Outcome run_endpoint_health(const Context& context) {
    if (Outcome bad = check_output_is_not(context, Output::kProtobuf); bad.code != kExitOk) {
        return bad;
    }
    const Endpoints endpoints = endpoints_of(context);
    if (endpoints.outcome.code != kExitOk) {
        return endpoints.outcome;
    }
    const std::vector<EndpointHealth> list = ask_all_for_health(context, endpoints.list);
    print_health(context, list);
    const bool all_healthy = std::all_of(list.begin(), list.end(),
                                         [](const EndpointHealth& entry) { return entry.healthy; });
    return all_healthy ? Outcome{} : Outcome{kExitError, "unhealthy cluster"};
}

Outcome run_endpoint_hashkv(const Context& context) {
    if (Outcome bad = check_output_is_not(context, Output::kProtobuf); bad.code != kExitOk) {
        return bad;
    }
    const std::int64_t revision = context.line.number("rev");
    const auto answers = ask_each<EndpointHash, HashKvResponse>(
        context, "hash", [revision](Client& client) { return client.hash_kv(revision); });
    if (answers.asked) {
        print_hashes(context, answers.entries);
    }
    return answers.outcome;
}

Outcome run_alarm_list(const Context& context) {
    if (!context.line.arguments.empty()) {
        return {kExitBadArgs, "alarm list command accepts no arguments"};
    }
    if (Outcome table = check_output_is_not(context, Output::kTable); table.code != kExitOk) {
        return table;
    }
    return ask(
        context, [&](Client& client) { return client.alarm_list(); },
        [&](const AlarmListResponse& response) { print_alarms(context, response); });
}

}  // namespace cairn::client::ctl
