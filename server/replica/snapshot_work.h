// What the flow of snapshots asks of the disk, of the connections and of the replica, and what the
// disk answers. Values, between the reactor and the snapshot thread (or the simulator).
// Never carries anything that a replica's turn would have to wait for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "server/replica/event.h"
#include "server/replica/snapshot_message.h"
#include "server/replica/snapshot_stats.h"
#include "storage/snapshot.h"

namespace cairn::server {

// Work for the disk, done in the order in which it was asked for.
//
// Go on to make a snapshot ready for `to` that contains the entry at `at_least`: one that is there,
// or one of what is applied when the first step is done; the others read about `bytes_max` each.
// Answered by SnapshotBuilt.
struct BuildSnapshot {
    NodeId to;
    Index at_least;
    std::uint64_t bytes_max{};
    std::uint64_t run{};  // echoed
};
// `to` needs it no more. It is kept for the next that wants one.
struct DropSnapshot {
    NodeId to;
};
// Nobody will want one soon: remove what is kept, and what is half built.
struct ForgetSnapshots {};
// `count` bytes of it at `place`, which lie in one file. Answered by PieceRead.
struct ReadPiece {
    NodeId to;
    storage::SnapshotPlace place;
    std::size_t count{};
    std::uint64_t run{};  // echoed
};
// Make ready to write this snapshot, going on where an earlier attempt at the same one ended.
// Answered by SnapshotOpened.
struct OpenIncoming {
    storage::SnapshotManifest manifest;
    std::uint64_t run{};  // echoed, also for the pieces that follow
};
// The piece at `place`. Answered by PieceWritten; one that does not begin where the one before it
// ended, since that one was bad, is passed over in silence.
struct WritePiece {
    storage::SnapshotPlace place;
    std::uint64_t checksum{};
    Bytes data;
    std::uint64_t run{};
};
// Go on reading what is written, which is whole, about `bytes_max` in this step. Answered by
// IncomingVerified.
struct VerifyIncoming {
    std::uint64_t bytes_max{};
    std::uint64_t run{};  // echoed
};
// It is of no use any more: remove what is written.
struct DropIncoming {};
// Replace the state machine by what is written and verified. No apply is in flight. Answered by
// InstallDone.
struct InstallIncoming {
    storage::SnapshotManifest manifest;
};
// Remove what nobody uses any more: former engines, whose last reader may end at any time.
struct TidySnapshots {};
using SnapshotWork =
    std::variant<BuildSnapshot, DropSnapshot, ForgetSnapshots, ReadPiece, OpenIncoming, WritePiece,
                 VerifyIncoming, DropIncoming, InstallIncoming, TidySnapshots>;

struct SnapshotBuilt {
    NodeId to;
    std::uint64_t run{};
    Result<std::optional<storage::SnapshotManifest>> manifest;  // none: it takes another step
};
struct PieceRead {
    NodeId to;
    std::uint64_t run{};
    Result<SnapshotChunk> chunk;
};
struct SnapshotOpened {
    std::uint64_t run{};
    Result<storage::SnapshotPlace> place;  // where to go on
};
struct PieceWritten {
    std::uint64_t run{};
    storage::SnapshotPlace place;  // where to go on; earlier than before when an error is kCorrupt
    Result<void> written;
};
struct IncomingVerified {
    std::uint64_t run{};
    Result<bool> whole;  // false: it takes another step
};
struct InstallDone {
    raft::SnapshotMeta snapshot;
    Result<std::int64_t> revision;                         // an error is final: the member halts
    std::shared_ptr<const storage::Membership> members{};  // as the state machine has them now
};
using SnapshotResult = std::variant<SnapshotBuilt, PieceRead, SnapshotOpened, PieceWritten,
                                    IncomingVerified, InstallDone>;

// For log lines and histograms.
enum class SnapshotNoteKind : std::uint8_t {
    kBuildBegun,
    kSendBegun,
    kSendResumed,
    kSendDone,
    kSendFailed,
    kReceiveBegun,
    kReceiveResumed,
    kReceiveFailed,
    kInstallBegun,
    kInstalled,
};
struct SnapshotNote {
    SnapshotNoteKind kind{};
    NodeId peer;
    Index index;            // the snapshot's, where it is known
    std::uint64_t bytes{};  // done so far, or at all
    std::uint64_t ticks{};  // that it took
    Errc reason{};          // of a failure

    bool operator==(const SnapshotNote&) const = default;
};

// Everything the flow asks for since the last take.
struct SnapshotEffects {
    std::vector<SnapshotWork> work;
    // A connection to `first` is wanted (and kept, dialled again when lost) or no longer wanted.
    std::vector<std::pair<NodeId, bool>> lanes;
    std::vector<std::pair<NodeId, SnapshotMessage>> send;
    std::vector<Event> events;  // for the replica
    std::vector<SnapshotNote> notes;

    // Keeps the capacity of the vectors.
    void clear() {
        work.clear();
        lanes.clear();
        send.clear();
        events.clear();
        notes.clear();
    }
    [[nodiscard]] bool empty() const {
        return work.empty() && lanes.empty() && send.empty() && events.empty() && notes.empty();
    }
};

}  // namespace cairn::server
