// Snapshots as files: the manifest of a checkpoint, reading one piece by piece, and putting one
// together from pieces over any crash (docs/formats/snapshot.md).
// Used on the snapshot thread, through FileSystem; engine-neutral, so the simulator runs it too.
// Never trusts what arrived: a snapshot is whole only when every file has its length and checksum.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/result.h"
#include "raft/types.h"
#include "storage/file_system.h"

namespace cairn::storage {

struct ManifestFile {
    std::string name;
    std::uint64_t bytes{};
    std::uint64_t checksum{};  // XXH3-64 of the content
    bool operator==(const ManifestFile&) const = default;
};

// What a snapshot is: whoever has the files has the state machine after `meta.last`.
struct SnapshotManifest {
    raft::SnapshotMeta meta;
    std::int64_t revision{};  // the store's revision then
    std::vector<ManifestFile> files;

    [[nodiscard]] std::uint64_t bytes() const;
    bool operator==(const SnapshotManifest&) const = default;
};

// Files of one snapshot; an engine of more holds more than a member is made for.
inline constexpr std::size_t kSnapshotFilesMax = 100'000;
inline constexpr ByteView kManifestName = "MANIFEST.cairn";
inline constexpr std::size_t kManifestBytesMax = 16U * 1024U * 1024U;

// With magic, length and checksum.
std::string encode_manifest(const SnapshotManifest& manifest);
// kCorrupt, kUnsupportedVersion name `path`; also kCorrupt for a file name that is a path or stands
// twice.
Result<SnapshotManifest> decode_manifest(ByteView bytes, const std::string& path);
// The checksums of files, which are read in steps: whoever reads has something else to do between.
class SnapshotSums {
  public:
    SnapshotSums(FileSystem& files, std::string dir, std::vector<std::string> names)
        : files_(&files), dir_(std::move(dir)), names_(std::move(names)) {}

    // The files read to their end so far, in the order of the names.
    [[nodiscard]] const std::vector<ManifestFile>& done() const { return done_; }
    [[nodiscard]] bool whole() const { return done_.size() == names_.size(); }
    // Reads on: at most `bytes_max`, at least one. kIo, kNotFound; kCorrupt: a file became shorter.
    Result<void> read_some(std::uint64_t bytes_max);

  private:
    [[nodiscard]] std::string path() const { return dir_ + "/" + names_[done_.size()]; }

    FileSystem* files_;
    std::string dir_;
    std::vector<std::string> names_;
    std::vector<ManifestFile> done_;
    std::unique_ptr<File> current_;  // names_[done_.size()], when it is begun
    std::uint64_t bytes_ = 0;        // its length
    std::uint64_t at_ = 0;           // read of it
    Xxh3Stream sum_;
};

// Names, lengths and checksums of the files in `dir`, which it reads, sorted by name.
Result<std::vector<ManifestFile>> list_snapshot_files(FileSystem& files, const std::string& dir);
// Durable in `dir` when it returns, after the files it names.
Result<void> write_manifest(FileSystem& files, const std::string& dir,
                            const SnapshotManifest& manifest);
// kNotFound when the directory holds none.
Result<SnapshotManifest> read_manifest(FileSystem& files, const std::string& dir);
// Whether all files are there, whole: reads everything. kNotFound, kCorrupt name the first bad one.
Result<void> verify_snapshot(FileSystem& files, const std::string& dir,
                             const SnapshotManifest& manifest);
// The same in steps: `sums` is of the manifest's files, in its order; reads on.
Result<void> verify_some(SnapshotSums& sums, const SnapshotManifest& manifest,
                         std::uint64_t bytes_max);
std::vector<std::string> file_names(const SnapshotManifest& manifest);

// The next byte that is missing: of which file of the manifest, and where in it. Behind the last
// file, at 0: nothing is.
struct SnapshotPlace {
    std::uint32_t file{};
    std::uint64_t offset{};
    auto operator<=>(const SnapshotPlace&) const = default;
};

// A finished snapshot, for sending.
class SnapshotReader {
  public:
    SnapshotReader(FileSystem& files, std::string dir, SnapshotManifest manifest)
        : files_(files), dir_(std::move(dir)), manifest_(std::move(manifest)) {}

    [[nodiscard]] const SnapshotManifest& manifest() const { return manifest_; }
    // Up to `count` bytes at `place`, which must lie in the manifest; at least one unless the file
    // ends there. kCorrupt when the file is shorter than the manifest says; kIo, kNotFound.
    Result<std::string> read(SnapshotPlace place, std::size_t count);
    // Where the piece behind `place` of `bytes` begins.
    [[nodiscard]] SnapshotPlace after(SnapshotPlace place, std::uint64_t bytes) const;

  private:
    FileSystem& files_;
    std::string dir_;
    SnapshotManifest manifest_;
    std::unique_ptr<File> open_;
    std::uint32_t open_file_ = 0;  // valid while open_ is
};

// A snapshot under construction from pieces in order.
class SnapshotWriter {
  public:
    // Goes on where an earlier writer of the same manifest stopped, also over a crash; whatever
    // else `dir` holds is removed first. kNoSpace, kIo.
    static Result<SnapshotWriter> open(FileSystem& files, std::string dir,
                                       SnapshotManifest manifest);

    [[nodiscard]] const SnapshotManifest& manifest() const { return manifest_; }
    [[nodiscard]] SnapshotPlace place() const { return place_; }
    [[nodiscard]] bool whole() const { return place_.file == manifest_.files.size(); }
    [[nodiscard]] std::uint64_t bytes_written() const;
    // The piece that begins at place(); it must not reach beyond its file. A file that is complete
    // is verified and made durable; kCorrupt: its pieces were bad, and place() is its beginning
    // again. kNoSpace, kIo.
    Result<void> write(ByteView piece);

  private:
    SnapshotWriter(FileSystem& files, std::string dir, SnapshotManifest manifest)
        : files_(&files), dir_(std::move(dir)), manifest_(std::move(manifest)) {}

    Result<void> prepare_dir();
    Result<void> find_place();
    Result<void> open_current();
    Result<void> finish_files();
    Result<void> restart_file();
    [[nodiscard]] std::string path_of(std::size_t file) const;

    FileSystem* files_;
    std::string dir_;
    SnapshotManifest manifest_;
    SnapshotPlace place_;
    std::unique_ptr<File> current_;  // manifest_.files[place_.file]; none when whole
    Xxh3Stream sum_;                 // of what current_ holds
};

}  // namespace cairn::storage
