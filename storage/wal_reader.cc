#include "storage/wal_reader.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/probe.h"

namespace cairn::storage::wal {
namespace {

// How much of a segment is in memory at once, unless a batch is longer: segments are mostly zeros
// behind their end, and a buffer for all of one would cost more than reading it.
constexpr std::uint64_t kWindowBytes = std::uint64_t{256} << 10U;

bool all_zero(ByteView bytes) {
    return bytes.empty() ||
           (bytes.front() == '\0' && bytes.substr(1) == bytes.substr(0, bytes.size() - 1));
}

// What lies behind the place where the next batch should have been.
struct TailScan {
    // Where a batch stands that proves the expected one was durable.
    std::optional<std::uint64_t> proof_offset;
    std::uint64_t nonzero_bytes{};
    bool stale = false;  // batches of another segment: the file was recycled
};

class LogReader {
  public:
    LogReader(FileSystem& files, const std::string& dir) : files_(files), dir_(dir) {}

    Result<ReadLog> read(std::span<const std::uint64_t> ids);

  private:
    Result<void> open(std::uint64_t id);
    // The `count` bytes of the segment from `offset`, fewer only at its end. Borrowed until the
    // next call.
    Result<ByteView> view(std::uint64_t offset, std::uint64_t count);
    Result<void> read_segment();
    // Takes the batch at offset_ when it is the one expected there; false when it is not.
    Result<bool> take_batch();
    Result<void> take_payload(const BatchHeader& header, ByteView payload);
    Result<void> take_segment_state(ByteView payload);
    Result<void> apply(raft::PersistBatch batch);
    void drop_entries(raft::EntryId last);
    Result<void> apply_floor(const raft::SnapshotMeta& floor);
    Result<void> apply_entries(std::vector<raft::Entry> entries);
    // Of an entry in entries_.
    [[nodiscard]] Term term_at(Index index) const {
        return entries_[static_cast<std::size_t>(index - first_)].id.term;
    }
    Result<void> check_no_proof(const TailScan& scan, bool headless) const;
    Result<TailScan> scan_tail();
    Result<std::uint64_t> torn_bytes(const TailScan& scan);
    Result<ReadLog> finish();
    [[nodiscard]] Error corrupt(std::uint64_t offset, const std::string& what) const;
    [[nodiscard]] Error corrupt_at(const std::string& path, std::uint64_t offset,
                                   const std::string& what) const;

    FileSystem& files_;
    const std::string& dir_;

    // The segment being read.
    std::uint64_t id_ = 0;
    std::string path_;
    std::unique_ptr<File> file_;
    std::uint64_t size_ = 0;
    std::string window_;  // what stands at window_offset_
    std::uint64_t window_offset_ = 0;
    std::uint64_t offset_ = 0;  // where the next batch is expected
    std::string good_path_;     // the last segment that holds batches; ends at end_.offset

    bool started_ = false;  // a segment's first batch was read
    std::vector<raft::Entry> entries_;
    // Invariant: entries_ holds [first_, state_.last.index]; below first_ the log was not read.
    Index first_{1};
    SegmentState state_;
    LogEnd end_;
    std::uint64_t torn_bytes_ = 0;
};

Error LogReader::corrupt(std::uint64_t offset, const std::string& what) const {
    return corrupt_at(path_, offset, what);
}

Error LogReader::corrupt_at(const std::string& path, std::uint64_t offset,
                            const std::string& what) const {
    return {Errc::kCorrupt, fmt::format("{} at {}: {}; first index missing: {}", path, offset, what,
                                        state_.last.index.value + 1)};
}

Result<ReadLog> LogReader::read(std::span<const std::uint64_t> ids) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
        path_ = dir_ + "/" + segment_name(ids[i]);
        if (i > 0 && ids[i] != ids[i - 1] + 1) {
            return corrupt(
                0, fmt::format("the segment before it, {}, is missing", segment_name(ids[i] - 1)));
        }
        if (!end_.headless.empty()) {
            // The next segment is made only after the first batch of this one is durable.
            return corrupt(0, "a segment stands behind one that has no first batch");
        }
        CAIRN_TRY(open(ids[i]));
        CAIRN_TRY(read_segment());
    }
    return finish();
}

