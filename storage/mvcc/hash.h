// HashKV: one number over all versions a reader can still see, equal on all members.
// Pure function of the reader; any thread. Cost: a walk over the whole history.
// Never depends on how far the collector has come.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "storage/engine.h"
#include "storage/mvcc/read_guard.h"

namespace cairn::storage::mvcc {

// Over every version in (compacted, revision], and for each key over its newest version at or below
// `compacted` when that is not a tombstone: exactly what compaction must keep. The guard's error
// when it says so.
Result<std::uint32_t> hash_versions(const EngineReader& reader, std::int64_t revision,
                                    std::int64_t compacted, ReadGuard* guard = nullptr);

}  // namespace cairn::storage::mvcc
