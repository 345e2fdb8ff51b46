// What the commands share: a client from the global options, and a failed call's outcome.
// One thread.
#pragma once

#include <string>
#include <vector>

#include "client/client.h"
#include "client/ctl/command.h"

namespace cairn::client::ctl {

// A client for these endpoints, with the command line's timeouts.
Result<Client> open_client(const Context& context, const std::vector<std::string>& endpoints);
// kExitBadConnection: an endpoint that is none.
Outcome bad_endpoint(const Error& error);
// kExitError, with the error's text; says so when the write may have been applied all the same.
Outcome failed_call(const Error& error);
// An error when the answer of this command cannot be shown as a table; asked before the call.
Outcome check_no_table(const Context& context);

}  // namespace cairn::client::ctl