Result<void> LogReader::open(std::uint64_t id) {
    CAIRN_TRY(file_, files_.open(path_, OpenMode::kRead));
    CAIRN_TRY(size_, file_->size());
    window_.clear();
    id_ = id;
    offset_ = 0;
    return ok();
}

Result<ByteView> LogReader::view(std::uint64_t offset, std::uint64_t count) {
    count = offset < size_ ? std::min(count, size_ - offset) : 0;
    const bool inside =
        offset >= window_offset_ && offset + count <= window_offset_ + window_.size();
    if (!inside) {
        window_.clear();  // before the next one is allocated
        const std::uint64_t wanted = std::min(std::max(count, kWindowBytes), size_ - offset);
        CAIRN_TRY(window_, file_->read_at(offset, static_cast<std::size_t>(wanted)));
        window_offset_ = offset;
        if (window_.size() != wanted) {
            return Error{Errc::kIo, path_ + ": read ended before the end of the file"};
        }
    }
    return ByteView(window_).substr(offset - window_offset_, count);
}

Result<void> LogReader::read_segment() {
    const std::size_t segments_before = end_.segments.size();
    while (true) {
        CAIRN_TRY(const bool taken, take_batch());
        if (!taken) {
            break;
        }
    }
    CAIRN_TRY(const TailScan scan, scan_tail());
    const bool headless = end_.segments.size() == segments_before;
    CAIRN_TRY(check_no_proof(scan, headless));
    if (headless) {
        if (!started_ && id_ != 1) {
            return corrupt(0, "the oldest segment's first batch fails its check");
        }
        end_.headless.push_back(id_);
        return ok();
    }
    end_.torn = false;
    CAIRN_TRY(torn_bytes_, torn_bytes(scan));
    end_.offset = offset_;
    good_path_ = path_;
    return ok();
}

Result<bool> LogReader::take_batch() {
    CAIRN_TRY(const ByteView block, view(offset_, kBlockBytes));
    const std::optional<BatchHeader> header = decode_header(block, offset_);
    if (!header || header->segment != id_) {
        return false;
    }
    // The oldest segment says where the numbers and the chain begin.
    const bool opens_log = !started_ && offset_ == 0;
    if (!opens_log && !CAIRN_MUTANT(stale_batch_believed) &&
        (header->number != end_.next_number || header->chain != end_.chain)) {
        return false;
    }
    if (header->version != kVersion) {
        return Error{Errc::kUnsupportedVersion,
                     fmt::format("{} at {}: format version {}, this build reads {}", path_, offset_,
                                 header->version, kVersion)};
    }
    if (header->number == 0 || header->number > kNumberMax) {
        return corrupt(offset_, "a batch of a number that no log gets to");
    }
    const std::uint64_t bytes = padded_bytes(header->payload_bytes);
    CAIRN_TRY(const ByteView batch, view(offset_, bytes));
    if (batch.size() < bytes || (!CAIRN_MUTANT(log_without_checksums) &&
                                 !body_intact(*header, batch.substr(kHeaderBytes)))) {
        return false;
    }
    end_.newest_batch = batch;
    CAIRN_TRY(take_payload(*header, batch.substr(kHeaderBytes, header->payload_bytes)));
    end_.next_number = header->number + 1;
    end_.chain = header->header_sum;
    end_.sealed = header->kind == BatchKind::kSeal;
    offset_ += bytes;
    return true;
}

