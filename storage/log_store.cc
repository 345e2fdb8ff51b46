#include "storage/log_store.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/buggify.h"
#include "base/mutant.h"
#include "storage/wal_format.h"
#include "storage/wal_reader.h"
#include "storage/wal_writer.h"

namespace cairn::storage {
namespace {

// Groups are packed into one batch up to this payload; it bounds the reused buffer.
constexpr std::uint64_t kPackBytesMax = 8U * 1024U * 1024U;

bool says_nothing(const raft::PersistBatch& batch) {
    return !batch.floor && (!batch.hard_state || CAIRN_MUTANT(vote_alone_not_written)) &&
           batch.entries.empty();
}

// What the core promises (raft/persist.h): an index out of place is a bug, not an input.
void check_contiguous(std::span<const raft::PersistBatch> batches, const wal::SegmentState& state) {
    Index floor = state.floor.last.index;
    Index last = state.last.index;
    for (const raft::PersistBatch& batch : batches) {
        if (batch.floor) {
            CAIRN_ASSERT(batch.floor->last.index >= floor);
            floor = batch.floor->last.index;
            last = batch.restart ? floor : std::max(last, floor);
        }
        if (!batch.entries.empty()) {
            const Index first = batch.entries.front().id.index;
            CAIRN_ASSERT(first > floor && first <= last + 1);
            last = batch.entries.back().id.index;
            CAIRN_ASSERT(last == first + (batch.entries.size() - 1));
        }
    }
}

struct LogFiles {
    std::vector<std::uint64_t> segments;
    std::vector<std::uint64_t> spares;
};

Result<LogFiles> list_files(FileSystem& files, const std::string& dir) {
    LogFiles found;
    CAIRN_TRY(const std::vector<std::string> names, files.list(dir));
    for (const std::string& name : names) {
        const auto segment = wal::parse_segment_name(name);
        const auto spare = wal::parse_spare_name(name);
        if (segment && *segment > wal::kNumberMax) {
            return Error{Errc::kCorrupt, dir + "/" + name + ": a number that no log gets to"};
        }
        if (segment) {
            found.segments.push_back(*segment);
        } else if (spare && *spare <= wal::kNumberMax) {
            found.spares.push_back(*spare);
        }
    }
    return found;
}

}  // namespace

class LogStore::Impl {
  public:
    Impl(FileSystem& files, std::string dir, const LogOptions& options)
        : writer_(files, std::move(dir), options) {}

    Result<void> resume(wal::LogEnd end, std::vector<std::uint64_t> spares,
                        wal::SegmentState state) {
        state_ = std::move(state);
        return writer_.resume(std::move(end), std::move(spares), state_);
    }

    Result<void> append(std::span<const raft::PersistBatch> batches) {
        return once_failed([&] { return do_append(batches); });
    }

    Result<void> seal() {
        return once_failed([&]() -> Result<void> {
            if (writer_.sealed()) {
                return ok();
            }
            buffer_.clear();
            return writer_.write(wal::BatchKind::kSeal, buffer_, state_);
        });
    }

    Result<void> prepare() {
        return once_failed([&] { return writer_.prepare(); });
    }

    [[nodiscard]] LogStats stats() const {
        return {.appends = appends_,
                .syncs = writer_.syncs(),
                .bytes_written = writer_.bytes_written(),
                .segments = writer_.segments()};
    }

  private:
    // The first error is the last thing this log does: later calls get it again, and touch nothing.
    template <class Action>
    Result<void> once_failed(Action action) {
        if (failure_ && !CAIRN_MUTANT(log_goes_on_after_error)) {
            return *failure_;
        }
        Result<void> result = action();
        if (result.has_error()) {
            failure_ = result.error();
        }
        return result;
    }

    Result<void> do_append(std::span<const raft::PersistBatch> batches) {
        check_contiguous(batches, state_);
        if (CAIRN_MUTANT(released_before_floor) && !batches.empty() && batches.back().floor) {
            CAIRN_TRY(writer_.release(batches.back().floor->last.index));
        }
        ++appends_;
        buffer_.clear();
        std::size_t packed_from = 0;
        for (std::size_t i = 0; i < batches.size(); ++i) {
            if (says_nothing(batches[i])) {
                continue;
            }
            const std::uint64_t bytes = wal::group_bytes(batches[i]);
            if (buffer_.payload_bytes() > 0 && (buffer_.payload_bytes() + bytes > kPackBytesMax ||
                                                CAIRN_BUGGIFY("wal.batch_of_fewer_groups"))) {
                CAIRN_TRY(write_packed(batches.subspan(packed_from, i - packed_from)));
                packed_from = i;
            }
            wal::encode_group(batches[i], buffer_);
        }
        if (buffer_.payload_bytes() > 0) {
            CAIRN_TRY(write_packed(batches.subspan(packed_from)));
        }
        return writer_.release(state_.floor.last.index);
    }

    // Writes what the buffer holds, the groups of `batches`.
    Result<void> write_packed(std::span<const raft::PersistBatch> batches) {
        CAIRN_TRY(writer_.write(wal::BatchKind::kData, buffer_, state_));
        for (const raft::PersistBatch& batch : batches) {
            advance(batch);
        }
        buffer_.clear();
        return ok();
    }

    // Follows what a durable batch did to the log.
    void advance(const raft::PersistBatch& batch) {
        if (batch.floor) {
            state_.floor = *batch.floor;
            if (batch.restart) {
                writer_.truncated(state_.floor.last.index);
                state_.last = state_.floor.last;
            } else if (state_.floor.last.index > state_.last.index) {
                state_.last = state_.floor.last;
            }
        }
        if (batch.hard_state) {
            state_.hard_state = *batch.hard_state;
        }
        if (!batch.entries.empty()) {
            writer_.truncated(batch.entries.front().id.index - 1);
            state_.last = batch.entries.back().id;
        }
    }

    wal::Writer writer_;
    wal::SegmentState state_;  // of the durable log
    wal::BatchBuffer buffer_;
    std::optional<Error> failure_;
    std::uint64_t appends_ = 0;
};

LogStore::LogStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogStore::~LogStore() = default;

Result<LogStore::Opened> LogStore::open(FileSystem& files, std::string dir, LogOptions options) {
    CAIRN_ASSERT(options.segment_bytes >= 2 * wal::kBlockBytes &&
                 options.segment_bytes % wal::kBlockBytes == 0);
    CAIRN_TRY(files.make_dirs(dir));
    CAIRN_TRY(files.sync_dir(parent_dir(dir)));
    CAIRN_TRY(LogFiles found, list_files(files, dir));
    CAIRN_TRY(wal::ReadLog read, wal::read_log(files, dir, found.segments));
    auto impl = std::make_unique<Impl>(files, std::move(dir), options);
    CAIRN_TRY(impl->resume(std::move(read.end), std::move(found.spares), std::move(read.state)));
    Opened opened;
    opened.log = std::unique_ptr<LogStore>(new LogStore(std::move(impl)));
    opened.recovered = std::move(read.recovered);
    opened.torn_bytes = read.torn_bytes;
    return opened;
}

Result<void> LogStore::append(std::span<const raft::PersistBatch> batches) {
    return impl_->append(batches);
}

Result<void> LogStore::seal() { return impl_->seal(); }

Result<void> LogStore::prepare() { return impl_->prepare(); }

LogStats LogStore::stats() const { return impl_->stats(); }

}  // namespace cairn::storage
