// The seam to the operating system's files: everything the log, snapshots and the data directory do
// to a disk goes through here, so that a simulator can forget, tear and fail it.
// Thread-safe as a whole; one File is used by one thread at a time.
// Never buffers: what write_at accepted is with the operating system, and durable only after sync.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace cairn::storage {

// An open file. Closed by the destructor, which reports nothing: whoever needs to know syncs first.
class File {
  public:
    virtual ~File() = default;

    // Writes all of `bytes` at `offset`; a gap reads as zeros.
    // kNoSpace, kIo. After a failure the content of the range is undefined.
    virtual Result<void> write_at(std::uint64_t offset, ByteView bytes) = 0;
    // Up to `count` bytes from `offset`; fewer only at the end of the file.
    virtual Result<std::string> read_at(std::uint64_t offset, std::size_t count) = 0;
    // Makes the content and the size durable (fdatasync). A failure is final: the caller must not
    // try again on this file, since the kernel may have dropped the pages (fsyncgate, 2018).
    virtual Result<void> sync() = 0;
    // A hint that the range will be synced later: the disk may begin with it now. A sync() of much
    // at once would keep the disk from others meanwhile. Promises nothing, and cannot fail.
    virtual void begin_writeback(std::uint64_t /*offset*/, std::uint64_t /*bytes*/) {}
    // Makes the file at least `bytes` long, the new part zero-filled and its blocks really written,
    // so that later syncs of the range need no journal commit for the size. Not durable by itself.
    virtual Result<void> preallocate(std::uint64_t bytes) = 0;
    virtual Result<void> truncate(std::uint64_t bytes) = 0;
    virtual Result<std::uint64_t> size() = 0;
};

// An exclusive lock on a path, held until destroyed; released by the system when the process dies.
class FileLock {
  public:
    virtual ~FileLock() = default;
};

enum class OpenMode : std::uint8_t {
    kRead,       // must exist
    kReadWrite,  // must exist
    kCreate,     // must not exist; read and write
};

// Paths are plain strings with '/'. Directory changes (create, rename, remove) are durable only
// after sync_dir of the directory that holds the name.
class FileSystem {
  public:
    virtual ~FileSystem() = default;

    // kNotFound, kIo, kNoSpace; kCreate on an existing path: kIo.
    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    // Names (not paths) in the directory, sorted, without "." and "..".
    virtual Result<std::vector<std::string>> list(const std::string& dir) = 0;
    virtual Result<bool> exists(const std::string& path) = 0;
    // Atomic; replaces `to` when it exists.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove(const std::string& path) = 0;
    // Removes a directory and everything in it; a missing one is no error.
    virtual Result<void> remove_all(const std::string& dir) = 0;
    // Creates the directory and its parents, mode 0700; an existing one is no error.
    virtual Result<void> make_dirs(const std::string& dir) = 0;
    virtual Result<void> sync_dir(const std::string& dir) = 0;
    // What the disk that holds `dir` would still take of us; others may take it first.
    virtual Result<std::uint64_t> free_bytes(const std::string& dir) = 0;
    // Creates `path` when missing. kLocked when another holder lives.
    virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

// The directory that holds `path`'s name; "." for a plain name, "/" for what lies in the root.
inline std::string parent_dir(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    const std::size_t slash = end == std::string::npos ? end : path.rfind('/', end);
    if (slash == std::string::npos) {
        return ".";
    }
    const std::size_t last = path.find_last_not_of('/', slash);
    return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

}  // namespace cairn::storage
