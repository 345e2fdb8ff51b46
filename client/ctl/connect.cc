#include "client/ctl/connect.h"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "client/ctl/style.h"

namespace cairn::client::ctl {

ClientOptions client_options(const Context& context, const std::vector<std::string>& endpoints) {
    // To the library 0 is no limit; on a command line it is a time that is over, as in etcdctl.
    constexpr std::chrono::nanoseconds kShortest(1);
    // As grpc-go, and with it etcdctl: servers cut off who pings too often.
    constexpr std::chrono::seconds kKeepaliveMin(10);
    ClientOptions options;
    options.endpoints = endpoints;
    options.dial_timeout = context.line.duration("dial-timeout");
    options.request_timeout = std::max(context.line.duration("command-timeout"), kShortest);
    options.keepalive_time =
        std::max<std::chrono::nanoseconds>(context.line.duration("keepalive-time"), kKeepaliveMin);
    options.keepalive_timeout = std::max(context.line.duration("keepalive-timeout"), kShortest);
    return options;
}

Result<Client> open_client(const Context& context, const std::vector<std::string>& endpoints) {
    return Client::connect(client_options(context, endpoints));
}

Outcome bad_endpoint(const Error& error) { return {kExitBadConnection, error.message}; }

Outcome failed_call(const Error& error) {
    return {kExitError, error.maybe_applied ? error.message + " (the change may have been applied)"
                                            : error.message};
}

Outcome check_output_is_not(const Context& context, Output output) {
    if (context.output != output) {
        return {};
    }
    const std::string_view name = output == Output::kTable ? "table" : "protobuf";
    return {kExitBadFeature, fmt::format("{} not supported as output format", name)};
}

Outcome check_connection_options(const Context& context) {
    const Invocation& line = context.line;
    for (const std::string_view option : {"cacert", "cert", "key"}) {
        if (!line.text(option).empty()) {
            return {kExitBadArgs, fmt::format("--{}: TLS is not supported yet", option)};
        }
    }
    if (!line.flag("insecure-transport")) {
        return {kExitBadArgs, "--insecure-transport=false: TLS is not supported yet"};
    }
    if (!line.text("discovery-srv").empty()) {
        return {kExitBadArgs, "--discovery-srv: discovery by DNS is not supported yet"};
    }
    if (!line.text("user").empty()) {
        // As etcdctl with a server that has no authentication.
        context.streams.error << painted(context.streams.terminal.colours_error, Paint::kYellow,
                                         "Warning:")
                              << " --user is passed over: authentication is not supported yet\n";
    }
    return {};
}

}  // namespace cairn::client::ctl
