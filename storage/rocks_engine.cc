#include "storage/rocks_engine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include "base/assert.h"
#include "storage/rocks/log.h"
#include "storage/rocks/tombstones.h"

namespace cairn::storage {
namespace {

// By number of ColumnFamily; part of the format. RocksDB wants a family "default", too: unused.
constexpr std::array<const char*, kColumnFamilyCount> kFamilyNames = {
    "keys", "latest", "history", "revlog", "leases", "auth", "members", "meta"};

using Handles = std::array<rocksdb::ColumnFamilyHandle*, kColumnFamilyCount>;

rocksdb::Slice slice(ByteView view) { return {view.data(), view.size()}; }
ByteView view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Error error_of(const rocksdb::Status& status) {
    const std::string text = "engine: " + status.ToString();
    if (status.IsNoSpace()) {
        return {Errc::kNoSpace, text};
    }
    if (status.IsCorruption()) {
        return {Errc::kCorrupt, text};
    }
    if (status.IsIncomplete()) {
        return {Errc::kNotInMemory, text};
    }
    return {Errc::kIo, text};
}

Result<void> result_of(const rocksdb::Status& status) {
    if (!status.ok()) {
        return error_of(status);
    }
    return ok();
}

// Of a checkpoint: the bytes of write-ahead log above which RocksDB flushes first. There is none.
constexpr std::uint64_t kNoFlush = UINT64_MAX;

constexpr std::uint64_t kSkippedMax = 1'000;

// What a batch that was written may keep of its memory for the next one.
constexpr std::uint64_t kKeptBytesMax = std::uint64_t{16} << 20U;

constexpr std::size_t kCheckReadaheadBytes = std::size_t{1} << 20U;

// We write no tombstones of ranges. Looking for them makes RocksDB before 8.7 lose, without an
// error, what lies in the tables of a level behind one that cannot be read
// (facebook/rocksdb#11782).
rocksdb::ReadOptions read_options() {
    rocksdb::ReadOptions options;
    options.ignore_range_deletions = true;
    return options;
}

// RocksDB counts every comparison of keys for the thread that makes it, which costs an eighth of a
// put and nobody reads. The level is a variable of the thread: whoever begins work says so first.
void count_nothing() { rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable); }

// The database and its families, closed in the right order.
struct Database {
    std::unique_ptr<rocksdb::DB> db;
    std::vector<rocksdb::ColumnFamilyHandle*> owned;
    Handles handles{};

    Database() = default;
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database() {
        if (db == nullptr) {
            return;
        }
        for (auto* handle : owned) {
            db->DestroyColumnFamilyHandle(handle);
        }
        // Nothing to report to: whoever wanted the data durable has flushed.
        db->Close().PermitUncheckedError();
    }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* family(ColumnFamily family) const {
        return handles[static_cast<std::size_t>(family)];
    }
};

class RocksIterator final : public Iterator {
  public:
    RocksIterator(const Database& database, ColumnFamily family, rocksdb::ReadOptions options,
                  ByteView lower, ByteView upper)
        : lower_(lower), upper_(upper), lower_slice_(lower_), upper_slice_(upper_) {
        if (!lower_.empty()) {
            options.iterate_lower_bound = &lower_slice_;
        }
        if (!upper_.empty()) {
            options.iterate_upper_bound = &upper_slice_;
        }
        count_nothing();
        it_.reset(database.db->NewIterator(options, database.family(family)));
        // RocksDB does not define bounds that cross.
        if (upper_.empty() || lower_ < upper_) {
            it_->SeekToFirst();
        } else {
            empty_ = true;
        }
    }
    [[nodiscard]] bool valid() const override { return !empty_ && it_->Valid(); }
    void next() override {
        CAIRN_ASSERT(valid());
        it_->Next();
    }
    void seek(ByteView key) override {
        if (!empty_) {
            it_->Seek(slice(std::max(key, ByteView(lower_))));
        }
    }
    void seek_before(ByteView key) override {
        if (empty_) {
            return;
        }
        const std::string limit(upper_.empty() ? key : std::min(key, ByteView(upper_)));
        it_->SeekForPrev(limit);
        if (it_->Valid() && view(it_->key()) == limit) {
            it_->Prev();
        }
    }
    [[nodiscard]] ByteView key() const override { return view(it_->key()); }
    [[nodiscard]] ByteView value() const override { return view(it_->value()); }
    [[nodiscard]] Result<void> status() const override { return result_of(it_->status()); }

