// The class behind raft::Raft: its state and one handler for each thing that can happen.
// Owned by Raft, on the replica's thread.
// Never included outside raft/ (its tests use Raft and the parts it is made of).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/prng.h"
#include "raft/config.h"
#include "raft/forward_window.h"
#include "raft/input.h"
#include "raft/lease.h"
#include "raft/log.h"
#include "raft/raft.h"
#include "raft/read_queue.h"
#include "raft/ready.h"
#include "raft/tracker.h"
#include "raft/writes.h"

namespace cairn::raft {

class Core {
  public:
    Core(const Config& config, Log log, const HardState& hard_state);

    void step(Input&& input);
    [[nodiscard]] bool has_ready() const;
    void take_ready(Ready& out);

    [[nodiscard]] Status status() const;
    [[nodiscard]] NodeId id() const { return config_.id; }
    [[nodiscard]] Term term() const { return at_.term; }
    [[nodiscard]] NodeId vote() const { return at_.vote; }
    [[nodiscard]] Role role() const { return at_.role; }
    [[nodiscard]] NodeId leader() const { return at_.leader; }
    [[nodiscard]] const Config& config() const { return config_; }
    [[nodiscard]] const Log& log() const { return log_; }
    [[nodiscard]] const Tracker& tracker() const { return tracker_; }
    [[nodiscard]] const Writes& writes() const { return writes_; }
    [[nodiscard]] const Lease& lease() const { return lease_; }
    [[nodiscard]] bool installing() const { return installing_; }
    [[nodiscard]] bool is_flush_behind() const;
    // A batch is on its way to the disk, and none has come to an end for an election timeout.
    [[nodiscard]] bool is_log_stalled() const {
        return writes_.ticks_waited() >= config_.election_ticks;
    }
    [[nodiscard]] bool is_electable() const;
    [[nodiscard]] bool conf_settled() const;
    // Whether the next change of the configuration may come now. For a leader.
    [[nodiscard]] bool takes_conf_change() const;

  private:
    using Handler = void (Core::*)(Message&);
    enum class Verdict : std::uint8_t { kHandle, kIgnore, kDone };
    enum class Campaigning : std::uint8_t { kVote, kTransfer };

    // Where this member stands. Invariant: vote belongs to term.
    struct Standing {
        Term term;
        NodeId vote;
        NodeId leader;
        Role role = Role::kFollower;
        std::uint32_t election_elapsed = 0;
        std::uint32_t election_timeout = 0;
    };
    // Only of meaning while role is kLeader.
    struct Leading {
        std::uint32_t heartbeat_elapsed = 0;
        bool heartbeat_due = false;  // to be sent with the next Ready
        bool appends_due = false;    // some follower may be due an Append
    };
    // A transfer that this member began as leader and has not answered yet. It outlives the
    // leadership: whether it moved to `to` is known only when the next leader is.
    struct Transfer {
        NodeId to;
        std::uint32_t elapsed = 0;
    };
    struct Compaction {
        Index wanted;          // this member's own state machine needs nothing up to here
        Index cluster_floor;   // every member has everything up to here, as far as a leader said
        bool restart = false;  // the floor is a snapshot's, and no batch has said so yet
        bool due = false;      // the floor moved and no batch has said so yet
    };

    // dispatch.cc: the term gate and the role x message table.
    static Handler handler_of(MessageKind kind, Role role);
    void on_receive(Message& message);
    Verdict gate_term(Message& message);
    Verdict gate_higher_term(const Message& message);
    Verdict gate_lower_term(Message& message);
    [[nodiscard]] bool in_lease(const Message& message) const;
    [[nodiscard]] bool may_depose(const Message& message) const;
    void ignore(const Message& message);

    // election.cc
    void on_tick();
    void leave_office();
    void tick_follower();
    void tick_leader();
    void on_campaign();
    void hup();
    void start_pre_vote();
    void start_vote(Campaigning how);
    void finish_pre_vote();
    void finish_vote();
    void on_pre_vote(Message& message);
    void on_pre_vote_reply(Message& message);
    void on_vote(Message& message);
    void on_vote_reply(Message& message);
    [[nodiscard]] bool may_vote_for(NodeId candidate) const;
    [[nodiscard]] bool is_up_to_date(EntryId last) const;
    [[nodiscard]] bool may_campaign() const;
    void become_follower(Term term, NodeId leader);
    void become_leader();
    void leave_role();
    void enter_term(Term term);
    void set_leader(NodeId leader);
    void reset_election_timer();

