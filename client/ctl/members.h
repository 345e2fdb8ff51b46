// The commands that change the cluster: member add, remove, update and promote, and move-leader.
// One thread each.
#pragma once

#include "client/ctl/command.h"

namespace cairn::client::ctl {

extern const std::span<const OptionSpec> kMemberAddOptions;
extern const std::span<const OptionSpec> kMemberUpdateOptions;

Outcome run_member_add(const Context& context);
Outcome run_member_remove(const Context& context);
Outcome run_member_update(const Context& context);
Outcome run_member_promote(const Context& context);
Outcome run_move_leader(const Context& context);

}  // namespace cairn::client::ctl