  private:
    std::string lower_;
    std::string upper_;
    rocksdb::Slice lower_slice_;
    rocksdb::Slice upper_slice_;
    std::unique_ptr<rocksdb::Iterator> it_;
    bool empty_ = false;
};

Result<std::optional<std::string>> get_from(const Database& database,
                                            const rocksdb::ReadOptions& options,
                                            ColumnFamily family, ByteView key) {
    count_nothing();
    rocksdb::PinnableSlice value;
    const auto status = database.db->Get(options, database.family(family), slice(key), &value);
    if (status.IsNotFound()) {
        return std::optional<std::string>();
    }
    if (!status.ok()) {
        return error_of(status);
    }
    // RocksDB before 9.1 says so, too, of a table that it has not opened (facebook/rocksdb#12443).
    if (options.read_tier == rocksdb::kBlockCacheTier && value.empty()) {
        return Error(Errc::kNotInMemory, "engine: a table that is not open");
    }
    return std::optional<std::string>(std::in_place, value.data(), value.size());
}

class RocksSnapshot final : public EngineReader,
                            public std::enable_shared_from_this<RocksSnapshot> {
  public:
    explicit RocksSnapshot(std::shared_ptr<const Database> database)
        : database_(std::move(database)) {
        options_.snapshot = database_->db->GetSnapshot();
    }
    RocksSnapshot(const RocksSnapshot&) = delete;
    RocksSnapshot& operator=(const RocksSnapshot&) = delete;
    ~RocksSnapshot() override { database_->db->ReleaseSnapshot(options_.snapshot); }

    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override {
        return get_from(*database_, options_, family, key);
    }
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override {
        return std::make_unique<RocksIterator>(*database_, family, options_, lower, upper);
    }
    [[nodiscard]] std::shared_ptr<const EngineReader> memory_only() const override;

  private:
    friend class RocksMemoryOnly;

    std::shared_ptr<const Database> database_;  // keeps the engine, too
    rocksdb::ReadOptions options_ = read_options();
};

// What of a snapshot is in memtables and the block cache.
class RocksMemoryOnly final : public EngineReader {
  public:
    explicit RocksMemoryOnly(std::shared_ptr<const RocksSnapshot> snapshot)
        : snapshot_(std::move(snapshot)), options_(snapshot_->options_) {
        options_.read_tier = rocksdb::kBlockCacheTier;
        // Whoever must not wait for a disk must not walk over what is gone for long, either.
        options_.max_skippable_internal_keys = kSkippedMax;
    }
    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override {
        return get_from(*snapshot_->database_, options_, family, key);
    }
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override {
        return std::make_unique<RocksIterator>(*snapshot_->database_, family, options_, lower,
                                               upper);
    }

  private:
    std::shared_ptr<const RocksSnapshot> snapshot_;
    rocksdb::ReadOptions options_;
};

std::shared_ptr<const EngineReader> RocksSnapshot::memory_only() const {
    return std::make_shared<RocksMemoryOnly>(shared_from_this());
}

// Puts operations on one family in the order of their keys, those on one key as they came. The
// result is the same, and an insert into a memtable begins near where the last one ended
// (family_options).
void sort_by_key(std::vector<const WriteOp*>& ops) {
    const auto before = [](const WriteOp* a, const WriteOp* b) {
        const int order = a->key.compare(b->key);
        return order != 0 ? order < 0 : a < b;
    };
    if (!std::is_sorted(ops.begin(), ops.end(), before)) {
        std::sort(ops.begin(), ops.end(), before);
    }
}

class RocksEngine final : public KvEngine, public std::enable_shared_from_this<RocksEngine> {
  public:
    explicit RocksEngine(std::unique_ptr<Database> database) : database_(std::move(database)) {}

    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override {
        return get_from(*database_, read_options(), family, key);
    }
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override {
        return std::make_unique<RocksIterator>(*database_, family, read_options(), lower, upper);
    }
    [[nodiscard]] std::shared_ptr<const EngineReader> snapshot() override {
        return std::make_shared<RocksSnapshot>(
            std::shared_ptr<const Database>(shared_from_this(), database_.get()));
    }

