// The step invariants of Raft and of the log, checked incrementally as things happen.
// Owned by the world; one thread.
// Never asks the code under test for what can be seen from outside.
//
//   E1 one leader a term          E2 what leaves rests on what is durable; one vote a term
//   E4 term, commit, applied and revisions never fall    G1 log matching
//   G2 a leader only appends      G3 acknowledged is durable and equal to the leader's log
//   C1 committed is durable on a quorum, by an entry of the leader's term
//   C2 a new leader has everything committed before      C3 all members apply the same
//   C4 applied <= commit <= last, nothing committed is cut off
//   D2 a restart finds what was durable                  D3 equal applied index, equal digest
//   D5 damage takes no more than the newest write
//   E3 only a member with a vote leads                   S1 a snapshot is the state at its index
//   M1 one change of the configuration at a time, by joint quorums
//   R3 a command takes effect at most once, and not at all when NotApplied was answered
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "raft/message.h"
#include "raft/persist.h"
#include "raft/raft.h"
#include "raft/types.h"
#include "sim/basics.h"
#include "sim/shadow_log.h"

namespace cairn::sim {

// What a node shows after each turn.
struct NodeFacts {
    raft::Role role = raft::Role::kFollower;
    Term term{};
    Index commit{};
    Index applied{};
    Index last{};
};

// What a state says of its history.
struct Revisions {
    std::int64_t newest{};
    std::int64_t compacted{};
    bool operator==(const Revisions&) const = default;
};

class SafetyChecker {
  public:
    // `on_first_apply`: called once for each index, in order, when the first node applies it.
    using FirstApply = std::function<void(const raft::Entry&)>;
    SafetyChecker(std::uint32_t nodes, Verdict& verdict, FirstApply on_first_apply);

    // The configuration entries that every log begins with.
    void on_bootstrap(const raft::PersistBatch& batch);
    // A node has opened its log.
    void on_start(NodeIndex node, const raft::Recovered& recovered, Index applied);
    void on_crash(NodeIndex node);
    // A node whose disk was damaged opens its log, and it is not what was durable: it lacks its
    // newest write, or some last part of that.
    void check_damage(NodeIndex node, const raft::Recovered& recovered);

    // The replica wants a batch written; `role` is the one it had before the turn.
    void on_persist_wanted(NodeIndex node, const raft::PersistBatch& batch);
    // The oldest `count` wanted batches are on disk.
    void on_persisted(NodeIndex node, std::size_t count);
    void on_send(NodeIndex node, const raft::Message& message);
    void on_turn(NodeIndex node, const NodeFacts& facts);
    // A leader's picture of its followers and of the configuration.
    void on_leader_status(NodeIndex node, const raft::Status& status);
    void on_apply(NodeIndex node, std::span<const raft::Entry> entries);
    // The node has made a snapshot, for others.
    void on_built(NodeIndex node, const raft::SnapshotMeta& snapshot);
    // The snapshot is the node's state from now on, over any crash.
    void on_installed(NodeIndex node, const raft::SnapshotMeta& snapshot);
    // A node's digest of its whole state at `applied`.
    void on_digest(NodeIndex node, Index applied, std::uint64_t digest);
    // A node's state at `applied`.
    void on_revisions(NodeIndex node, Index applied, const Revisions& revisions);
    // A hash of what one revision changed.
    void on_events(NodeIndex node, std::int64_t revision, std::uint64_t hash);
    // The client hears that the command at `index` took effect.
    void on_acknowledged(Index index);

