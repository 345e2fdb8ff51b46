#include "server/restore.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/checksum.h"
#include "server/bootstrap.h"
#include "storage/new_cluster.h"
#include "storage/snapshot.h"
#include "storage/snapshot_store.h"

namespace cairn::server {
namespace {

// RocksDB 7.8 ends in an assertion when it is opened on a full disk.
constexpr std::uint64_t kOpenBytes = 1024U * 1024U;

// What a restore makes in the data directory; the identity comes last.
constexpr std::array<std::string_view, 4> kMade{"db", "wal", "PROBE.tmp", "IDENTITY.tmp"};

bool is_made(const std::string& name) {
    return std::find(kMade.begin(), kMade.end(), name) != kMade.end();
}

// A lock alone is no data. What a restore has begun is its own, as long as its mark is there and
// no identity.
Result<void> check_empty(storage::FileSystem& files, const std::string& path) {
    CAIRN_TRY(const bool exists, files.exists(path));
    if (!exists) {
        return ok();
    }
    CAIRN_TRY(const std::vector<std::string> names, files.list(path));
    const bool cut_off = std::find(names.begin(), names.end(), kRestoringName) != names.end();
    const bool all_ours = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        return name == "LOCK" || (cut_off && (name == kRestoringName || is_made(name)));
    });
    if (!all_ours) {
        return Error{Errc::kInvalidConfig,
                     fmt::format("data-dir \"{}\" not empty or could not be read", path)};
    }
    return ok();
}

Result<void> remove_made(storage::FileSystem& files, const std::string& path) {
    CAIRN_TRY(const std::vector<std::string> names, files.list(path));
    for (const std::string& name : names) {
        if (is_made(name)) {
            CAIRN_TRY(files.remove_all(path + "/" + name));
        }
    }
    return ok();
}

// Durable, so that whatever else a crash leaves has this beside it.
Result<void> write_mark(storage::FileSystem& files, const std::string& path) {
    const std::string mark = path + "/" + kRestoringName;
    CAIRN_TRY(const bool marked, files.exists(mark));
    if (!marked) {
        CAIRN_TRY(auto file, files.open(mark, storage::OpenMode::kCreate));
        CAIRN_TRY(file->sync());
    }
    CAIRN_TRY(files.sync_dir(path));
    return ok();
}

// A directory that was made here and has no mark looks like a node's that is still to start. With
// a lock that is not ours it may be one.
Result<void> remove_unmarked(storage::FileSystem& files, const std::string& path, bool locked) {
    CAIRN_TRY(const bool exists, files.exists(path));
    if (!exists) {
        return ok();
    }
    CAIRN_TRY(const std::vector<std::string> names, files.list(path));
    const bool begun = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return name != "LOCK" || !locked;
    });
    return begun ? Result<void>(ok()) : files.remove_all(path);
}

Result<DataDir> begin(storage::FileSystem& files, const std::string& path) {
    CAIRN_TRY(const bool existed, files.exists(path));
    auto dir = DataDir::open(files, path);
    Result<void> begun = dir.has_error() ? Result<void>(dir.error()) : check_empty(files, path);
    if (begun.has_value()) {  // again empty: another one may have been at it before the lock was
                              // ours
        begun = write_mark(files, path);
    }
    if (begun.has_error() && !existed) {
        static_cast<void>(remove_unmarked(files, path, dir.has_value()).has_value());
    }
    if (begun.has_error()) {
        return begun.error();
    }
    return dir;
}

// The identity goes first, if it came so far, and the mark stays: at no time is there an identity
// without the rest, or anything that a node could start from.
Result<void> undo(storage::FileSystem& files, const std::string& path) {
    const std::string identity = path + "/IDENTITY";
    CAIRN_TRY(const bool identified, files.exists(identity));
    if (identified) {
        CAIRN_TRY(files.remove(identity));
        CAIRN_TRY(files.sync_dir(path));
    }
    return remove_made(files, path);
}

// Who this is, and what the engine and the log begin with.
struct Plan {
    DataDirIdentity identity;
    storage::NewCluster cluster;
};

