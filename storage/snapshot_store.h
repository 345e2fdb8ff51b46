// A member's snapshots in its data directory: built from its engine and kept while somebody reads
// them, received from a leader, and put into the engine's place (docs/formats/data_dir.md).
// Owned by the shell; opened at start, then used on the snapshot thread alone.
// Never lets a crash choose: one rename decides which engine is the member's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "raft/persist.h"
#include "raft/types.h"
#include "storage/engine.h"
#include "storage/file_system.h"
#include "storage/snapshot.h"

namespace cairn::storage {

class EngineKind;

struct SnapshotStoreOptions {
    // What a build or a transfer must leave free on the disk for the log and the engine.
    std::uint64_t free_bytes_min = std::uint64_t{256} << 20U;
    // A snapshot of more files is not built: every receiver would refuse it.
    std::size_t files_max = kSnapshotFilesMax;
};

// For whom a snapshot is built: clients come once, while members may come again.
enum class SnapshotUse : std::uint8_t { kMember, kClient };

// A finished snapshot on this disk, to be read by a SnapshotReader. Its files stay while anybody
// holds it; any thread may drop it.
struct BuiltSnapshot {
    std::string dir;
    SnapshotManifest manifest;
    SnapshotUse use = SnapshotUse::kMember;
};

class SnapshotStore {
  public:
    // Snapshots on this disk at once; the newest of them is kept for the next member that wants
    // one.
    static constexpr std::size_t kBuiltMax = 3;
    // The last one is for members: clients may read as slowly as they like.
    static constexpr std::size_t kBuiltForClientsMax = kBuiltMax - 1;

    // Opens the engine that is the member's (a new one when there is none) and removes what a crash
    // left of builds and installs; a transfer that was cut off stays, to go on. `files` and `kind`
    // are borrowed. kCorrupt, kUnsupportedVersion, kIo; what the engine says.
    struct Opened;
    static Result<Opened> open(FileSystem& files, EngineKind& kind, std::string data_dir,
                               SnapshotStoreOptions options = {});
    SnapshotStore(const SnapshotStore&) = delete;
    SnapshotStore& operator=(const SnapshotStore&) = delete;
    ~SnapshotStore();

    // ---- for those who need one

    // A snapshot that contains the entry at `at_least`: the newest one when it does, else a new one
    // of the engine's state of now, which takes as long as a flush and reading all its files; apply
    // goes on meanwhile. kTooManyRequests: kBuiltMax are being read (for a client,
    // kBuiltForClientsMax), and none of them will do.
    // kNoSpace: nothing was begun. Whatever the error, nothing half is left.
    Result<std::shared_ptr<const BuiltSnapshot>> build(Index at_least);
    // The same in steps, the flush in the first one and then reading at most `bytes_max` in each:
    // null as long as it takes another. All who ask meanwhile go on with the same one.
    Result<std::shared_ptr<const BuiltSnapshot>> build_step(Index at_least, std::uint64_t bytes_max,
                                                            SnapshotUse use = SnapshotUse::kMember);
    // Nobody will want one soon: removes what nobody holds, and one half built.
    Result<void> drop_built();

    // ---- from a leader: receive, write until whole, finish, and install when the core says so

    // Begins to receive a snapshot, or goes on with the same one, also over a crash: the place of
    // the first piece that is missing (SnapshotWriter). Another one under way is dropped.
    // kTooManyRequests between finish and install or drop_received; kNoSpace.
    Result<SnapshotPlace> receive(SnapshotManifest manifest);
    // The place of the next piece after this one. kMalformed for a piece that does not begin at the
    // place or reaches beyond its file, and when nothing is being received; kCorrupt when the
    // pieces of a file were bad: received_to() is its beginning again. kNoSpace, kIo: try again by
    // receive, later.
    Result<SnapshotPlace> write(SnapshotPlace place, ByteView piece);
    // The first piece that is missing; nothing when nothing is being received.
    [[nodiscard]] std::optional<SnapshotPlace> received_to() const;
    // All files are there, read again, verified and durable: what to tell the core by an
    // InstallSnapshot. kMalformed when pieces are missing; kIo when what was written is not what is
    // read: all of it is dropped, and receive begins anew. kNoSpace: there is not enough left for
    // the engine and the log to go on with; it is dropped, too.
    Result<raft::SnapshotMeta> finish();
    // The same in steps that each read at most `bytes_max`: nothing as long as it takes another.
    Result<std::optional<raft::SnapshotMeta>> finish_step(std::uint64_t bytes_max);
    // Forgets what was received: the core had no use for it, or the leader has none.
    Result<void> drop_received();

    // Makes what was finished this member's engine, over any crash from now on, and opens it. The
    // caller then replaces the state machine's (StateMachine::replace) and tells the core; reads of
    // the old one may go on. kMalformed when nothing of this name was finished; any other error is
    // final: the member must stop, and starts again with the old engine or the new one.
    Result<std::shared_ptr<KvEngine>> install(const raft::SnapshotMeta& snapshot);

    // Removes former engines and snapshots that nobody uses any more, but for the newest snapshot
    // if that was built for a member. Cheap when there are none: to be called once in a while.
    Result<void> tidy();

  private:
    class Impl;
    explicit SnapshotStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

struct SnapshotStore::Opened {
    std::unique_ptr<SnapshotStore> store;
    std::shared_ptr<KvEngine> engine;
    // The snapshot that the engine began as; none for one that began empty.
    std::optional<raft::SnapshotMeta> installed;
};

// At start, before the core is restored: a crash may have come between the engine's replacement and
// the log's. The batch that the log lacks then, already carried out on `recovered`; nothing when
// all is well. kCorrupt when log and engine cannot come from one member's life.
Result<std::optional<raft::PersistBatch>> follow_install(
    const std::optional<raft::SnapshotMeta>& installed, raft::EntryId applied,
    raft::Recovered& recovered);

// What an engine made of a snapshot's files holds, before anything rests on it. kCorrupt, naming
// `path`: not what the manifest says.
Result<void> check_engine(const KvEngine& engine, const SnapshotManifest& manifest,
                          const std::string& path);

}  // namespace cairn::storage
