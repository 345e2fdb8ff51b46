#include "storage/saved_snapshot.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "storage/coding.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kPieceBytes = 1U * 1024U * 1024U;
// How an encoded manifest begins, and where it says its length (docs/formats/snapshot.md).
constexpr ByteView kManifestBegin = "cairn snapshot ";
constexpr std::size_t kManifestLengthAt = 17;
// Of etcd's database files, at this place of their first page (in either byte order, since only
// whether it is one is asked).
constexpr std::size_t kBoltMagicAt = 16;
constexpr ByteView kBoltMagicLittle("\xED\xDA\x0C\xED", 4);
constexpr ByteView kBoltMagicBig("\xED\x0C\xDA\xED", 4);

Error corrupt(const std::string& path, const std::string& what) {
    return {Errc::kCorrupt, path + ": " + what};
}

bool is_bolt(ByteView head) {
    const ByteView magic = head.substr(std::min(kBoltMagicAt, head.size()), 4);
    return magic == kBoltMagicLittle || magic == kBoltMagicBig;
}

// The bytes at the beginning of the file that should be its manifest.
Result<std::string> read_head(File& file, const std::string& path) {
    CAIRN_TRY(const std::string begin, file.read_at(0, kManifestLengthAt + 4));
    if (is_bolt(begin)) {
        return corrupt(
            path,
            "a snapshot of etcd (a bbolt file); only what \"cairn snapshot save\" has made "
            "of a cairn member can be used");
    }
    if (begin.empty()) {
        return corrupt(path, "an empty file, not a snapshot");
    }
    if (!ByteView(begin).starts_with(kManifestBegin)) {
        return corrupt(path, "not a snapshot of cairn");
    }
    std::uint32_t length = 0;
    ByteView rest = ByteView(begin).substr(std::min(kManifestLengthAt, begin.size()));
    static_cast<void>(take_u32_be(rest, length));
    const std::size_t bytes = kManifestLengthAt + 4 + std::size_t{length} + 8;
    return file.read_at(0, std::min(bytes, kManifestBytesMax));
}

Result<SnapshotManifest> decode_head(ByteView head, const std::string& path) {
    auto manifest = decode_manifest(head, path);
    if (manifest.has_error()) {
        return manifest.error().code == Errc::kUnsupportedVersion
                   ? Error(Errc::kUnsupportedVersion, path + ": a snapshot of a newer format")
                   : corrupt(path, "damaged at its beginning, or cut short there");
    }
    return manifest;
}

// A saved snapshot being read from its beginning to its end.
class SavedSnapshotFile {
  public:
    static Result<SavedSnapshotFile> open(FileSystem& files, std::string path) {
        SavedSnapshotFile saved(std::move(path));
        CAIRN_TRY(saved.file_, files.open(saved.path_, OpenMode::kRead));
        CAIRN_TRY(const std::string head, read_head(*saved.file_, saved.path_));
        CAIRN_TRY(saved.manifest_, decode_head(head, saved.path_));
        saved.sum_.add(head);
        saved.at_ = head.size();
        return saved;
    }

    [[nodiscard]] const SnapshotManifest& manifest() const { return manifest_; }

    Result<void> check_size(DigestCheck check) {
        const std::uint64_t body = saved_snapshot_bytes(manifest_);
        CAIRN_TRY(const std::uint64_t size, file_->size());
        const bool may_lack_digest = check == DigestCheck::kSkipped;
        if (size < body || (size - body < kSha256Bytes && !(may_lack_digest && size == body))) {
            return corrupt(path_,
                           fmt::format("cut short: {} of {} bytes{}", size, body + kSha256Bytes,
                                       size == body ? " (only the digest is missing: "
                                                      "--skip-hash-check does without)"
                                                    : ""));
        }
        if (size - body > kSha256Bytes) {
            return corrupt(path_, fmt::format("longer than it was: {} bytes, not {}", size,
                                              body + kSha256Bytes));
        }
        return ok();
    }

    Result<void> write_to(SnapshotWriter& writer) {
        while (!writer.whole()) {
            const SnapshotPlace place = writer.place();
            const std::uint64_t in_file = manifest_.files[place.file].bytes - place.offset;
            CAIRN_TRY(const std::string piece, take(std::min<std::uint64_t>(in_file, kPieceBytes)));
            if (const auto written = writer.write(piece); written.has_error()) {
                return written.error().code == Errc::kCorrupt
                           ? corrupt(path_, fmt::format("damaged: the checksum of its file {} does "
                                                        "not match",
                                                        manifest_.files[place.file].name))
                           : written.error();
            }
        }
        return ok();
    }

