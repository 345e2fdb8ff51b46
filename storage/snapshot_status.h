// What a snapshot holds, in numbers.
// A function; any thread.
// Never changes a file of the snapshot.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "storage/engine.h"

namespace cairn::storage {

struct SnapshotFacts {
    std::uint32_t hash{};  // HashKV at the revision
    std::int64_t revision{};
    std::int64_t keys{};  // that live
};

// Of the unpacked snapshot in `dir`. kCorrupt, kUnsupportedVersion, kNotFound, kIo.
Result<SnapshotFacts> read_snapshot_facts(EngineKind& kind, const std::string& dir);

}  // namespace cairn::storage
