// A file system whose syncs do nothing: the control that proves that lost writes are noticed.
// Owned by a test node; one thread.
// Never used by a run that is meant to pass.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/file_system.h"

namespace cairn::sim {

class UnsyncedFile final : public storage::File {
  public:
    explicit UnsyncedFile(std::unique_ptr<storage::File> file) : file_(std::move(file)) {}
    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        return file_->write_at(offset, bytes);
    }
    Result<std::string> read_at(std::uint64_t offset, std::size_t count) override {
        return file_->read_at(offset, count);
    }
    Result<void> sync() override { return ok(); }
    Result<void> preallocate(std::uint64_t bytes) override { return file_->preallocate(bytes); }
    Result<void> truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
    Result<std::uint64_t> size() override { return file_->size(); }

  private:
    std::unique_ptr<storage::File> file_;
};

class UnsyncedFs final : public storage::FileSystem {
  public:
    explicit UnsyncedFs(storage::FileSystem& files) : files_(files) {}
    Result<std::unique_ptr<storage::File>> open(const std::string& path,
                                                storage::OpenMode mode) override {
        CAIRN_TRY(auto file, files_.open(path, mode));
        return std::unique_ptr<storage::File>(std::make_unique<UnsyncedFile>(std::move(file)));
    }
    Result<std::vector<std::string>> list(const std::string& dir) override {
        return files_.list(dir);
    }
    Result<bool> exists(const std::string& path) override { return files_.exists(path); }
    Result<void> rename(const std::string& from, const std::string& to) override {
        return files_.rename(from, to);
    }
    Result<void> remove(const std::string& path) override { return files_.remove(path); }
    Result<void> remove_all(const std::string& dir) override { return files_.remove_all(dir); }
    Result<void> make_dirs(const std::string& dir) override { return files_.make_dirs(dir); }
    Result<void> sync_dir(const std::string& dir) override { return files_.sync_dir(dir); }
    Result<std::uint64_t> free_bytes(const std::string& dir) override {
        return files_.free_bytes(dir);
    }
    Result<std::unique_ptr<storage::FileLock>> lock(const std::string& path) override {
        return files_.lock(path);
    }

  private:
    storage::FileSystem& files_;
};

}  // namespace cairn::sim
