// What the commands share: a client from the global options, one call with it, a failed call's
// outcome. One thread.
#pragma once

#include <string>
#include <vector>

#include "client/client.h"
#include "client/ctl/command.h"
#include "client/ctl/progress.h"

namespace cairn::client::ctl {

// For these endpoints, with the command line's timeouts.
ClientOptions client_options(const Context& context, const std::vector<std::string>& endpoints);
// A client with these.
Result<Client> open_client(const Context& context, const std::vector<std::string>& endpoints);
// kExitBadConnection: an endpoint that is none.
Outcome bad_endpoint(const Error& error);
// kExitError, with the error's text; says so when the write may have been applied all the same.
Outcome failed_call(const Error& error);
// kExitBadFeature: the answer of this command cannot be shown so; asked before the call.
Outcome check_output_is_not(const Context& context, Output output);
// kExitBadArgs: options that want what is not here yet. Warns about those that can be passed over.
Outcome check_connection_options(const Context& context);

// One call to --endpoints and what it answers: `call` gets a Client, `show` the answer.
template <class Call, class Show>
Outcome ask(const Context& context, Call call, Show show) {
    Result<Client> client = open_client(context, context.endpoints);
    if (!client) {
        return bad_endpoint(client.error());
    }
    const auto response = [&] {
        const Progress progress(context.streams, std::string(context.line.command->path));
        return call(*client);
    }();
    if (!response) {
        return failed_call(response.error());
    }
    show(*response);
    return {};
}

}  // namespace cairn::client::ctl
