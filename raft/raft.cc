#include "raft/raft.h"

#include <algorithm>
#include <utility>

#include "base/overload.h"
#include "raft/core.h"

namespace cairn::raft {

namespace {

Result<Log> restore_log(Recovered& recovered) {
    Log log(std::move(recovered.floor));
    for (Entry& entry : recovered.entries) {
        if (entry.id.index != log.last() + 1 || entry.id.term < log.last_id().term ||
            !entry.id.term) {
            return Error{Errc::kCorrupt, "raft: the recovered entries are not consecutive"};
        }
        CAIRN_TRY(log.append(std::move(entry)));
    }
    return log;
}

}  // namespace

Core::Core(const Config& config, Log log, const HardState& hard_state)
    : config_(config),
      prng_(Prng(config.seed).split("election")),
      log_(std::move(log)),
      writes_(hard_state),
      lease_(config),
      tracker_(config.id, {.inflight_count_max = config.inflight_count_max,
                           .inflight_bytes_max = config.inflight_bytes_max}) {
    at_.term = hard_state.term;
    at_.vote = hard_state.vote;
    reported_.term = at_.term;
    compaction_.wanted = log_.floor().last.index;
    compaction_.cluster_floor = log_.floor().last.index;
    tracker_.configure(log_.conf(), log_.last());
    reset_election_timer();
}

void Core::step(Input&& input) {
    std::visit(Overload{
                   [&](Tick&) { on_tick(); },
                   [&](ClockRead& clock) { lease_.set_clock(clock.now_ns); },
                   [&](Receive& receive) { on_receive(receive.message); },
                   [&](Propose& propose) { on_propose(propose); },
                   [&](ReadIndex& read) { on_read_index(read); },
                   [&](Persisted& persisted) { on_persisted(persisted.seq); },
                   [&](Applied& applied) { on_applied(applied.index); },
                   [&](Compact& compact) {
                       compaction_.wanted = std::max(compaction_.wanted, compact.index);
                       log_.flushed_to(compaction_.wanted);
                       maybe_compact();
                   },
                   [&](PeerUnreachable& peer) { on_peer_unreachable(peer.node); },
                   [&](TransferLeader& transfer) { on_transfer_leader(transfer.to); },
                   [&](SnapshotSent& sent) { on_snapshot_sent(sent); },
                   [&](SnapshotInstalled& installed) { on_snapshot_installed(installed); },
                   [&](LeaveOffice&) { leave_office(); },
                   [&](Campaign&) { on_campaign(); },
               },
               input);
}

Status Core::status() const {
    Status status{.id = config_.id,
                  .role = at_.role,
                  .term = at_.term,
                  .vote = at_.vote,
                  .leader = at_.leader,
                  .first = log_.first(),
                  .last = log_.last(),
                  .stable = log_.marks().stable,
                  .commit = log_.marks().commit,
                  .applied = log_.marks().applied,
                  .uncommitted_bytes = log_.uncommitted_bytes(),
                  .conf = log_.conf(),
                  .peers = {}};
    if (at_.role != Role::kLeader) {
        return status;
    }
    for (const Progress& progress : tracker_.all()) {
        if (progress.id() != config_.id) {
            status.peers[progress.id()] = {
                .match = progress.match(),
                .next = progress.next(),
                .probing = progress.state() == ProgressState::kProbe,
                .needs_snapshot = progress.state() == ProgressState::kSnapshot,
                .active = progress.active(config_.election_ticks),
                .inflight_count = progress.inflights().count()};
        }
    }
    return status;
}

Result<Raft> Raft::restore(const Config& config, Recovered recovered, Index applied) {
    CAIRN_TRY(config.validate());
    HardState hard_state = recovered.hard_state;
    if (recovered.floor.last.index > applied) {
        return Error{Errc::kCorrupt, "raft: the log begins above what the engine has applied"};
    }
    CAIRN_TRY(Log log, restore_log(recovered));
    hard_state.commit = std::max({hard_state.commit, applied, log.floor().last.index});
    if (log.last() < hard_state.commit) {
        return Error{Errc::kCorrupt, "raft: the log ends below what was committed or applied"};
    }
    if (log.last_id().term > hard_state.term) {
        return Error{Errc::kCorrupt, "raft: the log holds an entry of a later term than its own"};
    }
    log.start(hard_state.commit, applied);
    return Raft(std::make_unique<Core>(config, std::move(log), hard_state));
}

Raft::Raft(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Raft::Raft(Raft&&) noexcept = default;
Raft& Raft::operator=(Raft&&) noexcept = default;
Raft::~Raft() = default;

void Raft::step(Input input) { core_->step(std::move(input)); }
bool Raft::has_ready() const { return core_->has_ready(); }
void Raft::take_ready(Ready& out) { core_->take_ready(out); }
Ready Raft::take_ready() {
    Ready ready;
    core_->take_ready(ready);
    return ready;
}

NodeId Raft::id() const { return core_->id(); }
Term Raft::term() const { return core_->term(); }
Role Raft::role() const { return core_->role(); }
NodeId Raft::leader() const { return core_->leader(); }
Index Raft::commit() const { return core_->log().marks().commit; }
Index Raft::first_index() const { return core_->log().first(); }
Index Raft::last_index() const { return core_->log().last(); }
Index Raft::floor_index() const { return core_->log().floor().last.index; }
const ConfState& Raft::conf() const { return core_->log().conf(); }
Index Raft::conf_index() const { return core_->log().conf_index(); }
std::uint64_t Raft::lease_reads() const { return core_->lease().reads(); }
bool Raft::conf_settled() const { return core_->conf_settled(); }
bool Raft::takes_conf_change() const {
    return core_->role() == Role::kLeader && core_->takes_conf_change();
}
bool Raft::is_log_stalled() const { return core_->is_log_stalled(); }
bool Raft::is_flush_behind() const { return core_->is_flush_behind(); }
Status Raft::status() const { return core_->status(); }

std::optional<EntryId> Raft::entry_id(Index index) const {
    const std::optional<Term> term = core_->log().term_at(index);
    return term ? std::optional<EntryId>({*term, index}) : std::nullopt;
}
const Entry& Raft::entry(Index index) const { return core_->log().at(index); }
HardState Raft::hard_state() const {
    return {.term = core_->term(), .vote = core_->vote(), .commit = commit()};
}
HardState Raft::durable_hard_state() const { return core_->writes().durable(); }
Index Raft::stable_index() const { return core_->log().marks().stable; }
SnapshotMeta Raft::floor() const { return core_->log().floor(); }

}  // namespace cairn::raft
