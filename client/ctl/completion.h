// Scripts that teach a shell the commands, their options and the values these can have, from the
// table of commands. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "client/ctl/command.h"

namespace cairn::client::ctl {

// For bash, zsh or fish; empty for others.
std::string completion_script(std::string_view shell);

Outcome run_completion(const Context& context);

}  // namespace cairn::client::ctl
