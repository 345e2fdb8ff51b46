// A leader's half of the flow of snapshots: to each follower that lacks what the log held.
// Owned by SnapshotFlow; one thread.
// Never keeps the core waiting for ever: each follower asked for is answered by one SnapshotSent,
// unless this member stops leading or the follower is removed.
#pragma once

#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/ids.h"
#include "raft/ready.h"
#include "server/replica/peers.h"
#include "server/replica/snapshot_layout.h"
#include "server/replica/snapshot_limits.h"
#include "server/replica/snapshot_work.h"
#include "server/replica/view.h"

namespace cairn::server {

class SnapshotSender {
  public:
    // All outlive it.
    SnapshotSender(const SnapshotLimits& limits, SnapshotEffects& out, SnapshotStats& stats)
        : limits_(limits), out_(out), stats_(stats) {}

    // Before anything else of a turn: who leads, and what the log still holds.
    void on_view(const NodeView& view);
    // Then: who is no member any more gets none, and the core does not wait for it.
    void on_peers(const PeerSet& peers);
    // The core wants one sent.
    void wanted(const raft::SnapshotWanted& wanted);
    void tick();
    // The connection asked for is there, or is lost.
    void on_lane(NodeId to, bool up);
    void on(NodeId from, const SnapshotWant& want);
    void on(NodeId from, const SnapshotAck& ack);
    void on(NodeId from, const SnapshotDone& done);
    void on(NodeId from, const SnapshotRefused& refused);
    void on(SnapshotBuilt built);
    void on(PieceRead read);

  private:
    enum class Stage : std::uint8_t {
        kBuilding,
        kDialling,
        kOffered,
        kRefused,  // for now: the follower has another to install, and is asked again
        kSending,
        kPausing,  // failed, and the core is not told yet
    };
    // One follower. Invariant while kSending: acked <= next <= layout.bytes().
    struct Send {
        Stage stage = Stage::kBuilding;
        Index at_least;  // the log is kept from here on
        Index last;      // of the snapshot, as the two below known from kDialling on
        SnapshotLayout layout{};
        Bytes manifest{};
        std::uint64_t next{};          // position to read next
        std::uint64_t acked{};         // written there up to
        std::uint64_t best{};          // the largest that acked has been
        std::uint64_t run{};           // counts beginnings: an answer to an earlier one is void
        bool reading = false;          // work for it is with the disk
        bool reads_long = false;       // and was already at the last tick
        std::uint64_t ticks{};         // since it was wanted
        std::uint32_t silent_ticks{};  // since the last progress
        std::uint32_t pause_ticks{};   // left in kRefused and kPausing
    };
    using Sends = std::map<NodeId, Send>;

    // One with a snapshot to send; else end().
    Sends::iterator find_open(NodeId to);
    static bool is_open(const Send& send);
    // Gives back what it holds of the disk and the network.
    void release(NodeId to, const Send& send);
    void offer(NodeId to, Send& send);
    void progress(Send& send, std::uint64_t position);
    void fail(NodeId to, Send& send, Errc reason);
    std::uint32_t next_pause(NodeId to, Errc reason);
    void drop_all();
    void forget_built();
    void tick_built();
    void tick_send(NodeId to, Send& send);
    static bool is_follower_due(const Send& send);
    void build(NodeId to, Send& send, std::uint64_t bytes_max);
    void pump();
    void read_on(NodeId to, Send& send);
    bool may_read(const Send& send) const;
    void note(SnapshotNoteKind kind, NodeId to, const Send& send, Errc reason = {});

    const SnapshotLimits& limits_;
    SnapshotEffects& out_;
    SnapshotStats& stats_;
    NodeView view_;
    Sends sends_;
    std::map<NodeId, std::uint32_t> failures_;  // in a row
    std::uint64_t runs_ = 0;
    std::int64_t allowance_ = 0;  // bytes that may be read now; negative after a large piece
    NodeId served_;               // whom the last read was for
    bool keeps_built_ = false;    // the disk may have one, or half of one
    std::uint32_t unused_ticks_ = 0;
};

}  // namespace cairn::server
