// A deterministic engine in memory: the simulator's and the tests' twin of RocksEngine.
// One writer; reads and snapshots from any thread. What flush has not seen is lost: by after_crash,
// or, for an engine with a directory, when it is opened again.
// Never touches a disk but through the FileSystem it was given, as one file: its whole image.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "storage/engine.h"
#include "storage/file_system.h"
#include "storage/mem_tree.h"

namespace cairn::storage {

class MemEngine final : public KvEngine {
  public:
    // An empty engine of no directory. `files` (borrowed, may be null) is for checkpoint alone.
    explicit MemEngine(FileSystem* files = nullptr) : files_(files) {}

    // What a process that starts after a crash would find: the state of the last flush.
    [[nodiscard]] std::shared_ptr<MemEngine> after_crash() const;
    // The engine whose image is in `dir`, where its flushes go from now on. kNotFound, kCorrupt,
    // kIo.
    static Result<std::shared_ptr<MemEngine>> load(FileSystem& files, const std::string& dir);
    // The same, or an empty one; makes `dir` when it is missing.
    static Result<std::shared_ptr<MemEngine>> open(FileSystem& files, const std::string& dir);

    [[nodiscard]] Result<std::optional<std::string>> get(ColumnFamily family,
                                                         ByteView key) const override;
    [[nodiscard]] std::unique_ptr<Iterator> iterate(ColumnFamily family, ByteView lower,
                                                    ByteView upper) const override;
    // Aborts when the batch breaks the contract of single_delete.
    Result<void> write(const WriteBatch& batch) override;
    [[nodiscard]] std::shared_ptr<const EngineReader> snapshot() override;
    Result<void> flush() override;
    [[nodiscard]] Result<std::optional<std::string>> get_flushed(ByteView key) const override;
    Result<void> checkpoint(const std::string& dir) override;
    [[nodiscard]] std::uint64_t checkpoint_bytes() const override;
    [[nodiscard]] std::uint64_t unflushed_bytes() const override;
    [[nodiscard]] std::uint64_t bytes_used() const override;

    using Trees = std::array<MemTree, kColumnFamilyCount>;

  private:
    void execute(const WriteOp& op);
    [[nodiscard]] MemTree tree(ColumnFamily family) const;

    FileSystem* files_;
    std::string dir_;           // empty: flushes stay in memory
    mutable std::mutex mutex_;  // guards what follows
    Trees trees_;
    Trees durable_;
    std::uint64_t unflushed_bytes_ = 0;
};

class MemKind final : public EngineKind {
  public:
    explicit MemKind(FileSystem& files) : files_(files) {}
    Result<std::shared_ptr<KvEngine>> open(const std::string& dir) override;
    Result<std::shared_ptr<const EngineReader>> open_to_read(const std::string& dir) override;
    // Whoever opens one has read it whole.
    Result<void> check_file(const std::string& /*path*/) override { return ok(); }

  private:
    FileSystem& files_;
};

}  // namespace cairn::storage
