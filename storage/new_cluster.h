// What a snapshot's state becomes when a new cluster begins with it: everything users wrote stays,
// whatever was the old cluster's goes.
// A function over an engine nobody else uses; one thread.
// Never touches a key, a lease or an alarm: etcd keeps all three (docs/operations.md).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "raft/types.h"
#include "storage/engine.h"

namespace cairn::storage {

struct NewCluster {
    std::vector<command::MemberInfo> members;
    // As if this entry were the last one applied, with this configuration behind it.
    raft::SnapshotMeta start;
    // When not 0: the revision grows by so much, and all before is compacted, so that nobody who
    // saw a later revision of the old cluster takes it for one of this.
    std::int64_t bump_revision = 0;
};

// Durable when it returns the store's revision. kInvalidConfig: the revision would be no number.
// What the engine says; kCorrupt for one that is no member's.
Result<std::int64_t> begin_new_cluster(KvEngine& engine, const NewCluster& cluster);

}  // namespace cairn::storage
