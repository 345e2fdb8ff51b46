// Scripts of calls: blocks of input and expected output, separated by blank lines, "----" between
// the two; lines that start with # are comments. With CAIRN_REWRITE set, the file is rewritten.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace cairn::server::api {

// Runs each block's input lines through `run` and checks what it returns against the script.
void run_script(const std::string& path,
                const std::function<std::string(const std::vector<std::string>&)>& run);

}  // namespace cairn::server::api
