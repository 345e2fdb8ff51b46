// What --force-new-cluster makes of a member's log: a cluster of this member alone.
// Pure functions; any thread.
// Never drops an entry: what this log has may have been acknowledged, though nobody is left who
// knows.
#pragma once

#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "raft/persist.h"

namespace cairn::server {

// What is to be written behind the log, so that it ends in the configuration {self}: a removal of
// each of the others, committed with all before. None when the log ends so already. kInvalidConfig
// when `self` is not a member, kMalformed for a log that does not decode.
Result<std::optional<raft::PersistBatch>> make_lone_member(const raft::Recovered& recovered,
                                                           NodeId self);

// The log after the batch was written.
void rewrite(raft::Recovered& recovered, raft::PersistBatch batch);

}  // namespace cairn::server
