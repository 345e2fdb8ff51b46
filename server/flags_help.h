// The texts that come from the table of flags: cairnd --help and docs/flags.md.
// Pure functions; any thread. Must never hold a fact about a flag that is not in the table.
#pragma once

#include <string>

namespace cairn::server {

// For a terminal, with examples at the end.
std::string flags_help();
// docs/flags.md, byte for byte.
std::string flags_markdown();

}  // namespace cairn::server
