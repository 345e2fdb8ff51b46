#include "sim/sim_node.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "raft/conf_change.h"
#include "sim/sabotage.h"

namespace cairn::sim {
namespace {

constexpr const char* kLogDir = "wal";
// The slowest write; what is in flight when the faults end then ends soon, too.
constexpr Time kWriteMaxUs = 500'000;

}  // namespace

SimNode::SimNode(NodeIndex index, const WorldParts& world, NodeClients& clients, Prng prng)
    : index_(index),
      id_(SafetyChecker::id_of(index)),
      world_(world),
      clients_(clients),
      prng_(prng),
      tick_us_(world.options.tick_us),
      disk_(world.options.disk),
      engine_(std::make_shared<storage::MemEngine>()) {
    if (world_.options.uneven_ticks) {
        tick_us_ += prng_.below(tick_us_ / 3);
    }
    if (sabotaged(Sabotage::kSkipSync)) {
        sabotaged_files_ = std::make_unique<UnsyncedFs>(files_);
    }
}

SimNode::~SimNode() {
    replica_.reset();
    state_.reset();
    log_.reset();
}

void SimNode::after(Time delay, NodeEventKind kind, std::uint64_t arg) {
    world_.queue.after(delay, NodeEvent{.node = index_, .life = life_, .kind = kind, .arg = arg});
}

// ---- life and death

bool SimNode::open_storage(raft::Recovered& recovered) {
    storage::FileSystem& files = sabotaged_files_ ? *sabotaged_files_ : files_;
    auto opened = storage::LogStore::open(
        files, kLogDir,
        storage::LogOptions{.segment_bytes = disk_.segment_bytes,
                            .recycle_max = static_cast<std::uint32_t>(life_ % 3)});
    if (!opened) {
        if (!files_.halted()) {
            world_.verdict.fail("D5", fmt::format("node {}: the log does not open: {}", index_,
                                                  to_string(opened.error())));
        }
        return false;
    }
    log_ = std::move(opened.value().log);
    recovered = std::move(opened.value().recovered);
    return true;
}

// The first start: the members' entries become durable before the core sees them.
bool SimNode::bootstrap(raft::Recovered& recovered) {
    std::vector<raft::BootstrapMember> members;
    for (NodeIndex node = 0; node < world_.options.nodes; ++node) {
        members.push_back(raft::BootstrapMember{.id = SafetyChecker::id_of(node), .context = {}});
    }
    const raft::PersistBatch batch = raft::bootstrap_batch(std::move(members));
    if (world_.safety.committed() == Index{}) {
        world_.safety.on_bootstrap(batch);
    }
    world_.safety.on_persist_wanted(index_, batch);
    if (const auto written = log_->append(std::span(&batch, 1)); !written) {
        if (!files_.halted()) {
            world_.verdict.fail("D5", "bootstrap: " + to_string(written.error()));
        }
        return false;
    }
    world_.safety.on_persisted(index_, 1);
    recovered.hard_state = batch.hard_state.value_or(raft::HardState{});
    recovered.entries = batch.entries;
    return true;
}

void SimNode::start(std::uint64_t crash_after) {
    if (up() || world_.verdict.failed()) {
        return;
    }
    files_.crash_at(crash_after > 0 ? files_.ops() + crash_after : 0);
    const std::uint64_t boot = prng_.next() | 1U;
    raft::Recovered recovered;
    bool ready = open_storage(recovered);
    if (ready) {
        auto state = storage::StateMachine::open(
            engine_, storage::StateMachineOptions{.member = id_, .boot = boot});
        if (!state) {
            return world_.verdict.fail("D2", "state: " + to_string(state.error()));
        }
        state_ = std::move(state).value();
        world_.safety.on_start(index_, recovered, state_->applied_state().applied.index);
        if (recovered == raft::Recovered{}) {
            ready = bootstrap(recovered);
        }
    }
    if (world_.verdict.failed()) {
        return;
    }
    if (!ready || files_.halted()) {
        return crash(world_.options.tick_us * prng_.between(1, 5));
    }
    files_.crash_at(0);
    if (sabotaged(Sabotage::kForgetVote)) {
        recovered.hard_state.vote = NodeId{};
    }
    server::ReplicaConfig config{.raft = world_.options.raft,
                                 .boot = boot,
                                 .request_timeout_ticks = world_.options.request_timeout_ticks,
                                 .read_retry_ticks = world_.options.read_retry_ticks,
                                 .apply_bytes_max = world_.options.apply_bytes_max};
    config.raft.id = id_;
    config.raft.seed = prng_.next();
    auto replica = server::Replica::restore(config, std::move(recovered), state_->applied_state());
    if (!replica) {
        return world_.verdict.fail(
            "D2", fmt::format("node {}: restore: {}", index_, to_string(replica.error())));
    }
    replica_ = std::move(replica).value();
    check_digest();
    after(prng_.below(tick_us_) + 1, NodeEventKind::kTick);
    if (disk_.flush_mean_ticks > 0) {
        after(draw_time(prng_, tick_us_, disk_.flush_mean_ticks * tick_us_), NodeEventKind::kFlush);
    }
    maybe_collect();
    turn();
}

// A write is in flight: in most crashes some first part of its file operations still happens.
void SimNode::write_during_crash() {
    if (log_ == nullptr || writing_ == 0 || files_.halted() || prng_.chance(1, 4)) {
        return;
    }
    files_.crash_at(files_.ops() + prng_.between(1, 8));
    const auto result = log_->append(std::span(writes_).first(writing_));
    world_.trace.mix(result ? 1 : 2);
}

void SimNode::crash(Time down, std::uint64_t crash_after) {
    write_during_crash();
    const bool was_up = up();
    replica_.reset();
    state_.reset();
    log_.reset();
    engine_ = engine_->after_crash();
    using storage::SimDirLoss;
    using storage::SimWriteLoss;
    storage::SimCrash how{.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll};
    if (disk_.torn) {
        static constexpr std::array<SimWriteLoss, 4> kWrites = {
            SimWriteLoss::kAll, SimWriteLoss::kNone, SimWriteLoss::kSubset, SimWriteLoss::kSubset};
        static constexpr std::array<SimDirLoss, 4> kDirs = {
            SimDirLoss::kAll, SimDirLoss::kNone, SimDirLoss::kPrefix, SimDirLoss::kSubset};
        how.writes = kWrites[prng_.below(kWrites.size())];
        how.dirs = kDirs[prng_.below(kDirs.size())];
    }
    files_.crash(prng_, how);
    world_.safety.on_crash(index_);
    ++life_;
    effects_.clear();
    writes_.clear();
    applying_.clear();
    applied_.reset();
    calls_.clear();
    writing_ = 0;
    open_calls_ = 0;
    crash_countdown_ = 0;
    turn_scheduled_ = apply_scheduled_ = collect_scheduled_ = seal_wanted_ = false;
    if (world_.verbose && was_up) {
        fmt::print("{:>10} node {} crashes\n", world_.queue.now(), index_);
    }
    if (was_up) {
        clients_.on_node_down(index_);
    }
    after(down, NodeEventKind::kRestart, crash_after);
}

void SimNode::heal() {
    constexpr Time kQuickUs = 2'000;
    crash_countdown_ = 0;
    disk_factor_ = 1;
    paused_until_ = 0;
    disk_.slow_permille = 0;
    disk_.write_mean_us = std::min(disk_.write_mean_us, kQuickUs);
    disk_.apply_mean_us = std::min(disk_.apply_mean_us, kQuickUs);
    if (!up()) {
        start();
    }
}

// ---- events

void SimNode::step(server::Event event) {
    replica_->step(std::move(event));
    if (turn_scheduled_) {
        return;
    }
    if (world_.options.turn_delay_us == 0) {
        turn();
        return;
    }
    turn_scheduled_ = true;
    after(prng_.below(world_.options.turn_delay_us), NodeEventKind::kTurn);
}

void SimNode::handle(const NodeEvent& event) {
    if (event.life != life_) {
        return;
    }
    if (event.kind == NodeEventKind::kRestart) {
        return start(event.arg);
    }
    if (!up()) {
        return;
    }
    switch (event.kind) {
        case NodeEventKind::kTick: return on_tick();
        case NodeEventKind::kTurn: turn_scheduled_ = false; return turn();
        case NodeEventKind::kDiskDone: return on_disk_done();
        case NodeEventKind::kApplyRun: return on_apply_run();
        case NodeEventKind::kApplyDone: return on_apply_done();
        case NodeEventKind::kFlush: return on_flush();
        case NodeEventKind::kCollect: return on_collect();
        case NodeEventKind::kReadRun: return run_read(event.arg);
        case NodeEventKind::kPeerLost:
            return step(
                server::PeerLost{.node = SafetyChecker::id_of(static_cast<NodeIndex>(event.arg))});
        case NodeEventKind::kRestart: return;
    }
}

void SimNode::receive(raft::Message message) {
    if (up()) {
        step(server::Receive{.message = std::move(message)});
    }
}

void SimNode::on_tick() {
    after(tick_us_, NodeEventKind::kTick);
    // The seal of an idle log (storage/log_store.h).
    if (seal_wanted_ && writing_ == 0 && prng_.chance(1, 3)) {
        seal_wanted_ = false;
        if (const auto sealed = log_->seal(); !sealed) {
            return world_.verdict.fail("D5", "seal: " + to_string(sealed.error()));
        }
    }
    step(server::Tick{});
}

void SimNode::on_flush() {
    after(draw_time(prng_, tick_us_, disk_.flush_mean_ticks * tick_us_), NodeEventKind::kFlush);
    if (const auto flushed = engine_->flush(); !flushed) {
        return world_.verdict.fail("D2", "flush: " + to_string(flushed.error()));
    }
    check_digest();
    const auto applied = state_->flushed_applied();
    if (!applied) {
        return world_.verdict.fail("D2", "flushed: " + to_string(applied.error()));
    }
    step(server::StateFlushed{.applied = applied.value()});
}

void SimNode::maybe_collect() {
    if (!collect_scheduled_ && state_->has_garbage()) {
        collect_scheduled_ = true;
        after(draw_time(prng_, 1, tick_us_), NodeEventKind::kCollect);
    }
}

void SimNode::on_collect() {
    collect_scheduled_ = false;
    const auto collected = state_->collect_garbage(prng_.between(1, 30));
    if (!collected) {
        return world_.verdict.fail("D2", "garbage: " + to_string(collected.error()));
    }
    maybe_collect();
    step(server::GarbageCollected{.revision = collected.value()});
}

// ---- effects

void SimNode::turn() {
    replica_->take_effects(effects_);
    execute();
}

// Counts effects; false when the crash that was ordered comes before this one.
bool SimNode::effect_allowed() {
    if (world_.verdict.failed()) {
        return false;
    }
    if (crash_countdown_ == 0) {
        return true;
    }
    if (--crash_countdown_ > 0) {
        return true;
    }
    crash(crash_down_);
    return false;
}

void SimNode::execute() {
    if (effects_.halt) {
        return world_.verdict.fail("halt",
                                   fmt::format("node {}: {}", index_, to_string(*effects_.halt)));
    }
    if (effects_.persist) {
        if (sabotaged(Sabotage::kDropHardState)) {
            effects_.persist->hard_state.reset();
        }
        world_.safety.on_persist_wanted(index_, *effects_.persist);
    }
    report_turn();
    const std::uint32_t life = life_;
    const bool disk_first = prng_.chance(1, 2);
    if (disk_first) {
        persist();
    }
    if (life == life_) {
        send();
    }
    if (life == life_ && !disk_first) {
        persist();
    }
    if (life == life_ && !effects_.apply.empty() && effect_allowed()) {
        CAIRN_ASSERT(applying_.empty() && !apply_scheduled_);
        applying_.swap(effects_.apply);
        apply_scheduled_ = true;
        after(draw_time(prng_, disk_.apply_min_us, disk_.apply_mean_us), NodeEventKind::kApplyRun);
    }
    if (life == life_) {
        answer();
    }
}

void SimNode::report_turn() {
    const server::NodeView& view = replica_->view();
    const NodeFacts facts{.role = view.is_leader ? raft::Role::kLeader : raft::Role::kFollower,
                          .term = view.term,
                          .commit = view.commit,
                          .applied = view.applied,
                          .last = view.last};
    world_.safety.on_turn(index_, facts);
    if (view.is_leader && ++turns_ % 4 == 0) {
        world_.safety.on_leader_status(index_, replica_->raft_status());
    }
    if (world_.verbose && !(view == shown_)) {
        shown_ = view;
        fmt::print("{:>10} {}\n", world_.queue.now(), status_line());
    }
}

void SimNode::persist() {
    if (!effects_.persist || !effect_allowed()) {
        return;
    }
    const PersistSeq seq = effects_.persist->seq;
    writes_.push_back(std::move(*effects_.persist));
    effects_.persist.reset();
    if (sabotaged(Sabotage::kAckBeforePersist)) {
        replica_->step(server::LogPersisted{.seq = seq});
        after(1, NodeEventKind::kTurn);
    }
    start_disk();
}

void SimNode::send() {
    const std::uint32_t life = life_;
    for (raft::Message& message : effects_.send) {
        if (!effect_allowed() || life != life_) {
            return;
        }
        auto* reply = std::get_if<raft::AppendReply>(&message.body);
        if (sabotaged(Sabotage::kInflateMatch) && reply != nullptr && reply->success) {
            ++reply->match;
        }
        world_.safety.on_send(index_, message);
        world_.trace.mix(message.term.value * 16 + message.body.index());
        const NodeIndex to = SafetyChecker::index_of(message.to);
        world_.net.send(index_, to, std::move(message));
    }
}

void SimNode::answer() {
    const std::uint32_t life = life_;
    for (const server::Completion& completion : effects_.completions) {
        if (!effect_allowed() || life != life_) {
            return;
        }
        on_completion(completion);
    }
}

void SimNode::on_completion(const server::Completion& completion) {
    const std::uint64_t at = completion.call.value - 1;
    if (at >= calls_.size() || calls_[at].answered) {
        return world_.verdict.fail("R3", fmt::format("node {}: call {} is answered twice or was "
                                                     "never made",
                                                     index_, completion.call.value));
    }
    calls_[at].answered = true;
    if (calls_[at].cancelled) {
        return;
    }
    --open_calls_;
    const std::uint64_t op = calls_[at].op;
    world_.trace.mix(op * 8 + completion.result.index());
    if (const auto* outcome = std::get_if<server::ProposalOutcome>(&completion.result)) {
        const auto* unknown = std::get_if<server::Unknown>(outcome);
        if (unknown != nullptr && sabotaged(Sabotage::kLieNotApplied)) {
            return clients_.on_outcome(op, server::NotApplied{unknown->reason});
        }
        return clients_.on_outcome(op, *outcome);
    }
    if (const auto* granted = std::get_if<server::ReadGranted>(&completion.result)) {
        if (state_->view()->applied().index < granted->applied) {
            return world_.verdict.fail("R1", "a read is granted before its index is applied");
        }
        return after(prng_.below(200), NodeEventKind::kReadRun, op);
    }
    if (const auto* failed = std::get_if<server::ReadFailed>(&completion.result)) {
        clients_.on_read(op, ReadAnswer{.error = failed->reason});
    }
}

// ---- the disk

void SimNode::start_disk() {
    if (writing_ > 0 || writes_.empty()) {
        return;
    }
    // Group commit: all that wait, or a part of them.
    writing_ = prng_.chance(3, 4) ? writes_.size() : prng_.between(1, writes_.size());
    Time delay = draw_time(prng_, disk_.write_min_us, disk_.write_mean_us) * disk_factor_;
    if (prng_.chance(disk_.slow_permille, 1000)) {
        delay *= 100;
    }
    after(std::min(delay, kWriteMaxUs), NodeEventKind::kDiskDone);
}

void SimNode::on_disk_done() {
    const PersistSeq seq = writes_[writing_ - 1].seq;
    if (const auto written = log_->append(std::span(writes_).first(writing_)); !written) {
        return world_.verdict.fail(
            "D4", fmt::format("node {}: append: {}", index_, to_string(written.error())));
    }
    world_.safety.on_persisted(index_, writing_);
    writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(writing_));
    writing_ = 0;
    seal_wanted_ = true;
    start_disk();
    if (!sabotaged(Sabotage::kAckBeforePersist)) {
        step(server::LogPersisted{.seq = seq});
    }
}

}  // namespace cairn::sim
