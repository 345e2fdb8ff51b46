// A follower's half of the flow of snapshots: one at a time, from the offer to the installation.
// Owned by SnapshotFlow; one thread.
// Never tells the core of a snapshot before all of it is durable and verified here.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "server/replica/snapshot_layout.h"
#include "server/replica/snapshot_limits.h"
#include "server/replica/snapshot_work.h"
#include "server/replica/view.h"
#include "storage/snapshot.h"

namespace cairn::server {

class SnapshotReceiver {
  public:
    // All outlive it.
    SnapshotReceiver(NodeId self, const SnapshotLimits& limits, SnapshotEffects& out,
                     SnapshotStats& stats)
        : self_(self), limits_(limits), out_(out), stats_(stats) {}

    // Before anything else of a turn: what this member has.
    void on_view(const NodeView& view);
    void tick();
    void on(NodeId from, const SnapshotOffer& offer);
    void on(NodeId from, SnapshotChunk chunk);
    // The connection that `from` had opened is gone.
    void on_lane_lost(NodeId from);
    void on(const SnapshotOpened& opened);
    void on(const PieceWritten& written);
    void on(const IncomingVerified& verified);
    void on(InstallDone done);
    // The core's word on the InstallSnapshot it was handed: Effects::install, or install_refused.
    void on_verdict(bool install);

  private:
    enum class Stage : std::uint8_t {
        kIdle,
        kOpening,
        kReceiving,
        kVerifying,  // all is there
        kWhole,      // with the core
        kInstalling,
    };

    [[nodiscard]] bool receives() const {
        return stage_ == Stage::kOpening || stage_ == Stage::kReceiving;
    }
    [[nodiscard]] bool has_all() const { return stage_ >= Stage::kVerifying; }
    [[nodiscard]] Result<storage::SnapshotManifest> check_offer(const SnapshotOffer& offer) const;
    void refuse(NodeId to, Errc reason) { out_.send.emplace_back(to, SnapshotRefused{reason}); }
    void begin(NodeId from, Term term, storage::SnapshotManifest manifest);
    // Pieces are wanted from `place` on; or all are there.
    void go_on(storage::SnapshotPlace place);
    void verify();
    // This member has come as far by itself.
    void drop_useless();
    // Ends the attempt; with `keep`, what is written waits for another.
    void fail(Errc reason, bool keep);
    void note(SnapshotNoteKind kind, Errc reason = {});

    const NodeId self_;
    const SnapshotLimits& limits_;
    SnapshotEffects& out_;
    SnapshotStats& stats_;
    NodeView view_;

    Stage stage_ = Stage::kIdle;
    NodeId from_;
    Term term_;               // of the offer
    bool from_knows_ = true;  // that this very snapshot is received: else it offers another
    storage::SnapshotManifest manifest_;
    SnapshotLayout layout_;
    // Invariant in kReceiving: written_ <= expected_ <= layout_.bytes(), and the pieces between the
    // two are with the disk.
    std::uint64_t expected_ = 0;  // position
    std::uint64_t written_ = 0;   // position
    std::uint64_t run_ = 0;       // counts beginnings: an answer to an earlier one is void
    std::uint32_t flaws_ = 0;     // bad pieces or files, of this attempt
    std::uint64_t ticks_ = 0;     // since the offer; in kIdle, since the last attempt
    // In kIdle: something is written that may be gone on with, perhaps since before this start.
    bool partial_ = true;
};

}  // namespace cairn::server
