#include "storage/snapshot.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "proto/cairn/snapshot.pb.h"
#include "storage/coding.h"
#include "storage/conf_codec.h"

namespace cairn::storage {
namespace {

namespace pb = ::cairn::snapshot;

constexpr ByteView kMagic = "cairn snapshot 1\n";
constexpr ByteView kMagicOfAnyVersion = "cairn snapshot ";
// Files are read and verified in pieces of this size.
constexpr std::size_t kPieceBytes = 1U * 1024U * 1024U;
// What has arrived goes to the disk in steps of this size, as RocksDB's tables do. A table of 64 MB
// that is synced at once keeps the log from the disk for 50 ms.
constexpr std::uint64_t kWritebackBytes = 1U * 1024U * 1024U;

pb::Manifest to_proto(const SnapshotManifest& manifest) {
    pb::Manifest out;
    out.set_index(manifest.meta.last.index.value);
    out.set_term(manifest.meta.last.term.value);
    storage::to_proto(manifest.meta.conf, *out.mutable_conf());
    out.set_revision(manifest.revision);
    for (const ManifestFile& file : manifest.files) {
        pb::File& slot = *out.add_files();
        slot.set_name(file.name);
        slot.set_bytes(file.bytes);
        slot.set_checksum(file.checksum);
    }
    return out;
}

SnapshotManifest from_proto(const pb::Manifest& in) {
    SnapshotManifest manifest;
    manifest.meta.last = {Term{in.term()}, Index{in.index()}};
    manifest.meta.conf = storage::from_proto(in.conf());
    manifest.revision = in.revision();
    for (const pb::File& file : in.files()) {
        manifest.files.push_back({file.name(), file.bytes(), file.checksum()});
    }
    return manifest;
}

// What a peer sends as a name must not lead out of the snapshot's directory.
bool is_plain_name(const std::string& name) {
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
           name != kManifestName && name.find('/') == std::string::npos &&
           name.find('\0') == std::string::npos;
}

bool has_sound_names(const SnapshotManifest& manifest) {
    std::set<std::string> names;
    return std::all_of(manifest.files.begin(), manifest.files.end(), [&](const ManifestFile& file) {
        return is_plain_name(file.name) && names.insert(file.name).second;
    });
}

Error corrupt(const std::string& path, const std::string& what) {
    return {Errc::kCorrupt, path + ": " + what};
}

// The checksum of the first `bytes` of a file; `until` when it is longer, an error when shorter.
Result<Xxh3Stream> sum_of(File& file, const std::string& path, std::uint64_t bytes) {
    Xxh3Stream sum;
    for (std::uint64_t at = 0; at < bytes;) {
        const auto wanted =
            static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, bytes - at));
        CAIRN_TRY(const std::string piece, file.read_at(at, wanted));
        if (piece.size() != wanted) {
            return corrupt(path, "shorter than it was");
        }
        sum.add(piece);
        at += wanted;
    }
    return sum;
}

}  // namespace

std::uint64_t SnapshotManifest::bytes() const {
    std::uint64_t total = 0;
    for (const ManifestFile& file : files) {
        // What a peer says must not come round.
        total = file.bytes > UINT64_MAX - total ? UINT64_MAX : total + file.bytes;
    }
    return total;
}

std::string encode_manifest(const SnapshotManifest& manifest) {
    std::string out(kMagic);
    const std::string body = to_proto(manifest).SerializeAsString();
    append_u32_be(out, static_cast<std::uint32_t>(body.size()));
    out += body;
    append_u64_be(out, xxh3_64(out));
    return out;
}

Result<SnapshotManifest> decode_manifest(ByteView bytes, const std::string& path) {
    const ByteView whole = bytes;
    if (!bytes.starts_with(kMagicOfAnyVersion)) {
        return corrupt(path, "not a snapshot's manifest");
    }
    if (bytes.size() >= kMagic.size() && !bytes.starts_with(kMagic)) {
        return Error(Errc::kUnsupportedVersion, path + ": a manifest of another format");
    }
    bytes.remove_prefix(std::min(bytes.size(), kMagic.size()));
    std::uint32_t size = 0;
    if (!take_u32_be(bytes, size) || bytes.size() != std::size_t{size} + 8) {
        return corrupt(path, "cut short");
    }
    const ByteView body = bytes.substr(0, size);
    bytes.remove_prefix(size);
    std::uint64_t sum = 0;
    pb::Manifest manifest;
    if (!take_u64_be(bytes, sum) || sum != xxh3_64(whole.substr(0, whole.size() - 8)) ||
        !manifest.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
        return corrupt(path, "damaged");
    }
    SnapshotManifest decoded = from_proto(manifest);
    if (!has_sound_names(decoded)) {
        return corrupt(path, "a file name that is none");
    }
    const raft::EntryId last = decoded.meta.last;
    if (std::max(last.index.value, last.term.value) > kTermOrIndexMax) {
        return corrupt(path, "a term or an index that no log gets to");
    }
    if (!raft::is_well_formed(decoded.meta.conf)) {
        return corrupt(path, "the members of its configuration are not in order");
    }
    return decoded;
}

