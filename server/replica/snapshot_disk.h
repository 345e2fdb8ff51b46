// Carries out SnapshotWork on a member's SnapshotStore.
// Owned and used by the snapshot thread (or the simulator), one piece of work
// after the other. Never decides anything: what is read, written or dropped is
// the flow's to say.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "server/replica/snapshot_work.h"
#include "storage/engine.h"
#include "storage/file_system.h"
#include "storage/snapshot.h"
#include "storage/snapshot_store.h"

namespace cairn::server {

class SnapshotDisk {
  public:
    // Both outlive it.
    SnapshotDisk(storage::FileSystem& files, storage::SnapshotStore& store)
        : files_(files), store_(store) {}

    // Nothing when the work has no answer. Not for InstallIncoming.
    std::optional<SnapshotResult> run(SnapshotWork work);
    // The engine that now is the member's; the caller gives it to the state
    // machine, and then answers with InstallDone. An error is final.
    Result<std::shared_ptr<storage::KvEngine>> install(const InstallIncoming& work);

  private:
    // The files stay as long as `built` is held.
    struct Reading {
        std::shared_ptr<const storage::BuiltSnapshot> built;
        storage::SnapshotReader reader;
    };

    std::optional<SnapshotResult> on(const BuildSnapshot& work);
    std::optional<SnapshotResult> on(const DropSnapshot& work);
    std::optional<SnapshotResult> on(const ForgetSnapshots& work);
    std::optional<SnapshotResult> on(const ReadPiece& work);
    std::optional<SnapshotResult> on(OpenIncoming& work);
    std::optional<SnapshotResult> on(const WritePiece& work);
    std::optional<SnapshotResult> on(const VerifyIncoming& work);
    std::optional<SnapshotResult> on(const DropIncoming& work);
    std::optional<SnapshotResult> on(const InstallIncoming& work);
    std::optional<SnapshotResult> on(const TidySnapshots& work);

    Result<std::optional<storage::SnapshotManifest>> build(const BuildSnapshot& work);
    Result<SnapshotChunk> read(const ReadPiece& work);
    // Where to go on.
    Result<storage::SnapshotPlace> write(const WritePiece& work);
    Result<bool> verify(const VerifyIncoming& work);

    storage::FileSystem& files_;
    storage::SnapshotStore& store_;
    std::map<NodeId, Reading> readings_;
};

}  // namespace cairn::server
