#include "sim/sim_node.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "raft/conf_change.h"
#include "sim/quorums.h"
#include "sim/sabotage.h"

namespace cairn::sim {

namespace {

// What of a message is not told by its kind.
std::uint64_t content_of(const raft::Message& message) {
    if (const auto* append = std::get_if<raft::Append>(&message.body)) {
        TraceHash hash;
        hash.mix(append->prev.index.value);
        hash.mix(append->commit.value);
        for (const raft::Entry& entry : append->entries) {
            hash.mix(hash_bytes(entry.payload.data(), entry.payload.size(), entry.id.term.value));
        }
        return hash.value();
    }
    const auto* reply = std::get_if<raft::AppendReply>(&message.body);
    return reply == nullptr ? 0 : reply->match.value * 2 + (reply->success ? 1 : 0);
}

}  // namespace

SimNode::SimNode(NodeIndex index, const WorldParts& world, NodeClients& clients, Prng prng)
    : index_(index),
      id_(world.safety.id_of(index)),
      world_(world),
      clients_(clients),
      prng_(prng),
      tick_us_(world.options.tick_us),
      disk_(world.options.disk),
      sabotaged_files_(sabotaged(Sabotage::kSkipSync) ? std::make_unique<UnsyncedFs>(files_)
                                                      : nullptr),
      engine_kind_(files()),
      heard_(world.options.slots()),
      quorum_(world.options.raft.election_ticks),
      office_(world.options.raft.election_ticks) {
    files_.set_failed_sync(disk_.failed_sync_reads_new ? storage::SimFailedSync::kReadsNew
                                                       : storage::SimFailedSync::kReadsOld);
    if (world_.options.uneven_ticks) {
        tick_us_ += prng_.below(tick_us_ / 3);
    }
    if (world_.options.raft.lease_promise_ns > 0) {
        clock_permille_ = prng_.between(950, 1'050);  // no two of them further apart than a tenth
        // Nor must all of them promise the same.
        promise_ns_ = world_.options.raft.lease_promise_ns * prng_.between(500, 1'000) / 1'000;
        clock_start_ns_ = prng_.below(std::uint64_t{1} << 50U);
    }
}

SimNode::~SimNode() { close(); }

// In the order in which a member is taken down.
void SimNode::close() {
    replica_.reset();
    flow_.reset();
    snapshot_disk_.reset();
    state_.reset();
    engine_.reset();
    store_.reset();
    log_.reset();
}

void SimNode::after(Time delay, NodeEventKind kind, std::uint64_t arg) {
    world_.queue.after(delay, NodeEvent{.node = index_, .life = life_, .kind = kind, .arg = arg});
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
    note_failures();
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
        case NodeEventKind::kFlushed: return step(server::StateFlushed{Index{event.arg}});
        case NodeEventKind::kCollect: return on_collect();
        case NodeEventKind::kReadRun: return answer_read(event.arg);
        case NodeEventKind::kPeerLost:
            return step(
                server::PeerLost{.node = world_.safety.id_of(static_cast<NodeIndex>(event.arg))});
        case NodeEventKind::kSnapshotWork: return on_snapshot_work();
        case NodeEventKind::kRestart: return;
    }
}

void SimNode::receive(raft::Message message) {
    if (!up() || message.to != id_) {  // meant for who was to have this place before it
        return;
    }
    // An answer of an earlier term may come behind one of this one.
    if (view().is_leader && message.term == view().term &&
        (std::holds_alternative<raft::AppendReply>(message.body) ||
         std::holds_alternative<raft::HeartbeatReply>(message.body))) {
        heard_[world_.safety.index_of(message.from)] = {.term = message.term, .tick = ticks_};
    }
    step(server::Receive{.message = std::move(message)});
}

void SimNode::on_tick() {
    if (clock_stands_until_ > world_.queue.now()) {
        saw(FaultClass::kClock);
    }
    after(
        std::max(tick_us_, clock_stands_until_ - std::min(clock_stands_until_, world_.queue.now())),
        NodeEventKind::kTick);
    // The seal of an idle log, and the next segment's zeros (storage/log_store.h).
    if (seal_wanted_ && writing_ == 0 && prng_.chance(1, 3)) {
        seal_wanted_ = false;
        if (const auto sealed = log_->seal(); !sealed) {
            return fail_storage("seal", sealed.error());
        }
    }
    if (writing_ == 0 && prng_.chance(1, 20)) {
        if (const auto prepared = log_->prepare(); !prepared) {
            return fail_storage("prepare", prepared.error());
        }
    }
    office_.tick(index_, writing_ > 0, view().is_leader && others_can_elect(), world_.verdict);
    if (world_.options.raft.check_quorum) {
        quorum_.tick(index_, view().is_leader ? std::optional(view().term) : std::nullopt,
                     view().is_leader && is_heard_by_quorum(), world_.verdict);
    }
    ++ticks_;
    const std::uint32_t life = life_;
    flow_->tick();
    if (prng_.chance(1, 40)) {
        snapshot_work_.emplace_back(server::TidySnapshots{});
    }
    carry_out();
    if (life == life_ && up()) {
        step(server::Tick{});
    }
}

// This leader, of late.
bool SimNode::is_heard_by(NodeId id) const {
    const Heard& heard = heard_[world_.safety.index_of(id)];
    return heard.term == view().term && ticks_ - heard.tick < world_.options.raft.election_ticks;
}

bool SimNode::others_can_elect() const {
    return is_quorum(world_.safety.newest_conf(index_),
                     [&](NodeId id) { return id != id_ && is_heard_by(id); });
}

bool SimNode::is_heard_by_quorum() const {
    return is_quorum(world_.safety.newest_conf(index_),
                     [&](NodeId id) { return id == id_ || is_heard_by(id); });
}

bool SimNode::jump_clock(std::uint32_t ticks) {
    if (!up() || paused_until_ > world_.queue.now()) {
        return false;
    }
    saw(FaultClass::kClock);
    ticks_ += ticks;
    for (; ticks > 1; --ticks) {
        replica_->step(server::Tick{});
    }
    step(server::Tick{});
    return true;
}

void SimNode::on_flush() {
    after(draw_time(prng_, tick_us_, disk_.flush_mean_ticks * tick_us_), NodeEventKind::kFlush);
    const auto flushed = state_->flush();
    if (!flushed) {
        return fail_storage("flush", flushed.error());
    }
    ++world_.counters.disk;
    state_durable_ = std::max(state_durable_, flushed.value());
    check_digest();
    // Told by a thread of its own: more may be applied by then, or another engine installed.
    after(draw_time(prng_, 1, tick_us_ / 2), NodeEventKind::kFlushed, flushed.value().value);
}

void SimNode::maybe_collect() {
    if (!collect_scheduled_ && state_->has_garbage()) {
        collect_scheduled_ = true;
        after(draw_time(prng_, 1, tick_us_), NodeEventKind::kCollect);
    }
}

void SimNode::on_collect() {
    collect_scheduled_ = false;
    const auto collected = state_->collect_garbage(prng_.between(1, healed_ ? 500 : 30));
    if (!collected) {
        return world_.verdict.fail("D2", "garbage: " + to_string(collected.error()));
    }
    maybe_collect();
    step(server::GarbageCollected{.revision = collected.value()});
}

// ---- effects

void SimNode::turn() {
    if (clock_permille_ > 0) {
        replica_->step(server::ClockRead{clock_start_ns_ + world_.queue.now() * clock_permille_});
    }
    for (server::Event& event : std::exchange(flow_events_, {})) {
        replica_->step(std::move(event));
    }
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
    check_halt(index_, effects_, stop_due_, world_.verdict);
    if (world_.verdict.failed()) {
        return;
    }
    if (effects_.halt) {
        return halt();
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
        flow_->on_turn(effects_, replica_->view());
        carry_out();
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
    const raft::Raft& core = replica_->raft();
    if (const auto sound = core_look_.look(core); !sound) {
        world_.verdict.fail("core", fmt::format("node {}: {}", index_, to_string(sound.error())));
    }
    if (view.is_leader) {
        world_.safety.on_leader_status(index_, core.status());
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
        if (std::holds_alternative<raft::TimeoutNow>(message.body)) {
            saw(FaultClass::kTransfer);
        }
        world_.safety.on_send(index_, message);
        world_.trace.mix(message.term.value * 16 + message.body.index());
        world_.trace.mix(content_of(message));
        const NodeIndex to = world_.safety.index_of(message.to);
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
    delay = std::min(delay, kWriteMaxUs);
    if (disk_factor_ > 1 || disk_hangs_until_ > world_.queue.now()) {
        saw(FaultClass::kSlowDisk);
    }
    if (disk_hangs_until_ > world_.queue.now()) {
        delay = std::max(delay, disk_hangs_until_ - world_.queue.now());
    }
    after(delay, NodeEventKind::kDiskDone);
}

void SimNode::on_disk_done() {
    const PersistSeq seq = writes_[writing_ - 1].seq;
    if (const auto written = log_->append(std::span(writes_).first(writing_)); !written) {
        return fail_storage("append", written.error());
    }
    ++world_.counters.disk;
    world_.safety.on_persisted(index_, writing_);
    writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(writing_));
    writing_ = 0;
    office_.on_written();
    seal_wanted_ = true;
    start_disk();
    if (!sabotaged(Sabotage::kAckBeforePersist)) {
        step(server::LogPersisted{.seq = seq});
    }
}

}  // namespace cairn::sim
