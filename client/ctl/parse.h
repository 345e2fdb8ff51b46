// Reads a command line as cobra and pflag do, which scripts for etcdctl rely on: options and
// arguments in any order, "--" ends the options, a key may look like a command's name, a command's
// name may be cut short as long as only one begins so.
// Pure functions; one thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "client/ctl/command.h"

namespace cairn::client::ctl {

enum class ParseKind : std::uint8_t {
    kRun,    // invocation is whole
    kHelp,   // show the help of `help_path` (empty: of everything)
    kError,  // show `error` and where to find the help of `help_path`
};

struct ParsedLine {
    ParseKind kind = ParseKind::kRun;
    Invocation invocation;
    std::string help_path;
    std::string error;
};

ParsedLine parse_line(const std::vector<std::string>& arguments,
                      const std::map<std::string, std::string>& environment);

// The command of this path, or nullptr.
const CommandSpec* find_command(std::string_view path);
// Whether some command's path begins with these words and goes on.
bool is_group(std::string_view path);
// Every word that can follow these words of a command.
std::set<std::string> words_after(std::string_view path);
// "CAIRN_DIAL_TIMEOUT" for prefix "CAIRN_" and option "dial-timeout".
std::string variable_of(std::string_view prefix, std::string_view option);

}  // namespace cairn::client::ctl
