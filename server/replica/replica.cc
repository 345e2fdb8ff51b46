#include "server/replica/replica.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "raft/raft.h"
#include "server/replica/apply_flow.h"
#include "server/replica/calls.h"
#include "server/replica/contact.h"
#include "server/replica/flight_recorder.h"
#include "server/replica/membership.h"
#include "server/replica/proposals.h"
#include "server/replica/reads.h"
#include "server/replica/transfers.h"

namespace cairn::server {

// Translates events to inputs of the core and its Ready to effects. The order of a turn is fixed in
// take_effects and nowhere else; the parts (proposals, reads, ...) never call each other.
class Replica::Impl {
  public:
    Impl(const ReplicaConfig& config, raft::Raft raft, storage::AppliedState applied);

    void step(Event event);
    void take_effects(Effects& out);
    [[nodiscard]] const NodeView& view() const { return view_; }
    [[nodiscard]] const raft::Raft& raft() const { return raft_; }
    [[nodiscard]] std::vector<TraceEvent> recent_events() const { return recorder_.events(); }

  private:
    void on(Tick event);
    void on(ClockRead event);
    void on(Receive event);
    void on(Submit event);
    void on(SubmitRead event);
    void on(Cancel event);
    void on(LogPersisted event);
    void on(StorageFailed event);
    void on(StateApplied event);
    void on(StateFlushed event);
    void on(GarbageCollected event);
    void on(PeerLost event);
    void on(const TransferLeader& event);
    void on(const SnapshotSent& event);
    void on(SnapshotInstalled event);
    void on(Shutdown event);

    void take_halt(Effects& out);
    void on_role_change(const raft::RoleChange& change);
    void want_changes(raft::Message& message);
    void judge_changes();
    void decide(WantedChange judged);
    void refresh_view(Effects& out);

