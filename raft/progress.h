// What a leader knows of one other member's log: all transitions between probing and streaming.
// Owned by the Tracker, on the replica's thread.
// Never sends anything: it says what may be sent.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "raft/inflights.h"
#include "raft/types.h"

namespace cairn::raft {

enum class ProgressState : std::uint8_t {
    kProbe,      // where the logs part is not known: one Append at a time
    kReplicate,  // streaming: `next` runs ahead of the answers
    kSnapshot,   // a snapshot is on its way: no Append before its end is known
};

class Progress {
  public:
    struct Limits {
        std::uint32_t inflight_count_max{};
        std::uint64_t inflight_bytes_max{};
    };

    Progress(NodeId id, const Limits& limits)
        : id_(id), inflights_(limits.inflight_count_max, limits.inflight_bytes_max) {}

    [[nodiscard]] NodeId id() const { return id_; }
    [[nodiscard]] ProgressState state() const { return state_; }
    // Known equal and durable there. Invariant: match < next.
    [[nodiscard]] Index match() const { return match_; }
    // The first index to send next. A probe does not move it.
    [[nodiscard]] Index next() const { return next_; }
    [[nodiscard]] const Inflights& inflights() const { return inflights_; }
    // Ticks since it was heard of, or since the term's beginning.
    [[nodiscard]] std::uint32_t silent_ticks() const { return silent_ticks_; }
    // Heard of in this term of leadership, less than `ticks` ago.
    [[nodiscard]] bool active(std::uint32_t ticks) const {
        return heard_ever_ && silent_ticks_ < ticks;
    }
    [[nodiscard]] std::uint64_t read_round() const { return read_round_; }
    [[nodiscard]] std::uint64_t promised_round() const { return promised_round_; }

    // A new term of leadership begins; the log ends at `last`.
    void reset(Index last);
    // Must not be called for the leader itself after reset: its own match is its stable mark.
    void set_own_match(Index stable);

    void heard() {
        heard_ever_ = true;
        silent_ticks_ = 0;
    }
    void tick() { silent_ticks_ += silent_ticks_ < UINT32_MAX ? 1U : 0U; }

    // An answer: everything up to `match` is there. True when anything moved. The log begins above
    // `floor`.
    bool acked(Index match, Index floor);
    // A refusal of an Append after `rejected`; `resume` is where the logs may still agree.
    // False when it is stale: such a one must not move anything (reliability rows 34, 35).
    bool refused(Index rejected, Index resume);
    // The log does not reach back to what it lacks. `kept_from` is what the snapshot asked for now
    // will not lie below.
    void become_snapshot(Index kept_from);
    // That snapshot arrived, up to `last` (an ack is still to come), or came to nothing.
    void snapshot_sent(std::optional<Index> last);
    // What the log should keep for it behind a snapshot, all entries above this index: none when it
    // needs no such help.
    [[nodiscard]] std::optional<Index> catching_up_from() const;
    // It has come as far as the log is kept for anybody.
    void caught_up() { catching_up_ = false; }
    // The transport lost messages to it.
    void unreachable();
    // It answers heartbeats although Appends may have been lost: ask again where it stands.
    void nudge();
    // At most one such question for each heartbeat interval: true for the first since allow_nudge.
    void allow_nudge() { nudge_allowed_ = true; }
    [[nodiscard]] bool take_nudge() { return std::exchange(nudge_allowed_, false); }
    // A HeartbeatReply carried `round`.
    void confirmed(std::uint64_t round);
    // And a promise not to vote.
    void promised(std::uint64_t round);

    // Whether an Append should leave now, for a log ending at `last` committed up to `commit`.
    [[nodiscard]] bool wants_append(Index last, Index commit) const;
    // Whether that Append may carry entries: a full window allows only an empty one.
    [[nodiscard]] bool may_carry_entries() const;
    // An Append ending at `last` (next - 1 when it was empty) with `bytes` of entries left.
    void sent(Index last, std::uint64_t bytes, Index commit);

  private:
    void become_probe(Index next);
    void become_replicate();

    NodeId id_;
    ProgressState state_ = ProgressState::kProbe;
    Index match_;
    Index next_{1};
    Index kept_from_;           // in kSnapshot only
    bool catching_up_ = false;  // a snapshot was asked for, and the log behind it is needed
    Index told_commit_;         // the newest commit index an Append has carried
    bool probe_sent_ = false;   // in kProbe: wait for the answer
    bool asked_ = false;        // an Append is due even if it is empty
    bool nudge_allowed_ = true;
    bool heard_ever_ = false;
    std::uint32_t silent_ticks_ = 0;
    std::uint64_t read_round_ = 0;  // the newest round it has confirmed in this term
    std::uint64_t promised_round_ = 0;
    Inflights inflights_;
};

}  // namespace cairn::raft
