#include "storage/wal_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"

namespace cairn::storage::wal {
namespace {

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
    Result<void> load(std::uint64_t id);
    Result<void> read_segment();
    // Takes the batch at offset_ when it is the one expected there; false when it is not.
    Result<bool> take_batch();
    Result<void> take_payload(const BatchHeader& header, ByteView payload);
    Result<void> take_segment_state(ByteView payload);
    Result<void> apply(raft::PersistBatch batch);
    Result<void> apply_floor(const raft::SnapshotMeta& floor);
    Result<void> apply_entries(std::vector<raft::Entry> entries);
    // Of an entry in entries_.
    [[nodiscard]] Term term_at(Index index) const {
        return entries_[static_cast<std::size_t>(index - first_)].id.term;
    }
    Result<void> check_no_proof(const TailScan& scan, bool headless) const;
    [[nodiscard]] TailScan scan_tail() const;
    [[nodiscard]] std::uint64_t torn_bytes(const TailScan& scan) const;
    Result<ReadLog> finish();
    [[nodiscard]] Error corrupt(std::uint64_t offset, const std::string& what) const;
    [[nodiscard]] Error corrupt_at(const std::string& path, std::uint64_t offset,
                                   const std::string& what) const;

    FileSystem& files_;
    const std::string& dir_;

    // The segment being read.
    std::uint64_t id_ = 0;
    std::string path_;
    std::string bytes_;
    std::uint64_t offset_ = 0;
    std::uint64_t newest_offset_ = 0;  // of the batch taken last
    std::string good_path_;            // the last segment that holds batches; ends at end_.offset

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
        CAIRN_TRY(load(ids[i]));
        CAIRN_TRY(read_segment());
    }
    return finish();
}

Result<void> LogReader::load(std::uint64_t id) {
    CAIRN_TRY(const std::unique_ptr<File> file, files_.open(path_, OpenMode::kRead));
    CAIRN_TRY(const std::uint64_t size, file->size());
    CAIRN_TRY(bytes_, file->read_at(0, static_cast<std::size_t>(size)));
    if (bytes_.size() != size) {
        return Error{Errc::kIo, path_ + ": read ended before the end of the file"};
    }
    id_ = id;
    offset_ = 0;
    return ok();
}

Result<void> LogReader::read_segment() {
    const std::size_t segments_before = end_.segments.size();
    while (true) {
        CAIRN_TRY(const bool taken, take_batch());
        if (!taken) {
            break;
        }
    }
    const TailScan scan = scan_tail();
    const bool headless = end_.segments.size() == segments_before;
    CAIRN_TRY(check_no_proof(scan, headless));
    if (headless) {
        if (!started_ && id_ != 1) {
            return corrupt(0, "the oldest segment's first batch fails its check");
        }
        end_.headless.push_back(id_);
        return ok();
    }
    torn_bytes_ = torn_bytes(scan);
    end_.offset = offset_;
    end_.newest_batch.assign(bytes_, newest_offset_, offset_ - newest_offset_);
    good_path_ = path_;
    return ok();
}

Result<bool> LogReader::take_batch() {
    const ByteView rest = ByteView(bytes_).substr(std::min<std::uint64_t>(offset_, bytes_.size()));
    const std::optional<BatchHeader> header = decode_header(rest, offset_);
    if (!header || header->segment != id_) {
        return false;
    }
    // The oldest segment says where the numbers and the chain begin.
    const bool opens_log = !started_ && offset_ == 0;
    if (!opens_log && (header->number != end_.next_number || header->chain != end_.chain)) {
        return false;
    }
    if (header->version != kVersion) {
        return Error{Errc::kUnsupportedVersion,
                     fmt::format("{} at {}: format version {}, this build reads {}", path_, offset_,
                                 header->version, kVersion)};
    }
    const std::uint64_t bytes = padded_bytes(header->payload_bytes);
    if (bytes > rest.size() ||
        !body_intact(*header, rest.substr(kHeaderBytes, bytes - kHeaderBytes))) {
        return false;
    }
    CAIRN_TRY(take_payload(*header, rest.substr(kHeaderBytes, header->payload_bytes)));
    end_.next_number = header->number + 1;
    end_.chain = header->header_sum;
    end_.sealed = header->kind == BatchKind::kSeal;
    newest_offset_ = offset_;
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
    end_.segments.push_back({id_, bytes_.size(), state_.last.index});
    return ok();
}

// The order of raft/persist.h: floor, then hard state, then entries.
Result<void> LogReader::apply(raft::PersistBatch batch) {
    if (batch.floor) {
        CAIRN_TRY(apply_floor(*batch.floor));
    }
    if (batch.hard_state) {
        state_.hard_state = *batch.hard_state;
    }
    if (!batch.entries.empty()) {
        CAIRN_TRY(apply_entries(std::move(batch.entries)));
    }
    return ok();
}

Result<void> LogReader::apply_floor(const raft::SnapshotMeta& floor) {
    if (floor.last.index < state_.floor.last.index) {
        return corrupt(offset_, "the floor goes back");
    }
    state_.floor = floor;
    if (floor.last.index > state_.last.index) {
        // A floor beyond the log: everything in it is behind the state machine.
        entries_.clear();
        state_.last = floor.last;
        first_ = floor.last.index + 1;
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
        entries_.resize(static_cast<std::size_t>(begin - first_));
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
TailScan LogReader::scan_tail() const {
    TailScan scan;
    const ByteView bytes = bytes_;
    for (std::uint64_t at = offset_; at < bytes.size(); at += kBlockBytes) {
        const ByteView block = bytes.substr(at, kBlockBytes);
        const std::size_t last = block.find_last_not_of('\0');
        if (last == ByteView::npos) {
            continue;
        }
        scan.nonzero_bytes = at + last + 1 - offset_;
        const std::optional<BatchHeader> header = decode_header(block, at);
        if (!header) {
            continue;
        }
        if (header->segment != id_) {
            scan.stale = true;
            continue;
        }
        const bool later = header->number > end_.next_number;
        const bool forked = header->number == end_.next_number && header->chain != end_.chain;
        if ((later || forked) && !scan.proof_offset) {
            scan.proof_offset = at;
        }
    }
    return scan;
}

Result<void> LogReader::check_no_proof(const TailScan& scan, bool headless) const {
    if (!scan.proof_offset) {
        return ok();
    }
    // The batch that fails may have been the last one of the segment before.
    const bool in_previous = headless && started_;
    return corrupt_at(in_previous ? good_path_ : path_, in_previous ? end_.offset : offset_,
                      fmt::format("batch {} fails its check though it was durable, for {} holds a "
                                  "later one at {}",
                                  end_.next_number, path_, *scan.proof_offset));
}

std::uint64_t LogReader::torn_bytes(const TailScan& scan) const {
    const ByteView rest = ByteView(bytes_).substr(std::min<std::uint64_t>(offset_, bytes_.size()));
    const std::optional<BatchHeader> header = decode_header(rest, offset_);
    if (header && header->segment == id_) {
        return std::min<std::uint64_t>(padded_bytes(header->payload_bytes), rest.size());
    }
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
