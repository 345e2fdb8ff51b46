// A snapshot as users save it, in one piece: its manifest, its files, and a SHA-256 of all that
// (docs/formats/snapshot.md); made of a snapshot on this disk, and taken apart again.
// Used by one thread at a time, through FileSystem; engine-neutral.
// Never trusts a file: nothing of it counts before all of it has proved to be whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/result.h"
#include "storage/file_system.h"
#include "storage/sha256.h"
#include "storage/snapshot.h"
#include "storage/snapshot_store.h"

namespace cairn::storage {

// What is before the digest is filled up to a multiple of this, since etcd's client tells a
// snapshot with a digest from one without by what is left of its length.
inline constexpr std::uint64_t kSavedSnapshotAlign = 512;

// All that stands before the digest of a saved snapshot with this manifest; UINT64_MAX when no
// number can say it.
std::uint64_t saved_snapshot_bytes(const SnapshotManifest& manifest);

// The bytes of a saved snapshot in their order, once.
class SavedSnapshotSource {
  public:
    // The files stay as long as this holds `built`.
    SavedSnapshotSource(FileSystem& files, std::shared_ptr<const BuiltSnapshot> built);

    // What next() has still to give.
    [[nodiscard]] std::uint64_t bytes_left() const { return left_; }
    // The next `count` bytes, or all that are left. kCorrupt when a file is not what its manifest
    // says: whoever has got the bytes before must not keep them. kIo, kNotFound.
    Result<std::string> next(std::size_t count);
    // Of all that next() gave.
    [[nodiscard]] std::string digest() const { return sum_.value(); }

  private:
    Result<std::string> next_of_files(std::size_t count);

    std::shared_ptr<const BuiltSnapshot> built_;
    SnapshotReader reader_;
    std::string head_;  // what is left of the manifest
    SnapshotPlace place_;
    Xxh3Stream file_sum_;  // of the file at place_, up to there
    std::uint64_t left_;
    Sha256 sum_;
};

enum class DigestCheck : std::uint8_t {
    kRequired,
    kSkipped,  // and it may be missing
};

// What a saved snapshot says it is. kCorrupt and kUnsupportedVersion name `path`; kNotFound, kIo.
Result<SnapshotManifest> read_saved_manifest(FileSystem& files, const std::string& path);
// Writes its files, verified and durable, and its manifest beside them into the new directory
// `dir`, whose parent exists; on an error nothing is left of it. Errors of read_saved_manifest;
// kNoSpace.
Result<SnapshotManifest> unpack_saved_snapshot(FileSystem& files, const std::string& path,
                                               const std::string& dir, DigestCheck check);

}  // namespace cairn::storage
