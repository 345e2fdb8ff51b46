// The data directory: its lock, its identity file, and where things lie in it.
// Used by the Node at start, before any thread; through FileSystem, but for permissions.
// Never removes what it did not write.
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

// In a directory that a snapshot is being restored into, until it has an identity.
inline constexpr const char* kRestoringName = "RESTORING";

class DataDir {
  public:
    // Creates the directory when missing and locks it. kLocked when another process has it;
    // kInvalidConfig when it is etcd's: nothing is made there.
    static Result<DataDir> open(storage::FileSystem& files, std::string path);

    [[nodiscard]] std::string log_path() const { return path_ + "/wal"; }
    // The engine of a member that did not begin with another's snapshot.
    [[nodiscard]] std::string engine_path() const { return path_ + "/db"; }
    [[nodiscard]] const std::string& path() const { return path_; }

    // Nothing for a directory that no member has finished its first start in. kCorrupt,
    // kUnsupportedVersion.
    Result<std::optional<DataDirIdentity>> read_identity();
    // Durable when it returns: from now on the directory belongs to this member. Written last in a
    // first start, so that a crash before it starts over.
    Result<void> write_identity(const DataDirIdentity& identity);
    // Whether the disk takes `bytes` more: writes them to a file that is removed again. kNoSpace.
    Result<void> check_space(std::uint64_t bytes);

  private:
    DataDir(storage::FileSystem& files, std::string path, std::unique_ptr<storage::FileLock> lock);

    storage::FileSystem* files_;
    std::string path_;
    std::unique_ptr<storage::FileLock> lock_;
};

// Takes a data directory's permissions from everybody but its owner, when it is surely one (empty,
// or a member's) and ours. The answer is a warning for the log, empty when all is well.
std::string restrict_data_dir(const std::string& path);

// The content of the identity file, and back. Pure.
std::string encode_identity(const DataDirIdentity& identity);
Result<DataDirIdentity> decode_identity(ByteView text, const std::string& path);

}  // namespace cairn::server