    Result<void> write(const WriteBatch& batch) override {
        count_nothing();
        batch_.Clear();
        for (auto& ops : by_family_) {
            ops.clear();
        }
        for (const WriteOp& op : batch.ops()) {
            by_family_[static_cast<std::size_t>(op.family)].push_back(&op);
        }
        for (auto& ops : by_family_) {
            sort_by_key(ops);
            for (const WriteOp* op : ops) {
                CAIRN_TRY(result_of(add(*op)));
            }
        }
        rocksdb::WriteOptions options;
        options.disableWAL = true;
        CAIRN_TRY(result_of(database_->db->Write(options, &batch_)));
        written_bytes_.fetch_add(batch.bytes(), std::memory_order_relaxed);
        if (batch_.GetDataSize() + batch.ops().size() * sizeof(WriteOp*) > kKeptBytesMax) {
            batch_ = new_batch();
            by_family_ = {};
        }
        return ok();
    }

    Result<void> flush() override {
        const std::uint64_t covered = written_bytes_.load(std::memory_order_relaxed);
        rocksdb::FlushOptions options;
        options.wait = true;
        options.allow_write_stall = true;
        const std::vector<rocksdb::ColumnFamilyHandle*> families(database_->handles.begin(),
                                                                 database_->handles.end());
        CAIRN_TRY(result_of(database_->db->Flush(options, families)));
        note_flushed(covered);
        return ok();
    }

    [[nodiscard]] Result<std::optional<std::string>> get_flushed(ByteView key) const override {
        // With the write-ahead log off, "persisted" means: in a table file.
        rocksdb::ReadOptions options = read_options();
        options.read_tier = rocksdb::kPersistedTier;
        return get_from(*database_, options, ColumnFamily::kMeta, key);
    }

    Result<void> checkpoint(const std::string& dir) override {
        rocksdb::Checkpoint* made = nullptr;
        CAIRN_TRY(result_of(rocksdb::Checkpoint::Create(database_->db.get(), &made)));
        const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
        // Hard-links the tables: what it costs does not grow with the data. Its own flush, which
        // RocksDB makes unless the limit says never, is not of one moment before RocksDB 8.1: it
        // takes the families that have something, lets go of the lock, and what is written to the
        // others then is left behind, with the applied index ahead of it.
        CAIRN_TRY(flush());
        return result_of(checkpoint->CreateCheckpoint(dir, kNoFlush));
    }

    [[nodiscard]] std::uint64_t checkpoint_bytes() const override { return unflushed_bytes(); }

    // A flush that RocksDB began by itself is not counted: too much is reported, never too little.
    [[nodiscard]] std::uint64_t unflushed_bytes() const override {
        // In this order: more is written than was flushed at any time before.
        const std::uint64_t flushed = flushed_bytes_.load(std::memory_order_acquire);
        return written_bytes_.load(std::memory_order_acquire) - flushed;
    }

    [[nodiscard]] std::uint64_t bytes_used() const override {
        std::uint64_t bytes = 0;
        database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize,
                                                &bytes);
        return bytes + unflushed_bytes();
    }

  private:
    // A flush and a checkpoint may go on at once.
    void note_flushed(std::uint64_t bytes) {
        std::uint64_t known = flushed_bytes_.load(std::memory_order_relaxed);
        while (known < bytes &&
               !flushed_bytes_.compare_exchange_weak(known, bytes, std::memory_order_acq_rel)) {
        }
    }

    // Each key is checksummed on its way into the memtable.
    static rocksdb::WriteBatch new_batch() { return rocksdb::WriteBatch(0, 0, 8, 0); }

    rocksdb::Status add(const WriteOp& op) {
        auto* family = database_->family(op.family);
        switch (op.kind) {
            case WriteKind::kPut: return batch_.Put(family, op.key, op.value);
            case WriteKind::kSingleDelete: return batch_.SingleDelete(family, op.key);
            case WriteKind::kDelete: return batch_.Delete(family, op.key);
        }
        CAIRN_UNREACHABLE();
    }

