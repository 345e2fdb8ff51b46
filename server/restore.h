// A saved snapshot becomes the data directory of one member of a new cluster.
// Used by the command line, on one thread; through FileSystem, but for the engine's own files.
// Never touches a directory that holds anything else, and never leaves one that a member could
// start from before all of it is there.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "storage/engine.h"
#include "storage/file_system.h"
#include "storage/log_store.h"
#include "storage/saved_snapshot.h"

namespace cairn::server {

// What the saved snapshot at `path` says it is. Errors of read_saved_manifest; kUnsupportedVersion:
// more files than storage::kSnapshotFilesMax.
Result<storage::SnapshotManifest> read_restorable(storage::FileSystem& files,
                                                  const std::string& path);

struct RestoreOptions {
    std::string snapshot_path;
    storage::DigestCheck check = storage::DigestCheck::kRequired;
    std::int64_t bump_revision = 0;  // NewCluster
};

struct RestoredMember {
    DataDirIdentity identity;
    std::int64_t revision{};
};

// The member that `config` names, of the cluster that it names, in its data directory; each member
// is made so, from the same file with the same options. The ids also depend on these two, so that
// members whose data would differ are strangers to each other, and to the snapshot's cluster.
// kInvalidConfig: the flags contradict each other, or the directory is not empty; what was left by
// a restore that was cut off is removed. Errors of read_restorable, unpack_saved_snapshot and
// DataDir::open; kCorrupt: the data are not what the manifest says.
Result<RestoredMember> restore_member(storage::FileSystem& files, storage::EngineKind& kind,
                                      const ServerConfig& config, const RestoreOptions& options,
                                      const storage::LogOptions& log_options = {});

}  // namespace cairn::server
