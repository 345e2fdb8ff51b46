// A table of text in a frame, as etcdctl draws it: titles in capitals and centred, cells to the
// right. Pure; any thread.
#pragma once

#include <string>
#include <vector>

namespace cairn::client::ctl {

// Each row has as many cells as there are titles; `bold`: the titles are, on a terminal.
std::string draw_table(bool bold, const std::vector<std::string>& titles,
                       const std::vector<std::vector<std::string>>& rows);

}  // namespace cairn::client::ctl
