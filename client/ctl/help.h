// The texts for people that come from the table of commands: help and the manual page.
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "client/ctl/command.h"

namespace cairn::client::ctl {

// The help of a command, of a group ("endpoint"), or of everything (empty).
std::string help_text(std::string_view path);
// cairn(1) in troff.
std::string manual_page();

Outcome run_version(const Context& context);
Outcome run_manual(const Context& context);

}  // namespace cairn::client::ctl
