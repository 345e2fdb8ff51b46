// The engine on disk: RocksDB without its write-ahead log (the Raft log is it).
// Made and dropped by the shell; threads as storage/engine.h says.
// Never flushes by itself when it is dropped: what was not flushed is replayed from the Raft log.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "storage/engine.h"

namespace cairn::storage {

struct RocksOptions {
    std::uint64_t block_cache_bytes = std::uint64_t{128} << 20U;
    // Of one family; a full one flushes all together. The caller flushes earlier, by its own rule.
    std::uint64_t memtable_bytes = std::uint64_t{64} << 20U;
    // Table files kept open; the others are opened again for each use. -1: all are kept.
    std::int32_t open_files_max = -1;
    std::uint64_t table_bytes = std::uint64_t{64} << 20U;
};

// Opens or creates the engine in `dir` (its parent must exist). The caller holds the lock on the
// data directory. kIo, kNoSpace, kCorrupt; kUnsupportedVersion for families of a newer build.
Result<std::shared_ptr<KvEngine>> open_rocks_engine(const std::string& dir,
                                                    const RocksOptions& options = {});

class RocksKind final : public EngineKind {
  public:
    explicit RocksKind(RocksOptions options = {}) : options_(options) {}
    Result<std::shared_ptr<KvEngine>> open(const std::string& dir) override;
    Result<std::shared_ptr<const EngineReader>> open_to_read(const std::string& dir) override;
    Result<void> check_file(const std::string& path) override;

  private:
    RocksOptions options_;
};

}  // namespace cairn::storage