    // Behind the files.
    Result<void> check_digest() {
        CAIRN_TRY(take(saved_snapshot_bytes(manifest_) - at_));  // the padding
        CAIRN_TRY(const std::string digest, file_->read_at(at_, kSha256Bytes));
        if (digest != sum_.value()) {
            return corrupt(path_, "damaged: its SHA-256 does not match");
        }
        return ok();
    }

  private:
    explicit SavedSnapshotFile(std::string path) : path_(std::move(path)) {}

    Result<std::string> take(std::uint64_t count) {
        CAIRN_TRY(std::string piece, file_->read_at(at_, static_cast<std::size_t>(count)));
        if (piece.size() != count) {
            return corrupt(path_, "became shorter while it was read");
        }
        sum_.add(piece);
        at_ += count;
        return piece;
    }

    std::string path_;
    std::unique_ptr<File> file_;
    SnapshotManifest manifest_;
    Sha256 sum_;
    std::uint64_t at_ = 0;
};

Result<SnapshotManifest> unpack(FileSystem& files, const std::string& path, const std::string& dir,
                                DigestCheck check) {
    CAIRN_TRY(auto saved, SavedSnapshotFile::open(files, path));
    CAIRN_TRY(saved.check_size(check));
    CAIRN_TRY(auto writer, SnapshotWriter::open(files, dir, saved.manifest()));
    CAIRN_TRY(saved.write_to(writer));
    if (check == DigestCheck::kRequired) {
        CAIRN_TRY(saved.check_digest());
    }
    return saved.manifest();
}

}  // namespace

std::uint64_t saved_snapshot_bytes(const SnapshotManifest& manifest) {
    const std::uint64_t head = encode_manifest(manifest).size();
    const std::uint64_t files = manifest.bytes();
    if (files > UINT64_MAX - head - kSavedSnapshotAlign - kSha256Bytes) {
        return UINT64_MAX - kSha256Bytes;
    }
    return (head + files + kSavedSnapshotAlign - 1) / kSavedSnapshotAlign * kSavedSnapshotAlign;
}

SavedSnapshotSource::SavedSnapshotSource(FileSystem& files,
                                         std::shared_ptr<const BuiltSnapshot> built)
    : built_(std::move(built)),
      reader_(files, built_->dir, built_->manifest),
      head_(encode_manifest(built_->manifest)),
      place_(reader_.after({}, 0)),
      left_(saved_snapshot_bytes(built_->manifest)) {}

Result<std::string> SavedSnapshotSource::next(std::size_t count) {
    count = static_cast<std::size_t>(std::min<std::uint64_t>(count, left_));
    std::string bytes = head_.substr(0, count);
    head_.erase(0, count);
    while (bytes.size() < count && place_.file < built_->manifest.files.size()) {
        CAIRN_TRY(const std::string piece, next_of_files(count - bytes.size()));
        bytes += piece;
    }
    bytes.resize(count, '\0');  // behind the last file
    left_ -= count;
    sum_.add(bytes);
    return bytes;
}

Result<std::string> SavedSnapshotSource::next_of_files(std::size_t count) {
    CAIRN_TRY(std::string piece, reader_.read(place_, count));
    file_sum_.add(piece);
    const SnapshotPlace next = reader_.after(place_, piece.size());
    if (next.file != place_.file) {
        const ManifestFile& file = built_->manifest.files[place_.file];
        if (std::exchange(file_sum_, Xxh3Stream()).value() != file.checksum) {
            return corrupt(built_->dir + "/" + file.name, "checksum does not match the manifest's");
        }
    }
    place_ = next;
    return piece;
}

Result<SnapshotManifest> read_saved_manifest(FileSystem& files, const std::string& path) {
    CAIRN_TRY(const auto saved, SavedSnapshotFile::open(files, path));
    return saved.manifest();
}

Result<SnapshotManifest> unpack_saved_snapshot(FileSystem& files, const std::string& path,
                                               const std::string& dir, DigestCheck check) {
    // What is left of another would be gone on with, as of a transfer.
    CAIRN_TRY(const bool taken, files.exists(dir));
    if (taken) {
        return Error(Errc::kInvalidConfig, dir + ": exists already");
    }
    auto unpacked = unpack(files, path, dir, check);
    if (unpacked.has_error()) {
        // The first error counts.
        static_cast<void>(files.remove_all(dir).has_value());
    }
    return unpacked;
}

}  // namespace cairn::storage