    std::unique_ptr<Database> database_;
    // The writer's, kept for its memory.
    rocksdb::WriteBatch batch_ = new_batch();
    // Of the batch being written; kept for its memory, too.
    std::array<std::vector<const WriteOp*>, kColumnFamilyCount> by_family_;
    std::atomic<std::uint64_t> written_bytes_{0};
    std::atomic<std::uint64_t> flushed_bytes_{0};
};

rocksdb::CompressionType best_of(rocksdb::CompressionType wanted) {
    const auto supported = rocksdb::GetSupportedCompressions();
    const bool has = std::find(supported.begin(), supported.end(), wanted) != supported.end();
    return has ? wanted : rocksdb::kNoCompression;
}

// Every option that matters is set, also where it is RocksDB's default today.
rocksdb::DBOptions db_options(const RocksOptions& options) {
    rocksdb::DBOptions db;
    db.create_if_missing = true;
    db.create_missing_column_families = true;
    // One point in time over all families, without a write-ahead log. It excludes pipelined and
    // unordered writes; one writer has no use for concurrent memtable writes.
    db.atomic_flush = true;
    db.enable_pipelined_write = false;
    db.unordered_write = false;
    db.allow_concurrent_memtable_write = false;
    db.two_write_queues = false;
    db.manual_wal_flush = false;
    db.avoid_flush_during_shutdown = true;
    db.db_write_buffer_size = 3 * options.memtable_bytes;
    db.paranoid_checks = true;
    db.verify_sst_unique_id_in_manifest = true;
    // An error in the background is final: no retry behind the replica's back. But for a full disk,
    // after which compactions go on by themselves; a flush that it made fail stays so.
    db.max_bgerror_resume_count = 0;
    db.max_background_jobs = 2;
    // A read that is the last to let go of a table or a memtable would remove it: the reactor
    // reads.
    db.avoid_unnecessary_blocking_io = true;
    db.max_open_files = options.open_files_max;
    // RocksDB would start that many threads for each family, however few its files.
    db.max_file_opening_threads = 1;
    db.bytes_per_sync = std::uint64_t{1} << 20U;
    db.stats_dump_period_sec = 0;
    db.stats_persist_period_sec = 0;
    db.db_host_id = "";  // tables say nothing of the machine
    return db;
}

rocksdb::ColumnFamilyOptions family_options(const RocksOptions& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache,
                                            ColumnFamily family) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.block_size = std::size_t{16} << 10U;
    table.format_version = 5;
    table.checksum = rocksdb::kXXH3;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.whole_key_filtering = true;
    table.cache_index_and_filter_blocks = true;
    table.pin_l0_filter_and_index_blocks_in_cache = true;

    rocksdb::ColumnFamilyOptions result;
    result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    result.write_buffer_size = options.memtable_bytes;
    result.max_write_buffer_number = 3;
    result.min_write_buffer_number_to_merge = 1;  // atomic flush wants 1
    result.compaction_style = rocksdb::kCompactionStyleLevel;
    result.target_file_size_base = options.table_bytes;
    result.level_compaction_dynamic_level_bytes = true;
    result.compression = best_of(rocksdb::kLZ4Compression);
    result.bottommost_compression = best_of(rocksdb::kZSTD);
    result.periodic_compaction_seconds = 24 * 60 * 60;
    if (family == ColumnFamily::kKeys || family == ColumnFamily::kLatest ||
        family == ColumnFamily::kHistory) {
        // An insert begins where the last one ended; sort_by_key makes that near. (kRevlog
        // grows at its end, where RocksDB looks first anyway.)
        result.memtable_insert_with_hint_prefix_extractor.reset(
            rocksdb::NewCappedPrefixTransform(0));
    }
    if (family == ColumnFamily::kKeys) {
        // Every put looks its key up first, and a new key is in no memtable.
        result.memtable_whole_key_filtering = true;
        result.memtable_prefix_bloom_size_ratio = 0.1;
    }
    if (family == ColumnFamily::kKeys || family == ColumnFamily::kLatest ||
        family == ColumnFamily::kHistory || family == ColumnFamily::kRevlog) {
        // Where the collector has been, files are mostly tombstones: rewrite them soon.
        result.table_properties_collector_factories.push_back(compact_on_tombstones());
    }
    return result;
}

