// Appends batches to the Raft log: one write and one sync each, in segments made ready beforehand.
// Owned by LogStore; on the log's thread.
// Never writes a batch before the one before it is durable, and never goes on after an error: the
// owner must not call again (a failed sync says nothing about what a second one would save).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/wal_format.h"
#include "storage/wal_reader.h"

namespace cairn::storage::wal {

class Writer {
  public:
    Writer(FileSystem& files, std::string dir, const LogOptions& options);

    // Takes over where the reader ended. Makes durable what it read, removes what is left of an
    // interrupted run, and begins the first segment of a new log.
    Result<void> resume(LogEnd end, std::vector<std::uint64_t> spares, const SegmentState& state);

    // Writes the payload in `buffer` as the next batch and makes it durable. `state` is the log's
    // state before it, for the first batch of a new segment.
    Result<void> write(BatchKind kind, BatchBuffer& buffer, const SegmentState& state);

    // Makes a part of the next segment, if none is ready and the part is due.
    Result<void> prepare();

    // The log was truncated: its last index became `last`, for a moment.
    void truncated(Index last);
    // Recycles or deletes the segments that hold nothing above `floor`, oldest first.
    Result<void> release(Index floor);

    [[nodiscard]] bool sealed() const { return end_.sealed; }
    [[nodiscard]] std::uint64_t syncs() const { return syncs_; }
    [[nodiscard]] std::uint64_t bytes_written() const { return bytes_written_; }
    [[nodiscard]] std::uint64_t segments() const { return end_.segments.size(); }

  private:
    Result<void> rewrite_newest();
    Result<void> clean_spares(const std::vector<std::uint64_t>& spares);
    Result<void> begin_segment(const SegmentState& state, std::uint64_t first_batch_bytes);
    Result<std::uint64_t> make_spare(std::uint64_t bytes);
    Result<void> fill(File& spare, std::uint64_t bytes);
    Result<void> grow_spare(std::uint64_t bytes);
    void drop_growing();
    // Room for the rest of a spare, and as much again for others.
    Result<bool> has_room();
    Result<void> write_here(BatchKind kind, BatchBuffer& buffer);
    Result<void> sync_file();
    [[nodiscard]] std::string segment_path(std::uint64_t id) const;
    [[nodiscard]] std::string spare_path(std::uint64_t id) const;

    FileSystem& files_;
    const std::string dir_;
    const LogOptions options_;
    // newest_batch is used by resume alone.
    LogEnd end_;
    std::unique_ptr<File> file_;         // the last of end_.segments
    std::vector<std::uint64_t> spares_;  // each segment_bytes long
    std::uint64_t next_spare_ = 1;
    std::unique_ptr<File> growing_;  // a spare under way, not among spares_; shorter than a segment
    std::uint64_t growing_id_ = 0;
    std::uint64_t growing_bytes_ = 0;
    std::uint64_t no_room_before_ = 0;  // this offset, a full disk is not asked again
    BatchBuffer segment_buffer_;
    std::uint64_t syncs_ = 0;
    std::uint64_t bytes_written_ = 0;
};

}  // namespace cairn::storage::wal
