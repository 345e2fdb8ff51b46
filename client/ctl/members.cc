#include "client/ctl/members.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/url.h"
#include "client/ctl/connect.h"
#include "client/ctl/go_text.h"
#include "client/ctl/print.h"

namespace cairn::client::ctl {
namespace {

constexpr OptionSpec kMemberAdd[] = {
    {"learner", 0, OptionType::kBool, "false", "without a vote, until it is promoted"},
    {"peer-urls", 0, OptionType::kString, "", "the new member's peer URLs, separated by commas"},
};

constexpr OptionSpec kMemberUpdate[] = {
    {"peer-urls", 0, OptionType::kString, "", "the member's new peer URLs, separated by commas"},
};

// etcdctl has no such answer for these commands; it finds out when the change is made.
Outcome check_output(const Context& context) {
    return context.output == Output::kFields
               ? Outcome{kExitBadFeature, "fields not supported as output format"}
               : check_output_is_not(context, Output::kTable);
}

struct Id {
    std::uint64_t value = 0;
    Outcome outcome;
};

// The only argument.
Id member_id_of(const Context& context) {
    if (context.line.arguments.size() != 1) {
        return {0, {kExitBadArgs, "member ID is not provided"}};
    }
    const GoUnsigned id = parse_go_unsigned(context.line.arguments.front(), 16);
    if (!id.error.empty()) {
        return {
            0,
            {kExitBadArgs, fmt::format("bad member ID arg ({}), expecting ID in Hex", id.error)}};
    }
    return {id.value, check_output(context)};
}

struct Urls {
    std::vector<std::string> list;
    Outcome outcome;
};

// --peer-urls, which must be some; each is looked at here, as etcd's client library does.
Urls peer_urls_of(const Context& context) {
    const std::string& text = context.line.text("peer-urls");
    if (text.empty()) {
        return {{}, {kExitBadArgs, "member peer urls not provided"}};
    }
    Urls urls;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        urls.list.push_back(text.substr(begin, comma - begin));
        begin = comma + 1;
    }
    return urls;
}

Outcome check_urls(const std::vector<std::string>& urls) {
    for (const std::string& text : urls) {
        if (const auto url = parse_url(text); url.has_error()) {
            return {kExitError, url.error().detail};
        }
    }
    return {};
}

// "…, did you mean --peer-urls=http://…", as etcdctl 3 guesses what was meant for etcdctl 2.
Outcome too_many_arguments(const std::vector<std::string>& arguments) {
    std::string error = "too many arguments";
    for (const std::string& argument : arguments) {
        std::string lower = argument;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (lower.starts_with("http")) {
            error += fmt::format(", did you mean --peer-urls={}", argument);
        }
    }
    return {kExitBadArgs, error};
}

// Who leads, by the word of the leader itself; it alone hands over.
struct Leader {
    std::string endpoint;
    std::uint64_t id = 0;
    Outcome outcome;
};

Leader find_leader(const Context& context) {
    const Progress progress(context.streams, "looking for the leader");
    for (const std::string& endpoint : context.endpoints) {
        Result<Client> client = open_client(context, {endpoint});
        if (!client) {
            return {{}, 0, bad_endpoint(client.error())};
        }
        const Result<StatusResponse> status = client->status();
        if (!status) {
            return {{}, 0, failed_call(status.error())};
        }
        if (status->header.member_id == status->leader) {
            return {endpoint, status->leader, {}};
        }
    }
    return {{},
            0,
            {kExitBadArgs,
             fmt::format("no leader endpoint given at [{}]", fmt::join(context.endpoints, " "))}};
}

}  // namespace

const std::span<const OptionSpec> kMemberAddOptions = kMemberAdd;
const std::span<const OptionSpec> kMemberUpdateOptions = kMemberUpdate;

Outcome run_member_add(const Context& context) {
    const std::vector<std::string>& arguments = context.line.arguments;
    if (arguments.empty()) {
        return {kExitBadArgs, "member name not provided"};
    }
    if (arguments.size() > 1) {
        return too_many_arguments(arguments);
    }
    Urls urls = peer_urls_of(context);
    for (Outcome bad : {urls.outcome, check_output(context), check_urls(urls.list)}) {
        if (bad.code != kExitOk) {
            return bad;
        }
    }
    MemberAddRequest request;
    request.peer_urls = std::move(urls.list);
    request.is_learner = context.line.flag("learner");
    return ask(
        context, [&](Client& client) { return client.member_add(request); },
        [&](const MemberAddResponse& response) {
            print_member_added(context, response, arguments.front(),
                               context.line.text("peer-urls"));
        });
}

Outcome run_member_remove(const Context& context) {
    const Id id = member_id_of(context);
    if (id.outcome.code != kExitOk) {
        return id.outcome;
    }
    return ask(
        context, [&](Client& client) { return client.member_remove(id.value); },
        [&](const MemberListResponse& response) {
            print_member_change(context, "removed from", id.value, response);
        });
}

Outcome run_member_update(const Context& context) {
    const Id id = member_id_of(context);
    if (id.outcome.code != kExitOk) {
        return id.outcome;
    }
    Urls urls = peer_urls_of(context);
    for (Outcome bad : {urls.outcome, check_urls(urls.list)}) {
        if (bad.code != kExitOk) {
            return bad;
        }
    }
    MemberUpdateRequest request;
    request.id = id.value;
    request.peer_urls = std::move(urls.list);
    return ask(
        context, [&](Client& client) { return client.member_update(request); },
        [&](const MemberListResponse& response) {
            print_member_change(context, "updated in", id.value, response);
        });
}

Outcome run_member_promote(const Context& context) {
    const Id id = member_id_of(context);
    if (id.outcome.code != kExitOk) {
        return id.outcome;
    }
    return ask(
        context, [&](Client& client) { return client.member_promote(id.value); },
        [&](const MemberListResponse& response) {
            print_member_change(context, "promoted in", id.value, response);
        });
}

Outcome run_move_leader(const Context& context) {
    if (context.line.arguments.size() != 1) {
        return {kExitBadArgs, "move-leader command needs 1 argument"};
    }
    const GoUnsigned target = parse_go_unsigned(context.line.arguments.front(), 16);
    if (!target.error.empty()) {
        return {kExitBadArgs, target.error};
    }
    if (Outcome bad = check_output(context); bad.code != kExitOk) {
        return bad;
    }
    const Leader leader = find_leader(context);
    if (leader.outcome.code != kExitOk) {
        return leader.outcome;
    }
    Result<Client> client = open_client(context, {leader.endpoint});
    if (!client) {
        return bad_endpoint(client.error());
    }
    const auto moved = [&] {
        const Progress progress(context.streams, "move-leader");
        return client->move_leader(target.value);
    }();
    if (!moved) {
        return failed_call(moved.error());
    }
    print_leader_moved(context, leader.id, target.value);
    return {};
}

}  // namespace cairn::client::ctl
