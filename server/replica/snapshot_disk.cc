#include "server/replica/snapshot_disk.h"

#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/checksum.h"

namespace cairn::server {

std::optional<SnapshotResult> SnapshotDisk::run(SnapshotWork work) {
    return std::visit([this](auto& one) { return on(one); }, work);
}

std::optional<SnapshotResult> SnapshotDisk::on(const BuildSnapshot& work) {
    return SnapshotBuilt{work.to, work.run, build(work)};
}

Result<std::optional<storage::SnapshotManifest>> SnapshotDisk::build(const BuildSnapshot& work) {
    readings_.erase(work.to);
    CAIRN_TRY(auto built, store_.build_step(work.at_least, work.bytes_max));
    if (built == nullptr) {
        return std::optional<storage::SnapshotManifest>();
    }
    storage::SnapshotReader reader(files_, built->dir, built->manifest);
    storage::SnapshotManifest manifest = built->manifest;
    readings_.emplace(work.to, Reading{std::move(built), std::move(reader)});
    return std::optional(std::move(manifest));
}

// What cannot be removed now is tried again after the next.
std::optional<SnapshotResult> SnapshotDisk::on(const DropSnapshot& work) {
    readings_.erase(work.to);
    static_cast<void>(store_.tidy());
    return std::nullopt;
}

std::optional<SnapshotResult> SnapshotDisk::on(const ForgetSnapshots& /*work*/) {
    static_cast<void>(store_.drop_built());
    return std::nullopt;
}

std::optional<SnapshotResult> SnapshotDisk::on(const ReadPiece& work) {
    return PieceRead{work.to, work.run, read(work)};
}

Result<SnapshotChunk> SnapshotDisk::read(const ReadPiece& work) {
    const auto reading = readings_.find(work.to);
    CAIRN_ASSERT(reading != readings_.end());
    CAIRN_TRY(const std::string bytes, reading->second.reader.read(work.place, work.count));
    return SnapshotChunk{work.place, xxh3_64(bytes), Bytes::copy_of(bytes)};
}

std::optional<SnapshotResult> SnapshotDisk::on(OpenIncoming& work) {
    return SnapshotOpened{work.run, store_.receive(std::move(work.manifest))};
}

std::optional<SnapshotResult> SnapshotDisk::on(const WritePiece& work) {
    if (store_.received_to() != work.place) {
        return std::nullopt;
    }
    const Result<storage::SnapshotPlace> written = write(work);
    if (written.has_value()) {
        return PieceWritten{work.run, written.value(), ok()};
    }
    return PieceWritten{work.run, store_.received_to().value_or(work.place), written.error()};
}

Result<storage::SnapshotPlace> SnapshotDisk::write(const WritePiece& work) {
    if (xxh3_64(work.data.view()) != work.checksum) {
        return Error{Errc::kCorrupt, "a piece whose checksum does not match"};
    }
    return store_.write(work.place, work.data.view());
}

std::optional<SnapshotResult> SnapshotDisk::on(const VerifyIncoming& work) {
    return IncomingVerified{work.run, verify(work)};
}

Result<bool> SnapshotDisk::verify(const VerifyIncoming& work) {
    CAIRN_TRY(const auto meta, store_.finish_step(work.bytes_max));
    return meta.has_value();
}

std::optional<SnapshotResult> SnapshotDisk::on(const DropIncoming& /*work*/) {
    static_cast<void>(store_.drop_received());
    return std::nullopt;
}

std::optional<SnapshotResult> SnapshotDisk::on(const InstallIncoming& /*work*/) {
    CAIRN_UNREACHABLE();
}

// What cannot be removed now is tried again.
std::optional<SnapshotResult> SnapshotDisk::on(const TidySnapshots& /*work*/) {
    static_cast<void>(store_.tidy());
    return std::nullopt;
}

Result<std::shared_ptr<storage::KvEngine>> SnapshotDisk::install(const InstallIncoming& work) {
    return store_.install(work.manifest.meta);
}

}  // namespace cairn::server