Result<void> LogReader::take_payload(const BatchHeader& header, ByteView payload) {
    if ((offset_ == 0) != (header.kind == BatchKind::kSegment)) {
        return corrupt(offset_, "a batch of the wrong kind for its place");
    }
    switch (header.kind) {
        case BatchKind::kSegment: return take_segment_state(payload);
        case BatchKind::kSeal: return ok();
        case BatchKind::kData: break;
        default: return corrupt(offset_, "a batch of unknown kind");
    }
    auto batches = decode_groups(payload);
    if (batches.has_error()) {
        return corrupt(offset_, batches.error().detail);
    }
    for (raft::PersistBatch& batch : batches.value()) {
        CAIRN_TRY(apply(std::move(batch)));
    }
    return ok();
}

Result<void> LogReader::take_segment_state(ByteView payload) {
    auto decoded = decode_segment_state(payload);
    if (decoded.has_error()) {
        return corrupt(offset_, decoded.error().detail);
    }
    SegmentState& state = decoded.value();
    if (started_ && state != state_) {
        return corrupt(offset_, "the segment's first batch contradicts the segments before");
    }
    if (state.floor.last.index > state.last.index) {
        return corrupt(offset_, "the floor is above the last entry");
    }
    if (!started_) {
        state_ = std::move(state);
        first_ = state_.last.index + 1;
        started_ = true;
    }
    end_.segments.push_back({id_, size_, state_.last.index});
    return ok();
}

// The order of raft/persist.h: floor, then hard state, then entries.
Result<void> LogReader::apply(raft::PersistBatch batch) {
    if (batch.floor) {
        if (batch.restart && !CAIRN_MUTANT(restart_flag_ignored)) {
            drop_entries(batch.floor->last);
        }
        CAIRN_TRY(apply_floor(*batch.floor));
    }
    if (batch.hard_state) {
        state_.hard_state = *batch.hard_state;
        if (CAIRN_MUTANT(vote_lost_at_restart)) {
            state_.hard_state.vote = {};
        }
    }
    if (!batch.entries.empty()) {
        CAIRN_TRY(apply_entries(std::move(batch.entries)));
    }
    return ok();
}

// The log begins anew behind `last`, whatever it held.
void LogReader::drop_entries(raft::EntryId last) {
    for (Segment& segment : end_.segments) {
        segment.start_last = std::min(segment.start_last, last.index);
    }
    entries_.clear();
    state_.last = last;
    first_ = last.index + 1;
}

Result<void> LogReader::apply_floor(const raft::SnapshotMeta& floor) {
    if (floor.last.index < state_.floor.last.index) {
        return corrupt(offset_, "the floor goes back");
    }
    state_.floor = floor;
    if (floor.last.index > state_.last.index) {
        CAIRN_PROBE("wal.floor_beyond_log");
        // A floor beyond the log: everything in it is behind the state machine.
        drop_entries(floor.last);
    } else if (floor.last.index >= first_ && term_at(floor.last.index) != floor.last.term) {
        return corrupt(offset_, "the floor names another entry than the log holds");
    }
    return ok();
}

Result<void> LogReader::apply_entries(std::vector<raft::Entry> entries) {
    const Index begin = entries.front().id.index;
    if (begin > state_.last.index + 1) {
        return corrupt(offset_, fmt::format("entries go on at index {}", begin.value));
    }
    if (begin <= state_.floor.last.index) {
        return corrupt(offset_,
                       fmt::format("entries from index {} lie below the floor", begin.value));
    }
    Term previous = begin == state_.last.index + 1 ? state_.last.term : Term{};
    if (begin <= first_) {
        entries_.clear();
        first_ = begin;
    } else {
        if (begin <= state_.last.index) {
            CAIRN_PROBE("wal.overwritten_entries");
        }
        entries_.resize(static_cast<std::size_t>(begin - first_) -
                        (CAIRN_MUTANT(overwritten_one_too_many) && begin > first_ + 1 ? 1 : 0));
        previous = entries_.back().id.term;
    }
    for (Segment& segment : end_.segments) {
        segment.start_last = std::min(segment.start_last, begin - 1);
    }
    for (raft::Entry& entry : entries) {
        if (entry.id.term < previous) {
            return corrupt(offset_,
                           fmt::format("the term falls at index {}", entry.id.index.value));
        }
        previous = entry.id.term;
        entries_.push_back(std::move(entry));
    }
    state_.last = entries_.back().id;
    return ok();
}

