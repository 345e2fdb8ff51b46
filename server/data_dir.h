// The data directory: its lock, its identity file, and where things lie in it.
// Used by the Node at start, before any thread; through FileSystem.
// Never starts over what already belongs to a member: a mismatch is an error that names both.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "storage/file_system.h"

namespace cairn::server {

// Whose data a directory holds (docs/formats/data_dir.md).
struct DataDirIdentity {
    ClusterId cluster;
    NodeId member;

    bool operator==(const DataDirIdentity&) const = default;
};

class DataDir {
  public:
    // Creates the directory when missing and locks it. kLocked when another process has it.
    static Result<DataDir> open(storage::FileSystem& files, std::string path);

    [[nodiscard]] std::string log_path() const { return path_ + "/wal"; }
    [[nodiscard]] std::string engine_path() const { return path_ + "/db"; }
    [[nodiscard]] const std::string& path() const { return path_; }

    // Nothing for a directory that no member has finished its first start in. kCorrupt,
    // kUnsupportedVersion.
    Result<std::optional<DataDirIdentity>> read_identity();
    // Durable when it returns: from now on the directory belongs to this member. Written last in a
    // first start, so that a crash before it starts over.
    Result<void> write_identity(const DataDirIdentity& identity);
    // Removes what a first start that did not finish has left.
    Result<void> clear();

  private:
    DataDir(storage::FileSystem& files, std::string path, std::unique_ptr<storage::FileLock> lock);

    storage::FileSystem* files_;
    std::string path_;
    std::unique_ptr<storage::FileLock> lock_;
};

// The content of the identity file, and back. Pure.
std::string encode_identity(const DataDirIdentity& identity);
Result<DataDirIdentity> decode_identity(ByteView text, const std::string& path);

}  // namespace cairn::server