    // Up to where the newest snapshot that the node has installed goes; 0: none.
    [[nodiscard]] Index installed(NodeIndex node) const { return nodes_[node].installed; }
    [[nodiscard]] Index committed() const { return Index{committed_.size() - 1}; }
    // Entries in the order of their index, from 1, as far as any node has applied.
    [[nodiscard]] const std::vector<raft::Entry>& applied_log() const { return applied_log_; }
    // The configuration as of the newest entry that any node has applied, and as of `index`, which
    // must be committed.
    [[nodiscard]] const raft::ConfState& applied_conf() const { return *applied_conf_; }
    [[nodiscard]] const raft::ConfState& conf_at(Index index) const {
        return *committed_[index.value].conf;
    }
    // Whether any node has applied a configuration with it.
    [[nodiscard]] bool was_member(NodeIndex node) const { return members_ever_.contains(node); }
    // The newest configuration that the node has in its log.
    [[nodiscard]] const raft::ConfState& newest_conf(NodeIndex node) const {
        return *nodes_[node].wanted.conf();
    }
    // Those by which the cluster may have to decide next: the newest that is committed, applied or
    // not, and what stands above it in the log of one of its members that is up.
    [[nodiscard]] std::vector<ConfPtr> deciding_confs() const;
    // Who leads the newest term, of those that are up.
    [[nodiscard]] std::optional<NodeIndex> leader() const;
    // Whether the leader's log begins above what the node has in common with it: only a snapshot
    // helps.
    [[nodiscard]] bool is_below_floor(NodeIndex node, NodeIndex leader) const;
    // As of its last turn, also of one that is down.
    [[nodiscard]] Term term_of(NodeIndex node) const { return nodes_[node].facts.term; }
    // Whether a restart with `recovered` finds what was durable.
    [[nodiscard]] bool finds(NodeIndex node, const raft::Recovered& recovered) const;
    // Who is who. One that was never a member has an id that nobody asked for, until one is made
    // for it: before its first start, and again if nothing can come of the first.
    void name(NodeIndex node, NodeId id);
    [[nodiscard]] NodeId id_of(NodeIndex node) const;
    [[nodiscard]] NodeIndex index_of(NodeId id) const;
    [[nodiscard]] bool knows(NodeId id) const;

  private:
    // What a log holds beside entries.
    struct Marks {
        raft::HardState hard_state{};
        Index floor{};
        bool operator==(const Marks&) const = default;
    };
    // A log that a restart may find, with some first batches of those that were in flight.
    struct Found {
        ShadowLog log{};
        std::size_t written{};
    };
    struct Node {
        bool up = false;
        NodeFacts facts{};
        ConfPtr turn_conf{};  // in effect when its last turn ended
        Term led{};           // the newest term it led
        ShadowLog wanted{};   // with all batches asked for
        ShadowLog durable{};  // with those that are on disk
        std::deque<raft::PersistBatch> in_flight{};
        Index applied{};
        Index kept_last{};  // up to where the newest write left the durable log as it was
        // Before that write, and after each of its batches.
        std::vector<Marks> newest_marks = std::vector<Marks>(1);
        Index installed{};  // up to where a snapshot is durable beside the log
        std::vector<std::pair<Term, NodeId>> votes{};  // durable, newest last
    };
    struct Committed {
        std::uint64_t prefix{};
        Term entry_term{};
        Term in_term{};    // the leader's when it was first known to be committed
        ConfPtr conf{};    // in effect after the entry
        ConfPtr active{};  // by which it was found to be committed
    };

    void check_new_entries(NodeIndex node, const raft::PersistBatch& batch);
    void check_vote(NodeIndex node, const raft::HardState& state);
    void check_commit(NodeIndex node, const NodeFacts& facts);
    void check_new_leader(NodeIndex node, Term term);
    void check_one_change(NodeIndex node, Index commit);
    // None when the log that a restart found is another one.
    [[nodiscard]] std::optional<Found> match(NodeIndex node,
                                             const raft::Recovered& recovered) const;
    static Marks marks_after(Marks marks, const raft::PersistBatch& batch);
    // The oldest `count` batches in flight become the newest write of the durable log.
    static void note_newest(Node& it, std::size_t count);
    void apply_batch(ShadowLog& log, const raft::PersistBatch& batch) const;
    [[nodiscard]] bool is_committed(const raft::SnapshotMeta& snapshot) const;
    [[nodiscard]] bool holds(const Node& node, Index index, std::uint64_t prefix) const;
    [[nodiscard]] bool durable_on_quorum(const raft::ConfState& conf, Index index,
                                         std::uint64_t prefix) const;
    void fail(const char* invariant, NodeIndex node, std::string detail);

    Verdict& verdict_;
    FirstApply on_first_apply_;
    std::vector<Node> nodes_;
    std::deque<std::pair<NodeId, NodeIndex>> ids_;  // the newest first
    std::map<Term, NodeIndex> leaders_;
    // By index: all (term, prefix hash) that any log ever had there.
    std::vector<std::vector<ShadowLog::Slot>> known_;
    std::vector<Committed> committed_ = std::vector<Committed>(1);  // by index
    std::vector<raft::Entry> applied_log_;
    ConfPtr applied_conf_ = std::make_shared<const raft::ConfState>();
    std::set<NodeIndex> members_ever_;
    std::map<Index, std::uint64_t> digests_;
    std::map<Index, Revisions> revisions_;
    std::vector<std::uint64_t> events_;  // by revision; 0: not seen yet
};

}  // namespace cairn::sim
