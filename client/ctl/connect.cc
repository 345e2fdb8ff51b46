#include "client/ctl/connect.h"

namespace cairn::client::ctl {

Result<Client> open_client(const Context& context, const std::vector<std::string>& endpoints) {
    ClientOptions options;
    options.endpoints = endpoints;
    options.dial_timeout = context.line.duration("dial-timeout");
    options.request_timeout = context.line.duration("command-timeout");
    return Client::connect(options);
}

Outcome bad_endpoint(const Error& error) { return {kExitBadConnection, error.message}; }

Outcome failed_call(const Error& error) {
    return {kExitError, error.maybe_applied ? error.message + " (the change may have been applied)"
                                            : error.message};
}

Outcome check_no_table(const Context& context) {
    if (context.output == Output::kTable) {
        return {kExitBadFeature, "table not supported as output format"};
    }
    return {};
}

}  // namespace cairn::client::ctl
