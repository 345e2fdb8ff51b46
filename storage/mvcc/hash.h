// HashKV: one number over all versions a reader can still see, equal on all members.
// Pure function of the reader; any thread. Cost: a walk over the whole history.
// Never depends on how far the collector has come.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "storage/engine.h"

namespace cairn::storage::mvcc {

// Over every version in (compacted, revision], and for each key over its newest version at or below
// `compacted` when that is not a tombstone: exactly what compaction must keep.
Result<std::uint32_t> hash_versions(const EngineReader& reader, std::int64_t revision,
                                    std::int64_t compacted);

}  // namespace cairn::storage::mvcc
