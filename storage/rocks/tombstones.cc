#include "storage/rocks/tombstones.h"

namespace cairn::storage {
namespace {

// Of a stretch of keys. Far more than half: where each put makes another version garbage, as with
// clients that compact all the time, every table of the history is half tombstones, and each flush
// would have the whole level rewritten.
constexpr int kStretchKeys = 128;
constexpr int kTombstonesMax = 96;

// Of one table that is being written; on the thread that writes it.
class TombstoneCounter final : public rocksdb::TablePropertiesCollector {
  public:
    rocksdb::Status AddUserKey(const rocksdb::Slice& /*key*/, const rocksdb::Slice& /*value*/,
                               rocksdb::EntryType type, rocksdb::SequenceNumber /*sequence*/,
                               std::uint64_t /*file_size*/) override {
        const bool is_tombstone =
            type == rocksdb::kEntryDelete || type == rocksdb::kEntrySingleDelete;
        tombstones_ += is_tombstone ? 1 : 0;
        if (++keys_ == kStretchKeys) {
            many_ = many_ || tombstones_ >= kTombstonesMax;
            keys_ = tombstones_ = 0;
        }
        return rocksdb::Status::OK();
    }
    rocksdb::Status Finish(rocksdb::UserCollectedProperties* /*properties*/) override {
        return rocksdb::Status::OK();
    }
    [[nodiscard]] rocksdb::UserCollectedProperties GetReadableProperties() const override {
        return {};
    }
    [[nodiscard]] const char* Name() const override { return "cairn.TombstoneCounter"; }
    [[nodiscard]] bool NeedCompact() const override { return many_; }

  private:
    int keys_ = 0;  // of the stretch under way
    int tombstones_ = 0;
    bool many_ = false;
};

class Factory final : public rocksdb::TablePropertiesCollectorFactory {
  public:
    rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(
        rocksdb::TablePropertiesCollectorFactory::Context /*context*/) override {
        return new TombstoneCounter;  // RocksDB's from now on
    }
    [[nodiscard]] const char* Name() const override { return "cairn.TombstoneCounterFactory"; }
};

}  // namespace

std::shared_ptr<rocksdb::TablePropertiesCollectorFactory> compact_on_tombstones() {
    return std::make_shared<Factory>();
}

}  // namespace cairn::storage
