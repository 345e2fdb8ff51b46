// The texts that come from the table of commands: help, shell completion, the manual page.
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "client/ctl/command.h"

namespace cairn::client::ctl {

extern const std::span<const OptionSpec> kCompletionOptions;

// The help of a command, of a group ("endpoint"), or of everything (empty).
std::string help_text(std::string_view path);
// cairn(1) in troff.
std::string manual_page();
// A script that teaches the shell (bash, zsh or fish) commands and options; empty for others.
std::string completion_script(std::string_view shell);

Outcome run_completion(const Context& context);
Outcome run_version(const Context& context);
Outcome run_manual(const Context& context);

}  // namespace cairn::client::ctl
