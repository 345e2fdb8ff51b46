// Real files for a process that will be killed as if the power went: what was not synced is in this
// process's memory alone, so SIGKILL loses exactly that.
// Owned by one process, of which it must be the only way to these files; any thread.
// Never used outside tests: it costs a copy of every write, and directories are made at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/file_system.h"

namespace cairn::storage {

enum class PowerCutSync : std::uint8_t {
    kHonest,  // sync and sync_dir move what is in memory to the real files
    kIgnored  // they do nothing: the control run, which must be caught losing data
};

// File content is held until File::sync, names (create, rename, remove) until sync_dir. Creating
// and removing directories happens at once; a rename between two directories is made real by the
// sync of either.
class PowerCutFs final : public FileSystem {
  public:
    // New files wait under `staging` until their directory is synced; what an earlier process left
    // there is removed. `staging` must be on the file system of the data.
    static Result<std::unique_ptr<PowerCutFs>> create(FileSystem& base, std::string staging,
                                                      PowerCutSync sync);
    PowerCutFs(const PowerCutFs&) = delete;
    PowerCutFs& operator=(const PowerCutFs&) = delete;
    ~PowerCutFs() override;

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<std::vector<std::string>> list(const std::string& dir) override;
    Result<bool> exists(const std::string& path) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> remove_all(const std::string& dir) override;
    Result<void> make_dirs(const std::string& dir) override;
    Result<void> sync_dir(const std::string& dir) override;
    Result<std::uint64_t> free_bytes(const std::string& dir) override;
    // Real at once: the lock must die with the process.
    Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

  private:
    friend class PowerCutFile;
    struct Content;
    struct NameChange;
    using ContentPtr = std::shared_ptr<Content>;

    PowerCutFs(FileSystem& base, std::string staging, PowerCutSync sync);
    Result<ContentPtr> find(const std::string& path);
    Result<ContentPtr> stage();
    Result<void> carry_out(const NameChange& change);
    Result<void> save(Content& content);

    FileSystem& base_;
    const std::string staging_;
    const PowerCutSync sync_;
    std::mutex mutex_;  // over everything below, and over the content of all files
    // Every file ever touched, by its name as this process sees it; null: removed.
    std::map<std::string, ContentPtr> names_;
    std::vector<NameChange> changes_;  // names not yet synced, oldest first
    std::uint64_t staged_ = 0;
};

}  // namespace cairn::storage