// RocksDB would begin a new database there, and take the tables for garbage.
Result<void> check_current(const std::string& dir) {
    std::vector<std::string> names;
    // What is not there, or cannot be read, Open will say.
    rocksdb::Env::Default()->GetChildren(dir, &names).PermitUncheckedError();
    const auto is_table = [](const std::string& name) { return name.ends_with(".sst"); };
    const auto table = std::find_if(names.begin(), names.end(), is_table);
    if (table != names.end() && std::find(names.begin(), names.end(), "CURRENT") == names.end()) {
        return Error(Errc::kCorrupt,
                     dir + ": has " + *table + " and no CURRENT, which names the newest MANIFEST");
    }
    return ok();
}

// A directory that holds a family this build does not know was written by a newer one.
Result<void> check_families(const rocksdb::DBOptions& options, const std::string& dir) {
    std::vector<std::string> names;
    const auto listed = rocksdb::DB::ListColumnFamilies(options, dir, &names);
    if (!listed.ok()) {
        return ok();  // nothing there yet, or Open will say what is wrong
    }
    for (const std::string& name : names) {
        const bool known =
            name == rocksdb::kDefaultColumnFamilyName ||
            std::find(kFamilyNames.begin(), kFamilyNames.end(), name) != kFamilyNames.end();
        if (!known) {
            return Error(Errc::kUnsupportedVersion,
                         dir + ": has the family " + name + ", which this build does not know");
        }
    }
    return ok();
}

std::vector<rocksdb::ColumnFamilyDescriptor> all_families(const RocksOptions& options) {
    const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
    for (std::size_t i = 0; i < kColumnFamilyCount; ++i) {
        families.emplace_back(kFamilyNames[i],
                              family_options(options, cache, static_cast<ColumnFamily>(i)));
    }
    return families;
}

std::shared_ptr<RocksEngine> engine_of(std::unique_ptr<Database> database, rocksdb::DB* opened) {
    database->db.reset(opened);
    std::copy(database->owned.begin() + 1, database->owned.end(), database->handles.begin());
    return std::make_shared<RocksEngine>(std::move(database));
}

}  // namespace

Result<std::shared_ptr<KvEngine>> open_rocks_engine(const std::string& dir,
                                                    const RocksOptions& options) {
    CAIRN_TRY(check_current(dir));
    rocksdb::DBOptions db = db_options(options);
    db.info_log = make_file_logger(dir);
    CAIRN_TRY(check_families(db, dir));
    auto database = std::make_unique<Database>();
    rocksdb::DB* opened = nullptr;
    CAIRN_TRY(
        result_of(rocksdb::DB::Open(db, dir, all_families(options), &database->owned, &opened)));
    return std::shared_ptr<KvEngine>(engine_of(std::move(database), opened));
}

Result<std::shared_ptr<KvEngine>> RocksKind::open(const std::string& dir) {
    return open_rocks_engine(dir, options_);
}

Result<std::shared_ptr<const EngineReader>> RocksKind::open_to_read(const std::string& dir) {
    rocksdb::DBOptions db = db_options(options_);
    db.create_if_missing = false;
    db.info_log = make_no_logger();
    CAIRN_TRY(check_families(db, dir));
    auto database = std::make_unique<Database>();
    rocksdb::DB* opened = nullptr;
    CAIRN_TRY(result_of(
        rocksdb::DB::OpenForReadOnly(db, dir, all_families(options_), &database->owned, &opened)));
    return std::shared_ptr<const EngineReader>(engine_of(std::move(database), opened));
}

Result<void> RocksKind::check_file(const std::string& path) {
    if (!path.ends_with(".sst")) {
        return ok();
    }
    rocksdb::Options options;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory());
    rocksdb::ReadOptions read;
    read.readahead_size = kCheckReadaheadBytes;
    return result_of(rocksdb::VerifySstFileChecksum(options, rocksdb::EnvOptions(), read, path));
}

}  // namespace cairn::storage