    // replication.cc
    void on_append(Message& message);
    void on_append_as_candidate(Message& message);
    void on_append_reply(Message& message);
    void on_heartbeat(Message& message);
    void on_heartbeat_as_candidate(Message& message);
    void on_heartbeat_reply(Message& message);
    void hear_leader(NodeId leader);
    [[nodiscard]] bool is_sound(const Append& append, Term term) const;
    Result<void> append_after_match(Append& append);
    void acknowledge(NodeId leader, Index match);
    void maybe_commit();
    void commit_to(Index index);
    void append_own(EntryKind kind, Bytes payload);
    void flush_heartbeats();
    void flush_appends();
    void send_append(Progress& progress);
    void on_peer_unreachable(NodeId node);
    void maybe_compact();
    [[nodiscard]] Index kept_floor();

    // snapshot.cc
    void on_install_snapshot(Message& message);
    void on_install_snapshot_as_candidate(Message& message);
    void on_snapshot_sent(const SnapshotSent& sent);
    void on_snapshot_installed(SnapshotInstalled& installed);
    void want_snapshot(Progress& progress);

    // membership.cc
    void after_conf_change();
    // Why this change of the configuration is not taken now; none: it is.
    [[nodiscard]] std::optional<Errc> admit_conf(const Bytes& payload) const;
    void tell_leavers();
    void tell_leaver(NodeId node, Index match);
    [[nodiscard]] bool has_just_left(NodeId node) const;
    void maybe_leave_joint();
    void maybe_retire();

    // proposals.cc
    void on_propose(Propose& propose);
    void on_forward_proposals(Message& message);
    void on_forward_refused(Message& message);
    // Why a proposal is not taken now; none: it is.
    [[nodiscard]] std::optional<Errc> admit(EntryKind kind, const Bytes& payload) const;
    void flush_forwards();
    void refuse_proposal(const ProposalId& id, Errc reason);

    // reads.cc
    void on_read_index(const ReadIndex& read);
    void on_read_index_request(Message& message);
    void refuse_read_index_request(Message& message);
    void on_read_index_reply(Message& message);
    void flush_reads();
    void grant_reads(std::uint64_t confirmed);
    void grant_read(const PendingRead& read);
    void refuse_pending_reads();

    // transfer.cc
    void on_transfer_leader(NodeId to);
    void on_timeout_now(Message& message);
    void maybe_ask_transferee(const Progress& progress);
    void tick_transfer();
    void end_transfer(std::optional<Errc> error);
    void answer_transfer(NodeId to, std::optional<Errc> error);
    [[nodiscard]] NodeId best_follower() const;

    // output.cc: what leaves, and when.
    void send(NodeId to, MessageBody body);
    void send_in_term(NodeId to, Term term, MessageBody body);
    [[nodiscard]] bool committed_in_own_term() const;
    [[nodiscard]] std::optional<PersistSeq> rests_on(const Message& message) const;
    void lost_before_sending(Message& message);
    void on_persisted(PersistSeq seq);
    void on_applied(Index index);
    [[nodiscard]] bool may_hand_out() const;
    [[nodiscard]] bool has_batch() const;
    void build_batch();
    [[nodiscard]] bool role_changed() const;
    void trace(TraceKind kind, std::uint16_t detail = 0, NodeId peer = {}, Index index = {});

    Config config_;
    Prng prng_;
    Standing at_;
    Leading leading_;
    std::optional<Transfer> transfer_;
    Log log_;
    Writes writes_;
    Lease lease_;
    Tracker tracker_;
    ReadQueue reads_;
    ForwardWindow window_;
    Compaction compaction_;
    bool installing_ = false;  // Ready::install is out: the log must not move until it is answered
    std::vector<Forwarded> forwards_;  // to the leader with the next Ready, in the current term
    RoleChange reported_;
    Ready out_;
    struct Scratch {
        std::vector<Message> messages;
        std::vector<PendingRead> reads;
        std::vector<Entry> batch_entries;  // a former batch's storage, empty
    } scratch_;
};

}  // namespace cairn::raft
