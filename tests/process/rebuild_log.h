// The order in which a real cluster carried out its clients' commands, found in what its store
// holds at each revision: every value names the write that made it. Pure; called at the end of a
// run, and by its own tests. Searches nothing: a revision has one writer, and what changed nothing
// stands at its answer's revision.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/etcd/rpc_kv.pb.h"
#include "sim/check_linear.h"

namespace cairn::process {

std::string tagged_value(std::uint64_t tag, std::string_view padding);
std::optional<std::uint64_t> tag_of(std::string_view value);

struct RebuiltLog {
    std::vector<sim::LoggedCommand> commands{};
    // A revision that no client's write explains; the commands below it are there.
    std::optional<std::string> wrong{};
};

// `history`: the load's, with the request of each write in `request`. `states[i]`: all keys at
// revision i + 1, which is empty for i = 0. For check_linear, which finds what does not fit.
RebuiltLog rebuild_log(std::span<const sim::HistoryOp> history,
                       std::span<const etcdserverpb::RangeResponse> states);

}  // namespace cairn::process
