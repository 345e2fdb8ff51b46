#include "storage/wal_writer.h"

#include <algorithm>
#include <utility>

#include "base/buggify.h"
#include "base/mutant.h"
#include "base/probe.h"

namespace cairn::storage::wal {
namespace {

// The least and the most that one step adds to a spare: a sync costs more than a few zeros, and the
// next append waits for the step.
constexpr std::uint64_t kSpareStepMin = 1024U * 1024U;
constexpr std::uint64_t kSpareStepMax = 8U * 1024U * 1024U;

}  // namespace

Writer::Writer(FileSystem& files, std::string dir, const LogOptions& options)
    : files_(files), dir_(std::move(dir)), options_(options) {}

std::string Writer::segment_path(std::uint64_t id) const { return dir_ + "/" + segment_name(id); }

std::string Writer::spare_path(std::uint64_t id) const { return dir_ + "/" + spare_name(id); }

Result<void> Writer::sync_file() {
    ++syncs_;
    if (CAIRN_MUTANT(sync_retried) && file_->sync().has_value()) {
        return ok();
    }
    return file_->sync();
}

Result<void> Writer::resume(LogEnd end, std::vector<std::uint64_t> spares,
                            const SegmentState& state) {
    end_ = std::move(end);
    // What the reader saw may have been in memory only: names as well as the newest batch.
    CAIRN_TRY(files_.sync_dir(dir_));
    if (!end_.segments.empty()) {
        CAIRN_TRY(rewrite_newest());
    }
    for (const std::uint64_t id : end_.headless) {
        CAIRN_PROBE("wal.segment_without_head_removed");
        CAIRN_TRY(files_.remove(segment_path(id)));
    }
    CAIRN_TRY(clean_spares(spares));
    CAIRN_TRY(files_.sync_dir(dir_));
    if (end_.segments.empty()) {
        return begin_segment(state, kBlockBytes);
    }
    return release(state.floor.last.index);
}

Result<void> Writer::rewrite_newest() {
    Segment& segment = end_.segments.back();
    CAIRN_TRY(file_, files_.open(segment_path(segment.id), OpenMode::kReadWrite));
    // All batches before the newest were synced before it was written. The newest may not be: after
    // a failed sync the page cache can show it, marked clean, though the disk does not have it.
    // Only writing it again helps. The bytes are the same, so a crash here takes nothing away.
    if (!CAIRN_MUTANT(page_cache_believed)) {
        CAIRN_TRY(file_->write_at(end_.offset - end_.newest_batch.size(), end_.newest_batch));
    }
    // What was not found must not come back: of the next batch in its place a crash may keep just
    // the sectors that this one lacks (its padding, where the file was recycled).
    if (end_.torn) {
        CAIRN_TRY(file_->write_at(end_.offset, std::string(kBlockBytes, '\0')));
    }
    if (segment.bytes < options_.segment_bytes) {
        CAIRN_TRY(file_->preallocate(options_.segment_bytes));
        segment.bytes = options_.segment_bytes;
    }
    end_.newest_batch = {};
    return sync_file();
}

Result<void> Writer::clean_spares(const std::vector<std::uint64_t>& spares) {
    for (const std::uint64_t id : spares) {
        next_spare_ = std::max(next_spare_, id + 1);
        CAIRN_TRY(auto file, files_.open(spare_path(id), OpenMode::kRead));
        CAIRN_TRY(const std::uint64_t bytes, file->size());
        if (bytes == options_.segment_bytes && spares_.size() < options_.recycle_max) {
            spares_.push_back(id);
        } else {
            CAIRN_TRY(files_.remove(spare_path(id)));
        }
    }
    return ok();
}

Result<void> Writer::write(BatchKind kind, BatchBuffer& buffer, const SegmentState& state) {
    const std::uint64_t bytes = padded_bytes(buffer.payload_bytes());
    if (end_.offset + bytes > end_.segments.back().bytes ||
        CAIRN_BUGGIFY("wal.segment_ends_early")) {
        CAIRN_TRY(begin_segment(state, bytes));
    }
    return write_here(kind, buffer);
}

Result<void> Writer::write_here(BatchKind kind, BatchBuffer& buffer) {
    BatchHeader header{.kind = kind,
                       .segment = end_.segments.back().id,
                       .number = end_.next_number,
                       .chain = end_.chain};
    buffer.finish(header, end_.offset);
    CAIRN_TRY(file_->write_at(end_.offset, buffer.view()));
    if (!CAIRN_MUTANT(log_not_synced)) {
        CAIRN_TRY(sync_file());
    }
    end_.offset += buffer.view().size();
    end_.next_number = header.number + 1;
    end_.chain = header.header_sum;
    end_.sealed = kind == BatchKind::kSeal;
    bytes_written_ += buffer.view().size();
    return ok();
}

// A spare gets the segment's name and the name is made durable before the first byte is written:
// a segment without a valid first batch therefore never held anything.
Result<void> Writer::begin_segment(const SegmentState& state, std::uint64_t first_batch_bytes) {
    segment_buffer_.clear();
    encode_segment_state(state, segment_buffer_);
    const std::uint64_t needed = padded_bytes(segment_buffer_.payload_bytes()) + first_batch_bytes;
    std::uint64_t bytes = options_.segment_bytes;
    std::uint64_t spare = 0;
    if (needed > bytes) {
        CAIRN_PROBE("wal.segment_for_a_large_batch");
        bytes = needed;
        CAIRN_TRY(spare, make_spare(bytes));
    } else {
        // By steps here too: what is synced at once holds up everybody who shares the disk.
        while (spares_.empty()) {
            CAIRN_TRY(grow_spare(std::min(growing_bytes_ + kSpareStepMax, bytes)));
        }
        spare = spares_.front();
        spares_.erase(spares_.begin());
    }
    const std::uint64_t id = end_.segments.empty() ? 1 : end_.segments.back().id + 1;
    CAIRN_TRY(files_.rename(spare_path(spare), segment_path(id)));
    if (!CAIRN_MUTANT(segment_name_not_synced)) {
        CAIRN_TRY(files_.sync_dir(dir_));
    }
    CAIRN_TRY(file_, files_.open(segment_path(id), OpenMode::kReadWrite));
    end_.segments.push_back({id, bytes, state.last.index});
    end_.offset = 0;
    no_room_before_ = 0;
    return write_here(BatchKind::kSegment, segment_buffer_);
}

// Two bytes of the spare for each of the segment.
Result<void> Writer::prepare() {
    const std::uint64_t due = std::min(2 * end_.offset, options_.segment_bytes);
    if (!spares_.empty() || growing_bytes_ >= due || end_.offset < no_room_before_) {
        return ok();
    }
    const std::uint64_t step = std::clamp(due - growing_bytes_, kSpareStepMin, kSpareStepMax);
    Result<void> grown = Error{Errc::kNoSpace, dir_ + ": no room for the next segment"};
    CAIRN_TRY(const bool room, has_room());
    if (room) {
        grown = grow_spare(std::min(growing_bytes_ + step, options_.segment_bytes));
    }
    if (grown.has_error() && grown.error().code == Errc::kNoSpace &&
        !CAIRN_MUTANT(full_disk_stops_early)) {
        CAIRN_PROBE("wal.no_room_for_a_spare");
        // The segment in use has room of its own: the disk is full only for the next one, and may
        // not be by then. What is left is the engine's, which a full disk stops for good.
        no_room_before_ = end_.offset + options_.segment_bytes / 8;
        drop_growing();
        return ok();
    }
    return grown;
}

Result<bool> Writer::has_room() {
    CAIRN_TRY(const std::uint64_t free, files_.free_bytes(dir_));
    return free >= options_.segment_bytes - growing_bytes_ + options_.segment_bytes;
}

// Where even that fails, resume removes it.
void Writer::drop_growing() {
    if (growing_ != nullptr) {
        growing_.reset();
        growing_bytes_ = 0;
        static_cast<void>(files_.remove(spare_path(growing_id_)));
    }
}

Result<void> Writer::fill(File& spare, std::uint64_t bytes) {
    CAIRN_TRY(spare.preallocate(bytes));
    ++syncs_;
    return spare.sync();
}

// Whole, it is a spare as any other. A crash leaves a shorter file, which resume removes. What does
// not fit goes at once: a full disk's last bytes are for the engine, and for the next start.
Result<void> Writer::grow_spare(std::uint64_t bytes) {
    if (growing_ == nullptr) {
        growing_id_ = next_spare_++;
        CAIRN_TRY(growing_, files_.open(spare_path(growing_id_), OpenMode::kCreate));
    }
    if (Result<void> filled = fill(*growing_, bytes); filled.has_error()) {
        if (filled.error().code == Errc::kNoSpace) {
            drop_growing();
        }
        return filled;
    }
    growing_bytes_ = bytes;
    if (bytes == options_.segment_bytes) {
        spares_.push_back(growing_id_);
        growing_.reset();
        growing_bytes_ = 0;
    }
    return ok();
}

Result<std::uint64_t> Writer::make_spare(std::uint64_t bytes) {
    const std::uint64_t id = next_spare_++;
    CAIRN_TRY(auto file, files_.open(spare_path(id), OpenMode::kCreate));
    if (Result<void> filled = fill(*file, bytes); filled.has_error()) {
        if (filled.error().code == Errc::kNoSpace) {
            static_cast<void>(files_.remove(spare_path(id)));
            drop_growing();
        }
        return std::move(filled).error();
    }
    return id;
}

void Writer::truncated(Index last) {
    for (Segment& segment : end_.segments) {
        segment.start_last =
            std::min(segment.start_last,
                     CAIRN_MUTANT(segment_start_not_lowered) ? segment.start_last : last);
    }
}

Result<void> Writer::release(Index floor) {
    while (end_.segments.size() > 1 && end_.segments[1].start_last <= floor &&
           !CAIRN_BUGGIFY("wal.segment_stays")) {
        const Segment oldest = end_.segments.front();
        if (oldest.bytes == options_.segment_bytes && spares_.size() < options_.recycle_max) {
            CAIRN_PROBE("wal.segment_recycled");
            const std::uint64_t spare = next_spare_++;
            CAIRN_TRY(files_.rename(segment_path(oldest.id), spare_path(spare)));
            spares_.push_back(spare);
        } else {
            CAIRN_TRY(files_.remove(segment_path(oldest.id)));
        }
        // One at a time, so that a crash cannot leave an older segment with a hole behind it.
        if (!CAIRN_MUTANT(segments_removed_at_once)) {
            CAIRN_TRY(files_.sync_dir(dir_));
        }
        end_.segments.pop_front();
    }
    return ok();
}

}  // namespace cairn::storage::wal