    ReplicaConfig config_;
    raft::Raft raft_;
    raft::Ready ready_;  // reused from turn to turn
    Calls calls_;
    Proposals proposals_;
    Reads reads_;
    Transfers transfers_;
    ApplyFlow apply_flow_;
    Contact contact_;
    Membership membership_;
    FlightRecorder recorder_;
    NodeView view_;
    std::optional<raft::ClockRead> clock_;          // of this turn
    bool snapshot_handed_ = false;                  // to the core, which has not said yet
    std::optional<raft::SnapshotMeta> installing_;  // to be begun when no apply is in flight
    std::optional<Error> failure_;                  // set: the member is halted
    bool halt_told_ = false;
    bool stopping_ = false;
    NodeId last_leader_;  // the newest leader known, kept while there is none
    std::uint64_t leader_changes_ = 0;
    std::uint64_t stalled_step_downs_ = 0;
    std::uint64_t led_since_ = 0;  // in ticks; of meaning while this member leads
};

Replica::Impl::Impl(const ReplicaConfig& config, raft::Raft raft, storage::AppliedState applied)
    : config_(config),
      raft_(std::move(raft)),
      calls_(config.pending_calls_max),
      proposals_(config.raft.id, config.boot,
                 ProposalLimits{.timeout_ticks = config.request_timeout_ticks,
                                .bytes_max = config.pending_bytes_max,
                                .apply_gap_max = config.raft.apply_gap_max},
                 applied.applied.index, calls_),
      reads_(ReadLimits{.timeout_ticks = config.request_timeout_ticks,
                        .retry_ticks = config.read_retry_ticks},
             config.boot, calls_),
      transfers_(calls_),
      apply_flow_(applied.applied.index, config.apply_bytes_max),
      contact_(config.raft.id, config.raft.election_ticks),
      membership_(config.raft.id, config.membership, std::move(applied.members)),
      recorder_(config.raft.id) {
    reads_.on_applied(apply_flow_.applied());
    Effects first;
    refresh_view(first);
}

void Replica::Impl::step(Event event) {
    if (failure_) {
        return;
    }
    if (!std::holds_alternative<ClockRead>(event)) {
        recorder_.record(event, calls_.now_ticks());
    }
    std::visit([this](auto& alternative) { on(std::move(alternative)); }, event);
}

void Replica::Impl::on(Tick /*event*/) {
    calls_.tick();
    raft_.step(raft::Tick{});
    proposals_.on_tick([this](std::uint64_t start_ticks) {
        return contact_.timeout_reason(start_ticks, calls_.now_ticks(), raft_.leader(),
                                       raft_.conf());
    });
    reads_.on_tick();
}

void Replica::Impl::on(ClockRead event) { clock_ = raft::ClockRead{event.now_ns}; }

void Replica::Impl::on(Receive event) {
    contact_.heard(event.message.from, calls_.now_ticks());
    snapshot_handed_ |= event.message.kind() == raft::MessageKind::kInstallSnapshot;
    want_changes(event.message);
    raft_.step(raft::Receive{.message = std::move(event.message)});
}

void Replica::Impl::on(Submit event) {
    if (stopping_) {
        calls_.answer(event.call, ProposalOutcome{NotApplied{Errc::kStopped}});
        return;
    }
    proposals_.submit(std::move(event), raft_);
}

void Replica::Impl::on(SubmitRead event) {
    if (stopping_) {
        calls_.answer(event.call, ReadFailed{Errc::kStopped});
        return;
    }
    reads_.submit(event);
}

void Replica::Impl::on(Cancel event) {
    const std::optional<CallSlot> slot = calls_.cancel(event.call);
    if (!slot) {
        return;  // answered in the meantime
    }
    switch (slot->kind) {
        case CallKind::kProposal: return proposals_.cancel(slot->number);
        case CallKind::kRead: return reads_.cancel(slot->number);
        case CallKind::kTransfer: return transfers_.cancel(event.call);
    }
}

void Replica::Impl::on(LogPersisted event) { raft_.step(raft::Persisted{.seq = event.seq}); }

// Somebody else can lead without waiting for an election timeout.
void Replica::Impl::on(StorageFailed event) {
    failure_ = std::move(event.error);
    raft_.step(raft::LeaveOffice{});
}

void Replica::Impl::on(StateApplied event) {
    const Index applied = event.output.applied.index;
    apply_flow_.on_applied(applied);
    proposals_.on_applied(event.output);
    reads_.on_applied(applied);
    raft_.step(raft::Applied{.index = applied});
    membership_.on_applied(std::move(event.output.members));
}

void Replica::Impl::on(StateFlushed event) { raft_.step(raft::Compact{.index = event.applied}); }

void Replica::Impl::on(GarbageCollected event) { proposals_.on_collected(event.revision); }

void Replica::Impl::on(PeerLost event) {
    contact_.lost(event.node);
    raft_.step(raft::PeerUnreachable{.node = event.node});
}

void Replica::Impl::on(const TransferLeader& event) {
    // Also while stopping: a leader hands over before it goes.
    transfers_.submit(event, raft_);
}

void Replica::Impl::on(const SnapshotSent& event) {
    raft_.step(raft::SnapshotSent{.to = event.to, .last = event.last});
}

void Replica::Impl::on(SnapshotInstalled event) {
    const raft::EntryId last = event.snapshot.last;
    apply_flow_.resume(last.index);
    proposals_.on_installed(last);
    reads_.on_applied(last.index);
    membership_.on_applied(std::move(event.members));
    raft_.step(raft::SnapshotInstalled{.snapshot = std::move(event.snapshot)});
}

void Replica::Impl::on(Shutdown /*event*/) {
    stopping_ = true;
    proposals_.refuse_queued(Errc::kStopped);
}

// The order of a turn. Inputs that new calls cause go in before the one take of the core's Ready;
// answers go out last, when everything that this turn decides about them is known.
void Replica::Impl::take_effects(Effects& out) {
    out.clear();
    if (failure_) {
        return take_halt(out);
    }
    proposals_.propose_queued(raft_);
    judge_changes();
    reads_.maybe_ask(raft_);
    if (clock_) {
        raft_.step(*std::exchange(clock_, std::nullopt));
    }
    if (raft_.has_ready()) {
        raft_.take_ready(ready_);
        if (ready_.halt) {
            failure_ = std::move(ready_.halt);
            return take_halt(out);
        }
        out.send.swap(ready_.messages);
        out.persist.swap(ready_.persist);
        out.trace.swap(ready_.trace);
        for (const raft::RefusedProposal& refused : ready_.refused) {
            proposals_.on_refused(refused);
        }
        for (const raft::ReadGrant& grant : ready_.reads) {
            reads_.on_grant(grant);
        }
        // A refused read is asked again by maybe_ask: nothing to do.
        apply_flow_.push(ready_.committed);
        out.snapshots_wanted.swap(ready_.snapshots_wanted);
        if (ready_.install) {
            installing_ = std::move(ready_.install);
        }
        if (ready_.transfer) {
            transfers_.on_result(*ready_.transfer);
        }
        if (ready_.role) {
            on_role_change(*ready_.role);
        }
    }
    out.install_refused = std::exchange(snapshot_handed_, false) && !installing_;
    // The core hands out nothing more until the snapshot is installed.
    if (installing_ && apply_flow_.pause()) {
        out.install = std::exchange(installing_, std::nullopt);
    }
    apply_flow_.take(out.apply);
    if (membership_.follow(raft_, apply_flow_.applied())) {
        out.peers = membership_.peers();
        contact_.keep(*out.peers);
    }
    calls_.take(raft_.term(), out.completions);
    refresh_view(out);
}

// Told once; what the core or the calls still asked for dies with the member, but for a leader's
// word to its successor.
void Replica::Impl::take_halt(Effects& out) {
    if (std::exchange(halt_told_, true)) {
        return;
    }
    out.halt = failure_;
    raft_.take_ready(ready_);
    for (raft::Message& message : ready_.messages) {
        if (message.kind() == raft::MessageKind::kTimeoutNow) {
            out.send.push_back(std::move(message));
        }
    }
}

void Replica::Impl::on_role_change(const raft::RoleChange& change) {
    if (view_.is_leader && change.role != raft::Role::kLeader && raft_.is_log_stalled()) {
        ++stalled_step_downs_;
    }
    if (change.role == raft::Role::kLeader) {
        led_since_ = calls_.now_ticks();
    }
    if (change.leader && change.leader != last_leader_) {
        last_leader_ = change.leader;
        ++leader_changes_;
        contact_.elected(calls_.now_ticks());
    }
}

// Takes them out of the message of a follower; what is left of it is the core's.
void Replica::Impl::want_changes(raft::Message& message) {
    auto* forward = std::get_if<raft::ForwardProposals>(&message.body);
    if (forward == nullptr || raft_.role() != raft::Role::kLeader || message.term != raft_.term()) {
        return;
    }
    const auto first = std::stable_partition(
        forward->proposals.begin(), forward->proposals.end(),
        [](const raft::Forwarded& proposal) { return proposal.kind != raft::EntryKind::kConfig; });
    for (auto change = first; change != forward->proposals.end(); ++change) {
        WantedChange wanted{message.from, message.term, std::move(*change)};
        if (!membership_.want(wanted)) {
            wanted.change.refusal = Errc::kTooManyRequests;
            decide(std::move(wanted));
        }
    }
    forward->proposals.erase(first, forward->proposals.end());
}

void Replica::Impl::judge_changes() {
    for (raft::Propose& change : proposals_.take_changes()) {
        WantedChange wanted{config_.raft.id,
                            raft_.term(),
                            {.id = change.id,
                             .payload = std::move(change.payload),
                             .kind = raft::EntryKind::kConfig}};
        if (!membership_.want(wanted)) {
            wanted.change.refusal = Errc::kTooManyRequests;
            decide(std::move(wanted));
        }
    }
    const Reach reach{
        [this](NodeId node) { return contact_.is_connected(node, calls_.now_ticks()); },
        calls_.now_ticks() - led_since_ < config_.raft.election_ticks};
    while (auto judged = membership_.judge_next(raft_, apply_flow_.applied(), reach)) {
        decide(*std::move(judged));
    }
    if (auto vote = membership_.vote_due(raft_, apply_flow_.applied())) {
        raft_.step(
            raft::Propose{.id = {}, .payload = *std::move(vote), .kind = raft::EntryKind::kConfig});
    }
}

// Only the core may refuse what others asked for: it remembers the id, so that a repeat of the
// message cannot end otherwise.
void Replica::Impl::decide(WantedChange judged) {
    if (judged.from != config_.raft.id) {
        raft::ForwardProposals again;
        again.proposals.push_back(std::move(judged.change));
        raft_.step(raft::Receive{
            .message = {judged.from, config_.raft.id, judged.term, std::move(again)}});
    } else if (judged.change.refusal) {
        proposals_.on_refused({.id = judged.change.id, .reason = *judged.change.refusal});
    } else {
        raft_.step(raft::Propose{.id = judged.change.id,
                                 .payload = std::move(judged.change.payload),
                                 .kind = judged.change.kind});
    }
}

void Replica::Impl::refresh_view(Effects& out) {
    const raft::ConfState& conf = raft_.conf();
    const NodeView fresh{
        .member = config_.raft.id,
        .leader = raft_.leader(),
        .term = raft_.term(),
        .commit = raft_.commit(),
        .applied = apply_flow_.applied(),
        .last = raft_.last_index(),
        .floor = raft_.floor_index(),
        .is_leader = raft_.role() == raft::Role::kLeader,
        .is_learner = membership_.is_learner(config_.raft.id),
        .voters = conf.voters.size(),
        .learners = conf.learners.size(),
        .stopping = stopping_,
        .leader_changes = leader_changes_,
        .proposals_pending = proposals_.pending(),
        .proposals_committed = raft_.commit().value,
        .proposals_applied = apply_flow_.applied().value,
        .proposals_failed = proposals_.failed(),
        .read_indexes_failed = reads_.failed(),
        .lease_reads = raft_.lease_reads(),
        .flush_behind = raft_.is_flush_behind(),
        .log_stalled = raft_.is_log_stalled(),
        .stalled_step_downs = stalled_step_downs_,
    };
    out.view_changed = fresh != view_;
    view_ = fresh;
}

Result<std::unique_ptr<Replica>> Replica::restore(const ReplicaConfig& config,
                                                  raft::Recovered recovered,
                                                  storage::AppliedState applied) {
    const Index applied_index = applied.applied.index;
    CAIRN_TRY(raft::Raft raft,
              raft::Raft::restore(config.raft, std::move(recovered), applied_index));
    if (raft.entry_id(applied_index) != applied.applied) {
        return Error{Errc::kCorrupt,
                     "the log and the state machine are not of the same member: they "
                     "hold different entries at index " +
                         std::to_string(applied_index.value)};
    }
    return std::unique_ptr<Replica>(
        new Replica(std::make_unique<Impl>(config, std::move(raft), std::move(applied))));
}

Replica::Replica(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Replica::~Replica() = default;

void Replica::step(Event event) { impl_->step(std::move(event)); }
void Replica::take_effects(Effects& out) { impl_->take_effects(out); }
const NodeView& Replica::view() const { return impl_->view(); }
const raft::Raft& Replica::raft() const { return impl_->raft(); }
std::vector<TraceEvent> Replica::recent_events() const { return impl_->recent_events(); }

}  // namespace cairn::server