Result<void> SnapshotSums::read_some(std::uint64_t bytes_max) {
    while (!whole() && bytes_max > 0) {
        if (current_ == nullptr) {
            CAIRN_TRY(current_, files_->open(path(), OpenMode::kRead));
            CAIRN_TRY(bytes_, current_->size());
            at_ = 0;
            sum_ = Xxh3Stream();
        }
        const std::uint64_t wanted =
            std::min({std::uint64_t{kPieceBytes}, bytes_max, bytes_ - at_});
        if (wanted > 0) {
            CAIRN_TRY(const std::string piece,
                      current_->read_at(at_, static_cast<std::size_t>(wanted)));
            if (piece.size() != wanted) {
                return corrupt(path(), "shorter than it was");
            }
            sum_.add(piece);
            at_ += wanted;
            bytes_max -= wanted;
        }
        if (at_ == bytes_) {
            done_.push_back({names_[done_.size()], bytes_, sum_.value()});
            current_.reset();
        }
    }
    return ok();
}

Result<std::vector<ManifestFile>> list_snapshot_files(FileSystem& files, const std::string& dir) {
    CAIRN_TRY(std::vector<std::string> names, files.list(dir));
    SnapshotSums sums(files, dir, std::move(names));
    while (!sums.whole()) {
        CAIRN_TRY(sums.read_some(kPieceBytes));
    }
    return sums.done();
}

Result<void> write_manifest(FileSystem& files, const std::string& dir,
                            const SnapshotManifest& manifest) {
    const std::string path = dir + "/" + std::string(kManifestName);
    CAIRN_TRY(auto file, files.open(path, OpenMode::kCreate));
    CAIRN_TRY(file->write_at(0, encode_manifest(manifest)));
    CAIRN_TRY(file->sync());
    return files.sync_dir(dir);
}

Result<SnapshotManifest> read_manifest(FileSystem& files, const std::string& dir) {
    const std::string path = dir + "/" + std::string(kManifestName);
    CAIRN_TRY(auto file, files.open(path, OpenMode::kRead));
    CAIRN_TRY(const std::string bytes, file->read_at(0, kManifestBytesMax));
    return decode_manifest(bytes, path);
}

std::vector<std::string> file_names(const SnapshotManifest& manifest) {
    std::vector<std::string> names;
    names.reserve(manifest.files.size());
    for (const ManifestFile& file : manifest.files) {
        names.push_back(file.name);
    }
    return names;
}

Result<void> verify_some(SnapshotSums& sums, const SnapshotManifest& manifest,
                         std::uint64_t bytes_max) {
    const std::size_t before = sums.done().size();
    CAIRN_TRY(sums.read_some(bytes_max));
    for (std::size_t i = before; i < sums.done().size(); ++i) {
        const ManifestFile& found = sums.done()[i];
        const ManifestFile& expected = manifest.files[i];
        if (found.bytes != expected.bytes) {
            if (CAIRN_MUTANT(short_snapshot_file)) {
                continue;
            }
            return corrupt(found.name, fmt::format("{} bytes long, {} in the manifest", found.bytes,
                                                   expected.bytes));
        }
        if (found.checksum != expected.checksum) {
            return corrupt(found.name, "checksum does not match the manifest's");
        }
    }
    return ok();
}

Result<void> verify_snapshot(FileSystem& files, const std::string& dir,
                             const SnapshotManifest& manifest) {
    SnapshotSums sums(files, dir, file_names(manifest));
    while (!sums.whole()) {
        CAIRN_TRY(verify_some(sums, manifest, kPieceBytes));
    }
    return ok();
}

Result<std::string> SnapshotReader::read(SnapshotPlace place, std::size_t count) {
    CAIRN_ASSERT(place.file < manifest_.files.size());
    const ManifestFile& file = manifest_.files[place.file];
    CAIRN_ASSERT(place.offset <= file.bytes);
    const std::string path = dir_ + "/" + file.name;
    if (open_ == nullptr || open_file_ != place.file) {
        CAIRN_TRY(open_, files_.open(path, OpenMode::kRead));
        open_file_ = place.file;
    }
    const auto wanted = std::min<std::uint64_t>(count, file.bytes - place.offset);
    CAIRN_TRY(std::string piece, open_->read_at(place.offset, static_cast<std::size_t>(wanted)));
    if (piece.size() != wanted) {
        return corrupt(path, "shorter than its manifest says");
    }
    return piece;
}

SnapshotPlace SnapshotReader::after(SnapshotPlace place, std::uint64_t bytes) const {
    place.offset += bytes;
    while (place.file < manifest_.files.size() &&
           place.offset >= manifest_.files[place.file].bytes) {
        place = {place.file + 1, 0};
    }
    return place;
}

