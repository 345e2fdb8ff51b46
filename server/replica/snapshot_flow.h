// The way of snapshots: what the replica wants of them, in work for the disk and messages between
// members. Owned by the shell (or the simulator), beside the replica; one thread.
// Never blocks, reads a clock or touches a file: events in, effects out.
#pragma once

#include "base/ids.h"
#include "server/replica/effect.h"
#include "server/replica/snapshot_limits.h"
#include "server/replica/snapshot_message.h"
#include "server/replica/snapshot_receiver.h"
#include "server/replica/snapshot_sender.h"
#include "server/replica/snapshot_work.h"
#include "server/replica/view.h"

namespace cairn::server {

class SnapshotFlow {
  public:
    SnapshotFlow(NodeId self, const SnapshotLimits& limits);
    SnapshotFlow(const SnapshotFlow&) = delete;
    SnapshotFlow& operator=(const SnapshotFlow&) = delete;

    // After each turn of the replica. Events that the flow asked for are stepped before the next.
    void on_turn(const Effects& effects, const NodeView& view);
    void tick();
    // The connection to `to`, which SnapshotEffects::lanes asked for, is up, or down and dialled
    // again.
    void on_lane(NodeId to, bool up) { sender_.on_lane(to, up); }
    // The connection that `from` had opened is gone.
    void on_lane_lost(NodeId from) { receiver_.on_lane_lost(from); }
    // From either connection with `from`.
    void on_message(NodeId from, SnapshotMessage message);
    // The disk has done a piece of work.
    void on_result(SnapshotResult result);

    // Moves everything asked for since the last call into `out` (cleared first).
    void take_effects(SnapshotEffects& out);
    [[nodiscard]] const SnapshotStats& stats() const { return stats_; }

  private:
    const SnapshotLimits limits_;
    SnapshotEffects out_;
    SnapshotStats stats_;
    SnapshotSender sender_;
    SnapshotReceiver receiver_;
};

}  // namespace cairn::server
