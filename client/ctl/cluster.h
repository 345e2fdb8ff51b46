// The commands about members and endpoints: member list, endpoint …, alarm list.
// One thread each; endpoint health asks all endpoints at once.
#pragma once

#include "client/ctl/command.h"

namespace cairn::client::ctl {

extern const std::span<const OptionSpec> kMemberListOptions;
extern const std::span<const OptionSpec> kEndpointOptions;
extern const std::span<const OptionSpec> kHashKvOptions;

Outcome run_member_list(const Context& context);
Outcome run_endpoint_status(const Context& context);
Outcome run_endpoint_health(const Context& context);
Outcome run_endpoint_hashkv(const Context& context);
Outcome run_alarm_list(const Context& context);

}  // namespace cairn::client::ctl
