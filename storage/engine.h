// The ordered key-value engine below MVCC: RocksDB in production, an ordered map in the simulator.
// One writer (the state thread); reads, snapshots, flush and checkpoint from any thread.
// Never decides anything: what a key means is storage/schema.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace cairn::storage {

// The values are part of the data directory's format: append only.
enum class ColumnFamily : std::uint8_t {
    kKeys = 0,
    kLatest,
    kHistory,
    kRevlog,
    kLeases,
    kAuth,
    kMembers,
    kMeta,
};
inline constexpr std::size_t kColumnFamilyCount = 8;

enum class WriteKind : std::uint8_t { kPut, kSingleDelete, kDelete };

// One operation of a batch; a value only for kPut. There is none for a range: see rocks_engine.cc.
struct WriteOp {
    WriteKind kind = WriteKind::kPut;
    ColumnFamily family = ColumnFamily::kMeta;
    std::string key;
    std::string value;
};

// An atomic group of writes, executed in order.
class WriteBatch {
  public:
    void put(ColumnFamily family, std::string key, std::string value);
    // For a key that was put exactly once since it last did not exist (RocksDB's SingleDelete
    // contract; MemEngine asserts it).
    void single_delete(ColumnFamily family, std::string key);
    // For a key that may have been overwritten or may not exist.
    void remove(ColumnFamily family, std::string key);

    [[nodiscard]] const std::vector<WriteOp>& ops() const { return ops_; }
    [[nodiscard]] bool empty() const { return ops_.empty(); }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    // Keeps the first `count` operations: how a failed transaction takes its writes back.
    void truncate(std::size_t count);
    void clear();

  private:
    std::vector<WriteOp> ops_;
    std::uint64_t bytes_ = 0;
};

// Walks the keys of one family in [lower, upper) in byte order; an empty upper is open-ended.
// Valid while the engine (and the snapshot it came from) lives. One thread.
class Iterator {
  public:
    virtual ~Iterator() = default;
    [[nodiscard]] virtual bool valid() const = 0;
    virtual void next() = 0;
    // Moves to the first key >= `key` inside the bounds.
    virtual void seek(ByteView key) = 0;
    // Moves to the last key < `key` inside the bounds.
    virtual void seek_before(ByteView key) = 0;
    // Borrowed until the next move.
    [[nodiscard]] virtual ByteView key() const = 0;
    [[nodiscard]] virtual ByteView value() const = 0;
    // Anything but ok ends the walk early: an invalid iterator with an error is not the end.
    [[nodiscard]] virtual Result<void> status() const = 0;
};

// What the readers of one moment see. Immutable; any thread.
class EngineReader {
  public:
    virtual ~EngineReader() = default;
    // The value, or nothing when the key does not exist. kCorrupt, kIo.
    [[nodiscard]] virtual Result<std::optional<std::string>> get(ColumnFamily family,
                                                                 ByteView key) const = 0;
    [[nodiscard]] virtual std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                            ByteView upper) const = 0;
    // A reader of the same moment that answers kNotInMemory (an iterator's status, too) where this
    // one would wait for a disk; keeps this one alive. Null: this one never waits.
    [[nodiscard]] virtual std::shared_ptr<const EngineReader> memory_only() const {
        return nullptr;
    }
};

// The engine itself reads the newest state. Shared, because it may be replaced while somebody still
// reads: whoever works with one holds it.
class KvEngine : public EngineReader {
  public:
    // Atomic in memory at once; durable only by flush (there is no write-ahead log here: the Raft
    // log is it). kNoSpace, kIo, kCorrupt: final, the member must stop.
    virtual Result<void> write(const WriteBatch& batch) = 0;
    // The state of now, for as long as the pointer lives; it keeps the engine's files in place.
    [[nodiscard]] virtual std::shared_ptr<const EngineReader> snapshot() = 0;
    // Makes everything written so far durable, all families together. Blocks.
    virtual Result<void> flush() = 0;
    // The value of kMeta/`key` as a crash right now would leave it; nothing when never flushed.
    [[nodiscard]] virtual Result<std::optional<std::string>> get_flushed(ByteView key) const = 0;
    // Writes a state of one moment into the new directory `dir`, whose parent exists: everything
    // written before the call, flushed or not, and of what is written meanwhile the beginning.
    // Durable but for its name in the parent.
    virtual Result<void> checkpoint(const std::string& dir) = 0;
    // About what a checkpoint would take of the disk.
    [[nodiscard]] virtual std::uint64_t checkpoint_bytes() const = 0;
    // Bytes not yet flushed, and those together with the bytes on disk: for the flush rule and for
    // Status.
    [[nodiscard]] virtual std::uint64_t unflushed_bytes() const = 0;
    [[nodiscard]] virtual std::uint64_t bytes_used() const = 0;
};

// Opens engines of one kind. Any thread.
class EngineKind {
  public:
    virtual ~EngineKind() = default;
    // The engine in `dir`, whose parent exists; a new one when there is none.
    virtual Result<std::shared_ptr<KvEngine>> open(const std::string& dir) = 0;
    // What the engine in `dir` holds, without a change to any file there. kNotFound, kCorrupt, kIo.
    virtual Result<std::shared_ptr<const EngineReader>> open_to_read(const std::string& dir) = 0;
    // Reads the file of an engine that nobody writes to: whether it is as it was written, by the
    // checksums it has in itself. kCorrupt, kIo; ok for a file that has none.
    virtual Result<void> check_file(const std::string& path) = 0;
};

}  // namespace cairn::storage
