// The consensus core: one member's Raft as a value; inputs in, one Ready out.
// Owned by the replica and used on its thread only.
// Never touches a clock, a disk, a socket, a thread or a source of randomness but its seed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "raft/config.h"
#include "raft/input.h"
#include "raft/persist.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace cairn::raft {

// One follower as its leader sees it.
struct PeerStatus {
    Index match;
    Index next;
    bool probing = false;
    bool needs_snapshot = false;  // one is wanted or on its way
    bool active = false;          // heard of within the last election timeout, in this term
    std::uint64_t inflight_count{};
};

// A read-only picture, for tests, invariants, transfer and metrics.
struct Status {
    NodeId id;
    Role role = Role::kFollower;
    Term term;
    NodeId vote;
    NodeId leader;
    Index first;  // first index still in the log (floor + 1)
    Index last;
    Index stable;  // durable here up to
    Index commit;
    Index applied;
    std::uint64_t uncommitted_bytes{};
    ConfState conf;
    std::map<NodeId, PeerStatus> peers;  // on a leader, without itself
};

class Core;

class Raft {
  public:
    // From what the log holds and what the engine has applied. commit = max(hard state's commit,
    // applied). kCorrupt when the log ends below `applied` or the floor lies above it (lost data);
    // kMalformed for a configuration entry that does not decode; kInvalidConfig.
    static Result<Raft> restore(const Config& config, Recovered recovered, Index applied);

    Raft(Raft&&) noexcept;
    Raft& operator=(Raft&&) noexcept;
    ~Raft();

    // Total: never blocks, never fails; asserts on misuse by the caller (a Persisted never asked
    // for), ignores with a trace event whatever another member may get wrong.
    void step(Input input);

    [[nodiscard]] bool has_ready() const;
    // Everything asked for since the last call. `out` is cleared and its capacity reused.
    void take_ready(Ready& out);
    [[nodiscard]] Ready take_ready();

    // Cheap accessors for the replica's every turn.
    [[nodiscard]] NodeId id() const;
    [[nodiscard]] Term term() const;
    [[nodiscard]] Role role() const;
    [[nodiscard]] NodeId leader() const;
    [[nodiscard]] Index commit() const;
    [[nodiscard]] Index first_index() const;  // still in the log (floor + 1)
    [[nodiscard]] Index last_index() const;
    [[nodiscard]] Index floor_index() const;
    // The newest configuration in the log, committed or not, and the index of its entry.
    [[nodiscard]] const ConfState& conf() const;
    [[nodiscard]] Index conf_index() const;
    // Reads granted by the lease alone, since the start.
    [[nodiscard]] std::uint64_t lease_reads() const;
    // It is committed, and not joint: nothing of it is under way.
    [[nodiscard]] bool conf_settled() const;
    // As leader, and no change of the configuration is under way: the next would be taken.
    [[nodiscard]] bool takes_conf_change() const;
    // No write of the log has come to an end for an election timeout, though one is under way.
    [[nodiscard]] bool is_log_stalled() const;
    // No entries are taken before the state machine has flushed more of what it applied.
    [[nodiscard]] bool is_flush_behind() const;
    [[nodiscard]] Status status() const;

    // The log as checkers see it; the reference is good until the next step.
    // None outside [floor, last]; the floor's own id counts.
    [[nodiscard]] std::optional<EntryId> entry_id(Index index) const;
    // `index` must lie in [status().first, last_index()].
    [[nodiscard]] const Entry& entry(Index index) const;
    [[nodiscard]] HardState hard_state() const;          // as of now, durable or not
    [[nodiscard]] HardState durable_hard_state() const;  // as of the newest Persisted
    [[nodiscard]] Index stable_index() const;  // durable up to, as of the newest Persisted
    [[nodiscard]] SnapshotMeta floor() const;
    [[nodiscard]] const Core& core() const { return *core_; }  // for raft/invariants.cc

  private:
    explicit Raft(std::unique_ptr<Core> core);
    std::unique_ptr<Core> core_;
};

}  // namespace cairn::raft