Result<Plan> plan_restore(const ServerConfig& config, const RestoreOptions& options,
                          const storage::SnapshotManifest& manifest) {
    ServerConfig salted = config;
    salted.initial_cluster_token += fmt::format(
        "\nrestored {:016x} {}", xxh3_64(encode_manifest(manifest)), options.bump_revision);
    CAIRN_TRY(const Bootstrap bootstrap, plan_bootstrap(salted));
    Plan plan;
    plan.identity = {bootstrap.cluster, bootstrap.self};
    // As if the entries that begin a cluster had been applied.
    plan.cluster.start.last = {Term{1}, Index{bootstrap.members.size()}};
    plan.cluster.bump_revision = options.bump_revision;
    for (const raft::BootstrapMember& member : bootstrap.members) {
        command::MemberInfo info;
        if (!info.ParseFromArray(member.context.data(), static_cast<int>(member.context.size()))) {
            return Error{Errc::kInternal, "a member of the plan does not parse"};
        }
        plan.cluster.members.push_back(std::move(info));
        plan.cluster.start.conf.voters.push_back(member.id);
    }
    return plan;
}

// Where the member is made.
struct Place {
    storage::FileSystem& files;
    storage::EngineKind& kind;
    DataDir& dir;
    const storage::LogOptions& log_options;
};

Result<std::int64_t> make_engine(const Place& place, const RestoreOptions& options,
                                 const storage::NewCluster& cluster) {
    const std::string path = place.dir.engine_path();
    CAIRN_TRY(const auto manifest, storage::unpack_saved_snapshot(
                                       place.files, options.snapshot_path, path, options.check));
    CAIRN_TRY(place.dir.check_space(kOpenBytes));
    CAIRN_TRY(const auto engine, place.kind.open(path));
    CAIRN_TRY(storage::check_engine(*engine, manifest, options.snapshot_path));
    CAIRN_TRY(const std::int64_t revision, storage::begin_new_cluster(*engine, cluster));
    // It is of the snapshot, which this is no more.
    CAIRN_TRY(place.files.remove(path + "/" + std::string(storage::kManifestName)));
    CAIRN_TRY(place.files.sync_dir(path));
    return revision;
}

// An empty log that begins behind the engine's state, as behind an installed snapshot.
Result<void> make_log(const Place& place, const raft::SnapshotMeta& start) {
    CAIRN_TRY(auto opened,
              storage::LogStore::open(place.files, place.dir.log_path(), place.log_options));
    raft::PersistBatch batch;
    batch.floor = start;
    batch.restart = true;
    batch.hard_state = raft::HardState{start.last.term, {}, start.last.index};
    return opened.log->append(std::span(&batch, 1));
}

// Engine, log, identity.
Result<RestoredMember> make_member(const Place& place, const RestoreOptions& options,
                                   const Plan& plan) {
    CAIRN_TRY(const std::int64_t revision, make_engine(place, options, plan.cluster));
    CAIRN_TRY(make_log(place, plan.cluster.start));
    CAIRN_TRY(place.files.sync_dir(place.dir.path()));
    CAIRN_TRY(place.dir.write_identity(plan.identity));
    return RestoredMember{plan.identity, revision};
}

}  // namespace

Result<storage::SnapshotManifest> read_restorable(storage::FileSystem& files,
                                                  const std::string& path) {
    CAIRN_TRY(auto manifest, storage::read_saved_manifest(files, path));
    if (manifest.files.size() > storage::kSnapshotFilesMax) {
        return Error{Errc::kUnsupportedVersion,
                     fmt::format("{}: a snapshot of {} files, at most {} can be used", path,
                                 manifest.files.size(), storage::kSnapshotFilesMax)};
    }
    return manifest;
}

Result<RestoredMember> restore_member(storage::FileSystem& files, storage::EngineKind& kind,
                                      const ServerConfig& config, const RestoreOptions& options,
                                      const storage::LogOptions& log_options) {
    CAIRN_TRY(const auto manifest, read_restorable(files, options.snapshot_path));
    CAIRN_TRY(const Plan plan, plan_restore(config, options, manifest));
    CAIRN_TRY(check_empty(files, config.data_dir));
    CAIRN_TRY(auto dir, begin(files, config.data_dir));
    CAIRN_TRY(remove_made(files, dir.path()));
    auto made = make_member({files, kind, dir, log_options}, options, plan);
    if (made.has_error()) {
        // The first error counts; what cannot be removed now is by the next restore.
        static_cast<void>(undo(files, dir.path()).has_value());
        return made;
    }
    // From here on it is a member's.
    CAIRN_TRY(files.remove(dir.path() + "/" + kRestoringName));
    CAIRN_TRY(files.sync_dir(dir.path()));
    return made;
}

}  // namespace cairn::server
