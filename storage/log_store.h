// The Raft log on disk: segments of checksummed batches (docs/formats/wal.md).
// Owned by the shell; open and append on the log's thread only.
// Never drops a batch that may have been acknowledged: what it cannot read it refuses.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "raft/persist.h"
#include "storage/file_system.h"

namespace cairn::storage {

struct LogOptions {
    std::uint64_t segment_bytes = 64U * 1024U * 1024U;  // preallocated; a larger batch gets its own
    // Spare segments kept for reuse after compaction, so that appends meet zero-filled blocks.
    std::uint32_t recycle_max = 2;
};

// Counters for /metrics; plain values, read on the log's thread.
struct LogStats {
    std::uint64_t appends{};
    std::uint64_t syncs{};
    std::uint64_t bytes_written{};
    std::uint64_t segments{};
};

class LogStore {
  public:
    // Opens the log in `dir` (created when missing), drops a torn tail, and gives back what it
    // holds. kCorrupt names file, offset and the first index lost; kUnsupportedVersion; kIo.
    struct Opened;
    static Result<Opened> open(FileSystem& files, std::string dir, LogOptions options);

    LogStore(const LogStore&) = delete;
    LogStore& operator=(const LogStore&) = delete;
    ~LogStore();

    // Makes all batches durable with as few syncs as the format allows (one, unless a segment
    // ends); they are written in order and either a prefix of them survives a crash or all do.
    // Any error is final: the member halts (a failed fsync is never tried again).
    Result<void> append(std::span<const raft::PersistBatch> batches);

    // Appends an empty batch behind the newest one, so that rot in that one can be told from a
    // tear. Does nothing when the newest batch is already such a seal.
    Result<void> seal();

    // Does a bounded part of what a later append would have to do: writes zeros to the file that
    // becomes the next segment, so much that it is whole when this one is half full. To be called
    // after appends, when their outcome has been reported. Errors as of append.
    Result<void> prepare();

    [[nodiscard]] LogStats stats() const;

  private:
    class Impl;
    explicit LogStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

struct LogStore::Opened {
    std::unique_ptr<LogStore> log;
    raft::Recovered recovered;
    std::uint64_t torn_bytes{};  // length of the tail that was dropped, for the start-up log line
};

}  // namespace cairn::storage
