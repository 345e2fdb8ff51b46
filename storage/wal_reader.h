// Reads the whole Raft log back from its segments and decides what is a torn tail.
// Used once, when a log is opened; on the log's thread.
// Never changes a file, and never drops a batch of which a trace shows that it was durable.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "raft/persist.h"
#include "storage/file_system.h"
#include "storage/wal_format.h"

namespace cairn::storage::wal {

// One segment file that holds batches.
struct Segment {
    std::uint64_t id{};
    std::uint64_t bytes{};  // the file's length
    // The last index of the log when the segment began, lowered by later truncations: once the
    // floor reaches the next segment's value, this segment is not needed.
    Index start_last;
};

// Where the log ends: all that a writer needs to go on.
struct LogEnd {
    std::deque<Segment> segments;  // consecutive ids; empty for a new log
    std::uint64_t offset{};        // in the last segment, where the next batch goes
    std::uint64_t next_number = 1;
    std::uint64_t chain{};
    // The newest batch as it was read. It may never have been synced (the process died between
    // write and sync, and the page cache answered), so the writer writes and syncs it again.
    std::string newest_batch;
    bool sealed = false;  // the newest batch is a seal
    bool torn = false;    // at `offset` stands the header of a batch that fails its check
    // Segment files whose first batch was torn: they hold nothing.
    std::vector<std::uint64_t> headless;
};

struct ReadLog {
    raft::Recovered recovered;
    SegmentState state;  // what the next segment's first batch would say
    LogEnd end;
    std::uint64_t torn_bytes{};
};

// Reads the segments `ids` (sorted) of `dir`. kCorrupt names file, offset and the first index
// missing; kUnsupportedVersion; kIo.
Result<ReadLog> read_log(FileSystem& files, const std::string& dir,
                         std::span<const std::uint64_t> ids);

}  // namespace cairn::storage::wal