Result<SnapshotWriter> SnapshotWriter::open(FileSystem& files, std::string dir,
                                            SnapshotManifest manifest) {
    CAIRN_ASSERT(has_sound_names(manifest));
    SnapshotWriter writer(files, std::move(dir), std::move(manifest));
    CAIRN_TRY(writer.prepare_dir());
    CAIRN_TRY(writer.find_place());
    CAIRN_TRY(writer.finish_files());
    return writer;
}

std::string SnapshotWriter::path_of(std::size_t file) const {
    return dir_ + "/" + manifest_.files[file].name;
}

std::uint64_t SnapshotWriter::bytes_written() const {
    std::uint64_t bytes = place_.offset;
    for (std::uint32_t file = 0; file < place_.file; ++file) {
        bytes += manifest_.files[file].bytes;
    }
    return bytes;
}

// The manifest is durable before the first file: what the directory holds without it, or beside
// another, is of no use.
Result<void> SnapshotWriter::prepare_dir() {
    CAIRN_TRY(files_->make_dirs(dir_));
    const auto found = read_manifest(*files_, dir_);
    if (found.has_value() &&
        (found.value() == manifest_ || CAIRN_MUTANT(pieces_of_two_snapshots))) {
        return ok();
    }
    CAIRN_TRY(files_->remove_all(dir_));
    CAIRN_TRY(files_->make_dirs(dir_));
    CAIRN_TRY(files_->sync_dir(parent_dir(dir_)));
    return write_manifest(*files_, dir_, manifest_);
}

// Files before the place are whole and durable, or the crash would have had to keep a later one:
// each is made durable before the next is begun. The last one found is in doubt and read again.
Result<void> SnapshotWriter::find_place() {
    std::uint32_t next = 0;
    while (next < manifest_.files.size()) {
        CAIRN_TRY(const bool exists, files_->exists(path_of(next)));
        if (!exists) {
            break;
        }
        ++next;
    }
    place_ = {next == 0 ? 0 : next - 1, 0};
    if (next == 0) {
        return open_current();
    }
    CAIRN_TRY(current_, files_->open(path_of(place_.file), OpenMode::kReadWrite));
    CAIRN_TRY(const std::uint64_t size, current_->size());
    if (size > manifest_.files[place_.file].bytes) {
        return restart_file();
    }
    if (!CAIRN_MUTANT(resumed_sum_forgotten)) {
        CAIRN_TRY(sum_, sum_of(*current_, path_of(place_.file), size));
    }
    const bool complete = size == manifest_.files[place_.file].bytes;
    if (complete && sum_.value() != manifest_.files[place_.file].checksum) {
        return restart_file();
    }
    if (size > 0) {
        CAIRN_PROBE("snapshot.resumed");
    }
    place_.offset = size;
    return ok();
}

Result<void> SnapshotWriter::open_current() {
    sum_ = Xxh3Stream();
    current_.reset();
    if (whole()) {
        return ok();
    }
    CAIRN_TRY(current_, files_->open(path_of(place_.file), OpenMode::kCreate));
    return ok();
}

Result<void> SnapshotWriter::restart_file() {
    place_.offset = 0;
    sum_ = Xxh3Stream();
    return current_->truncate(0);
}

Result<void> SnapshotWriter::write(ByteView piece) {
    CAIRN_ASSERT(!whole() && piece.size() <= manifest_.files[place_.file].bytes - place_.offset);
    CAIRN_TRY(current_->write_at(place_.offset, piece));
    sum_.add(piece);
    const std::uint64_t begun = place_.offset / kWritebackBytes;
    place_.offset += piece.size();
    if (const std::uint64_t due = place_.offset / kWritebackBytes; due > begun) {
        current_->begin_writeback(begun * kWritebackBytes, (due - begun) * kWritebackBytes);
    }
    return finish_files();
}

// Closes the current file when it is complete, and empty ones behind it.
Result<void> SnapshotWriter::finish_files() {
    while (!whole() && place_.offset == manifest_.files[place_.file].bytes) {
        if (sum_.value() != manifest_.files[place_.file].checksum &&
            !CAIRN_MUTANT(bad_snapshot_accepted)) {
            const std::string path = path_of(place_.file);
            CAIRN_PROBE("snapshot.file_was_bad");
            CAIRN_TRY(restart_file());
            return corrupt(path, "checksum does not match the manifest's");
        }
        if (!CAIRN_MUTANT(snapshot_not_synced)) {
            CAIRN_TRY(current_->sync());
        }
        CAIRN_TRY(files_->sync_dir(dir_));
        place_ = {place_.file + 1, 0};
        CAIRN_TRY(open_current());
    }
    return ok();
}

}  // namespace cairn::storage