// §1.3 of the design: batch N+1 is written only after the sync of N returned. So a bad batch N is
// a torn tail only when nothing of a later batch can be found; one whole header is enough to find.
Result<TailScan> LogReader::scan_tail() {
    TailScan scan;
    for (std::uint64_t at = offset_; at < size_; at += kBlockBytes) {
        CAIRN_TRY(const ByteView block, view(at, kBlockBytes));
        if (all_zero(block)) {
            continue;
        }
        scan.nonzero_bytes = at + block.find_last_not_of('\0') + 1 - offset_;
        const std::optional<BatchHeader> header = decode_header(block, at);
        if (!header) {
            continue;
        }
        if (header->segment != id_) {
            scan.stale = true;
            continue;
        }
        const bool later = header->number > end_.next_number ||
                           (CAIRN_MUTANT(tear_taken_for_rot) && header->number == end_.next_number);
        const bool forked = header->number == end_.next_number && header->chain != end_.chain;
        if ((later || forked) && !scan.proof_offset) {
            scan.proof_offset = at;
        }
    }
    return scan;
}

Result<void> LogReader::check_no_proof(const TailScan& scan, bool headless) const {
    if (!scan.proof_offset || CAIRN_MUTANT(rot_taken_for_tear)) {
        return ok();
    }
    // The batch that fails may have been the last one of the segment before.
    const bool in_previous = headless && started_;
    return corrupt_at(in_previous ? good_path_ : path_, in_previous ? end_.offset : offset_,
                      fmt::format("batch {} fails its check though it was durable, for {} holds a "
                                  "later one at {}",
                                  end_.next_number, path_, *scan.proof_offset));
}

Result<std::uint64_t> LogReader::torn_bytes(const TailScan& scan) {
    CAIRN_TRY(const ByteView block, view(offset_, kBlockBytes));
    const std::optional<BatchHeader> header = decode_header(block, offset_);
    if (header && header->segment == id_) {
        CAIRN_PROBE("wal.torn_tail_cut");
        end_.torn = true;
        return std::min(padded_bytes(header->payload_bytes), size_ - offset_);
    }
    CAIRN_PROBE("wal.tear_lost_its_header");
    // In a recycled file the old content cannot be told from a tear that lost its header.
    return scan.stale ? 0 : scan.nonzero_bytes;
}

Result<ReadLog> LogReader::finish() {
    const Index floor = state_.floor.last.index;
    if (floor + 1 < first_) {
        state_.last.index = floor;  // names the first index missing
        return corrupt(0, fmt::format("entries below {} are in no segment", first_.value));
    }
    const auto below = std::min<std::uint64_t>(floor + 1 - first_, entries_.size());
    if (CAIRN_MUTANT(recovery_stops_early) && entries_.size() > below) {
        entries_.pop_back();
    }
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(below));
    if (!entries_.empty() && entries_.front().id.term < state_.floor.last.term) {
        state_.last.index = floor;
        return corrupt(0, "the term falls behind the floor");
    }
    ReadLog log;
    log.recovered = {state_.hard_state, state_.floor, std::move(entries_)};
    log.state = std::move(state_);
    log.end = std::move(end_);
    log.torn_bytes = torn_bytes_;
    return log;
}

}  // namespace

Result<ReadLog> read_log(FileSystem& files, const std::string& dir,
                         std::span<const std::uint64_t> ids) {
    return LogReader(files, dir).read(ids);
}

}  // namespace cairn::storage::wal
