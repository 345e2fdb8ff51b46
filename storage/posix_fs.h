// The operating system's files behind the FileSystem seam.
// Thread-safe; one File is used by one thread at a time.
// Never retries a failed sync, and never leaves a file open across exec.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/file_system.h"

namespace cairn::storage {

// Files are created with mode 0600, directories with 0700. Every error names the path, the call
// and what the system said. Besides the codes of FileSystem: kNoSpace also for a used-up quota.
class PosixFs final : public FileSystem {
  public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<std::vector<std::string>> list(const std::string& dir) override;
    Result<bool> exists(const std::string& path) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> remove_all(const std::string& dir) override;
    Result<void> make_dirs(const std::string& dir) override;
    Result<void> sync_dir(const std::string& dir) override;
    Result<std::uint64_t> free_bytes(const std::string& dir) override;
    // An open-file-description lock: conflicts within one process as well as between two.
    Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
};

}  // namespace cairn::storage
