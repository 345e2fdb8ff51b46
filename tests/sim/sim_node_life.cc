// SimNode, its life: starts, crashes, troubles of its disk, and the end.
#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/probe.h"
#include "raft/conf_change.h"
#include "sim/sabotage.h"
#include "sim/sim_node.h"
#include "storage/snapshot_store.h"

namespace cairn::sim {
namespace {

constexpr const char* kDataDir = "data";
constexpr const char* kLogDir = "data/wal";
constexpr const char* kSnapshotsDir = "data/snap";
constexpr const char* kReceivedDir = "data/snap/incoming";
// Less of the disk is never taken for a snapshot.
constexpr std::uint64_t kFreeBytesMin = 2'048;
constexpr std::uint64_t kBlockBytes = 4096;
// About what a start makes of its files.
constexpr std::uint64_t kStartCalls = 60;

// A file with what its readers see, where a power cut may leave something else.
struct Unsynced {
    std::string path;
    std::optional<std::string> now;
    std::optional<std::string> synced;
};

std::vector<Unsynced> find_unsynced(storage::SimFs& files) {
    std::vector<Unsynced> found;
    std::vector<std::string> open = {kDataDir};
    while (!open.empty()) {
        const std::string path = std::move(open.back());
        open.pop_back();
        if (const auto names = files.list(path); names) {
            for (const std::string& name : names.value()) {
                open.push_back(path + "/" + name);
            }
            continue;
        }
        auto now = files.content(path);
        auto synced = files.durable_content(path);
        if (now != synced) {
            found.push_back({.path = path, .now = std::move(now), .synced = std::move(synced)});
        }
    }
    return found;
}

// Some of it was lost, and some was not.
bool is_torn(const std::vector<Unsynced>& before, const storage::SimFs& after) {
    bool lost = false;
    bool kept = false;
    for (const Unsynced& file : before) {
        const auto left = after.content(file.path);
        lost = lost || left != file.now;
        kept = kept || left != file.synced;
    }
    return lost && kept;
}

bool contains(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

}  // namespace

bool SimNode::is_voter() const {
    const raft::ConfState& conf = world_.safety.applied_conf();
    return contains(conf.voters, id_) || contains(conf.voters_outgoing, id_);
}

bool SimNode::is_member() const {
    return is_voter() || contains(world_.safety.applied_conf().learners, id_);
}

// ---- starts

bool SimNode::open_engine() {
    const auto open = [&]() -> Result<storage::SnapshotStore::Opened> {
        CAIRN_TRY(files().make_dirs(kDataDir));
        CAIRN_TRY(files().sync_dir(storage::parent_dir(kDataDir)));
        return storage::SnapshotStore::open(files(), engine_kind_, kDataDir,
                                            {.free_bytes_min = kFreeBytesMin});
    };
    auto opened = open();
    if (!opened) {
        const Error& error = opened.error();
        if (!files_.halted() && !is_excused(error)) {
            world_.verdict.fail("D2", fmt::format("node {}: the engine does not open: {}", index_,
                                                  to_string(error)));
        }
        return false;
    }
    store_ = std::move(opened.value().store);
    engine_ = std::move(opened.value().engine);
    check_engine(opened.value().installed);
    return !world_.verdict.failed();
}

bool SimNode::open_log(raft::Recovered& recovered) {
    auto opened = storage::LogStore::open(
        files(), kLogDir,
        storage::LogOptions{.segment_bytes = disk_.segment_bytes,
                            .recycle_max = static_cast<std::uint32_t>(life_ % 3)});
    if (opened) {
        log_ = std::move(opened.value().log);
        recovered = std::move(opened.value().recovered);
        return true;
    }
    if (world_.verbose) {
        fmt::print("{:>10} node {}: {}\n", world_.queue.now(), index_, to_string(opened.error()));
    }
    if (suspect_ && opened.error().code == Errc::kCorrupt) {
        lose(to_string(opened.error()));
    } else if (!files_.halted() && !is_excused(opened.error())) {
        world_.verdict.fail("D5", fmt::format("node {}: the log does not open: {}", index_,
                                              to_string(opened.error())));
    }
    return false;
}

// False when the disk failed under it, or nothing may go on.
bool SimNode::open_state(const raft::Recovered& recovered) {
    auto state =
        storage::StateMachine::open(std::exchange(engine_, nullptr),
                                    storage::StateMachineOptions{.member = id_, .boot = boot_});
    if (!state) {
        world_.verdict.fail("D2", "state: " + to_string(state.error()));
        return false;
    }
    state_ = std::move(state).value();
    const Index applied = state_->applied_state().applied.index;
    if (applied < state_durable_) {
        world_.verdict.fail("D2", fmt::format("node {}: the state found is of {}, {} was durable",
                                              index_, applied.value, state_durable_.value));
        return false;
    }
    // Damage to the newest write cannot be told from a tear: a member that has lost what it said is
    // no use any more. More than that write must have been noticed.
    if (suspect_ && !world_.safety.finds(index_, recovered)) {
        world_.safety.check_damage(index_, recovered);
        lose("the newest write is gone");
        return false;
    }
    suspect_ = false;
    born_revision_ = state_->applied_state().revision;
    world_.safety.on_start(index_, recovered, applied);
    return !world_.verdict.failed();
}

// What a start puts into the log before the core sees it.
bool SimNode::write_first(raft::PersistBatch batch, raft::Recovered& recovered) {
    world_.safety.on_persist_wanted(index_, batch);
    if (world_.verdict.failed()) {
        return false;
    }
    if (const auto written = log_->append(std::span(&batch, 1)); !written) {
        if (!files_.halted() && !is_excused(written.error())) {
            world_.verdict.fail("D5", "first write: " + to_string(written.error()));
        }
        return false;
    }
    ++world_.counters.disk;
    world_.safety.on_persisted(index_, 1);
    recovered.hard_state = batch.hard_state.value_or(recovered.hard_state);
    recovered.floor = batch.floor.value_or(recovered.floor);
    recovered.entries = std::move(batch.entries);
    return true;
}

// The first start: the members' entries become durable before the core sees them.
bool SimNode::bootstrap(raft::Recovered& recovered) {
    std::vector<raft::BootstrapMember> members;
    for (NodeIndex node = 0; node < world_.options.nodes; ++node) {
        const NodeId id = world_.safety.id_of(node);
        command::MemberInfo info;
        info.set_id(id.value);
        info.add_peer_urls(fmt::format("http://node-{}:2380", node));
        members.push_back(
            raft::BootstrapMember{.id = id, .context = Bytes::copy_of(info.SerializeAsString())});
    }
    raft::PersistBatch batch = raft::bootstrap_batch(std::move(members));
    if (world_.safety.committed() == Index{}) {
        world_.safety.on_bootstrap(batch);
    }
    return write_first(std::move(batch), recovered);
}

// A snapshot was installed, and the crash came before the log heard of it.
bool SimNode::finish_install(raft::Recovered& recovered) {
    auto missing =
        storage::follow_install(engine_began_, state_->applied_state().applied, recovered);
    if (!missing) {
        world_.verdict.fail("S1", to_string(missing.error()));
        return false;
    }
    if (!missing.value()) {
        return true;
    }
    CAIRN_PROBE("sim.install_finished_at_start");
    return write_first(*std::move(missing).value(), recovered);
}

void SimNode::start(std::uint64_t crash_after) {
    if (up() || retired_ || lost_ || world_.verdict.failed()) {
        return;
    }
    started_ = true;
    suspect_ = damaged();
    note_failures();
    files_.crash_at(crash_after > 0 ? files_.ops() + crash_after : 0);
    // Not of all members before the cluster begins: checkers need to know with whom it does.
    const bool may_fail = !healed_ && world_.safety.committed() != Index{};
    if (may_fail && world_.options.faults.disk_error > 0 && prng_.chance(1, 8)) {
        files_.fail_at(files_.ops() + prng_.between(1, kStartCalls), Errc::kIo);
    }
    boot_ = prng_.next() | 1U;
    raft::Recovered recovered;
    bool ready = open_engine() && open_log(recovered) && open_state(recovered);
    if (ready && recovered == raft::Recovered{}) {
        ready = joins_ ? write_first(raft::joining_batch(), recovered) : bootstrap(recovered);
    } else if (ready) {
        ready = finish_install(recovered);
    }
    if (world_.verdict.failed() || lost_) {
        return;
    }
    if (!ready || files_.halted()) {
        return crash(world_.options.tick_us * prng_.between(1, 5));
    }
    files_.crash_at(0);
    start_replica(std::move(recovered));
}

void SimNode::start_replica(raft::Recovered recovered) {
    if (sabotaged(Sabotage::kForgetVote)) {
        recovered.hard_state.vote = NodeId{};
    }
    server::ReplicaConfig config{
        .raft = world_.options.raft,
        .boot = boot_,
        .request_timeout_ticks = world_.options.request_timeout_ticks,
        .read_retry_ticks = world_.options.read_retry_ticks,
        .membership = {.strict = false, .learners_max = world_.options.admin.members_max},
        .apply_bytes_max = world_.options.apply_bytes_max};
    config.raft.id = id_;
    config.raft.seed = prng_.next();
    config.raft.lease_promise_ns = promise_ns_;
    auto replica = server::Replica::restore(config, std::move(recovered), state_->applied_state());
    if (!replica) {
        return world_.verdict.fail(
            "D2", fmt::format("node {}: restore: {}", index_, to_string(replica.error())));
    }
    replica_ = std::move(replica).value();
    core_look_.begin(replica_->raft());
    read_gate_ = {};
    dispatcher_.emplace(server::api::Identity{.cluster = kClusterId, .member = id_},
                        kRequestLimits);
    snapshot_disk_.emplace(files(), *store_);
    flow_.emplace(id_, world_.options.snapshots);
    check_digest();
    after(prng_.below(tick_us_) + 1, NodeEventKind::kTick);
    if (disk_.flush_mean_ticks > 0) {
        after(draw_time(prng_, tick_us_, disk_.flush_mean_ticks * tick_us_), NodeEventKind::kFlush);
    }
    maybe_collect();
    if (const Index found = state_->applied_state().applied.index; found != Index{}) {
        replica_->step(server::StateFlushed{.applied = found});
    }
    if (crashes_to_come_ > 0) {
        --crashes_to_come_;
        saw(FaultClass::kCrashLoop);
        crash_at_effect(prng_.between(1, 20), tick_us_ * prng_.between(1, 3));
    }
    turn();
}

void SimNode::join() {
    CAIRN_ASSERT(!started_);
    joins_ = true;
    id_ = world_.safety.id_of(index_);
    if (world_.verbose) {
        fmt::print("{:>10} node {} joins\n", world_.queue.now(), index_);
    }
    start();
}

// ---- ends

// A write is in flight: in most crashes some first part of its file operations still happens.
void SimNode::write_during_crash() {
    if (log_ == nullptr || writing_ == 0 || files_.halted() || prng_.chance(1, 4)) {
        return;
    }
    files_.crash_at(files_.ops() + prng_.between(1, 8));
    const auto result = log_->append(std::span(writes_).first(writing_));
    world_.trace.mix(result ? 1 : 2);
}

// Of the machine; or, surely when it `dies`, the process alone, and what was written is not lost
// with it.
void SimNode::lose_power(bool dies) {
    using storage::SimDirLoss;
    using storage::SimWriteLoss;
    if (dies || prng_.chance(1, 4)) {
        return files_.kill_process();
    }
    received_in_doubt_ = true;
    storage::SimCrash how{.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll};
    if (!disk_.torn) {
        return files_.crash(prng_, how);
    }
    static constexpr std::array<SimWriteLoss, 4> kWrites = {
        SimWriteLoss::kAll, SimWriteLoss::kNone, SimWriteLoss::kSubset, SimWriteLoss::kSubset};
    static constexpr std::array<SimDirLoss, 4> kDirs = {SimDirLoss::kAll, SimDirLoss::kNone,
                                                        SimDirLoss::kPrefix, SimDirLoss::kSubset};
    how.writes = kWrites[prng_.below(kWrites.size())];
    how.dirs = kDirs[prng_.below(kDirs.size())];
    files_.kill_process();  // what was to fail is over: one can look
    const std::vector<Unsynced> unsynced = find_unsynced(files_);
    files_.crash(prng_, how);
    if (is_torn(unsynced, files_)) {
        saw(FaultClass::kTornWrite);
    }
}

// docs/formats/data_dir.md: one engine is the member's, and a snapshot stays while somebody wants
// it.
std::vector<std::string> SimNode::files_left() {
    std::vector<std::string> left;
    if (const auto snapshots = files_.list(kSnapshotsDir); snapshots) {
        for (const std::string& name : snapshots.value()) {
            left.push_back("snap/" + name);
        }
    }
    std::vector<std::string> engines;
    if (const auto names = files_.list(kDataDir); names) {
        std::copy_if(
            names.value().begin(), names.value().end(), std::back_inserter(engines),
            [](const std::string& name) { return name == "db" || name.starts_with("db-"); });
    }
    if (engines.size() > 1) {
        left.insert(left.end(), engines.begin(), engines.end());
    }
    return left;
}

// A bit of what was received of a snapshot flips while nobody looks.
void SimNode::rot_received() {
    const auto names = files_.list(kReceivedDir);
    if (healed_ || world_.options.faults.rot == 0 || !names || names.value().empty() ||
        prng_.chance(1, 2)) {
        return;
    }
    const std::string path =
        std::string(kReceivedDir) + "/" + names.value()[prng_.below(names.value().size())];
    if (const std::size_t size = files_.content(path)->size(); size > 0) {
        files_.flip_bit(path, prng_.below(size), static_cast<unsigned>(prng_.below(8)));
        received_in_doubt_ = true;
        saw(FaultClass::kRot);
    }
}

void SimNode::clear_life() {
    ++life_;
    effects_.clear();
    writes_.clear();
    applying_.clear();
    applied_.reset();
    snapshot_work_.clear();
    flow_events_.clear();
    snapshot_work_under_way_ = false;
    calls_.clear();
    reads_.clear();
    writing_ = 0;
    office_.on_written();
    open_calls_ = 0;
    crash_countdown_ = 0;
    stop_due_ = false;
    bad_pieces_ = world_.lanes.damaged_to(index_);
    snapshot_readers_.clear();
    received_waits_ = false;
    heard_.assign(world_.options.slots(), {});
    turn_scheduled_ = apply_scheduled_ = collect_scheduled_ = seal_wanted_ = false;
}

void SimNode::crash(Time down, std::uint64_t crash_after) {
    write_during_crash();
    // What an install has renamed and not synced is what the next start finds when only the process
    // dies; and then it may yet be lost.
    const bool to_find = work_during_crash() && crash_after == 0 && !healed_ && prng_.chance(1, 2);
    if (to_find) {
        crash_after = prng_.between(1, 40);
    }
    flush_during_crash();
    const bool was_up = up();
    close();
    lose_power(to_find);
    rot_received();
    world_.lanes.on_node_down(index_);
    world_.safety.on_crash(index_);
    clear_life();
    if (world_.verbose && was_up) {
        fmt::print("{:>10} node {} crashes\n", world_.queue.now(), index_);
    }
    if (was_up) {
        saw(FaultClass::kCrash);
        clients_.on_node_down(index_);
    }
    after(down, NodeEventKind::kRestart, crash_after);
}

void SimNode::retire() {
    retired_ = true;
    crash(0);  // it will not come back
}

void SimNode::heal() {
    healed_ = true;
    crash_countdown_ = 0;
    crashes_to_come_ = 0;
    disk_factor_ = 1;
    files_.clear_failures();
    disk_.slow_permille = 0;
    disk_.write_mean_us = std::min(disk_.write_mean_us, kHealedMeanUs);
    disk_.apply_mean_us = std::min(disk_.apply_mean_us, kHealedMeanUs);
    limit_disk(std::nullopt);
    flush_more_often();
    if (started_ && !up()) {
        start();
    }
}

// Whoever has too much that is not flushed takes no more, so that calls would wait for a rare flush
// as for a fault.
void SimNode::flush_more_often() {
    constexpr std::uint64_t kOftenTicks = 10;
    if (disk_.flush_mean_ticks > kOftenTicks) {
        disk_.flush_mean_ticks = kOftenTicks;
        if (up()) {
            after(tick_us_, NodeEventKind::kFlush);
        }
    }
}

// ---- troubles of the disk

void SimNode::fail_disk() {
    constexpr std::uint64_t kSoonCalls = 8;
    files_.fail_at(files_.ops() + prng_.between(1, kSoonCalls), Errc::kIo);
}

void SimNode::limit_disk(std::optional<std::uint64_t> bytes_more) {
    disk_is_full_ = bytes_more.has_value();
    files_.set_capacity(bytes_more ? files_.bytes_used() + *bytes_more : UINT64_MAX);
}

// A write or sync failed: the member says nothing more that could rest on it, and its process ends.
void SimNode::fail_storage(const char* what, const Error& error) {
    if (!is_excused(error)) {
        return world_.verdict.fail("D4",
                                   fmt::format("node {}: {}: {}", index_, what, to_string(error)));
    }
    stop_due_ = true;
    writing_ = 0;
    if (!sabotaged(Sabotage::kSurviveDisk)) {
        replica_->step(server::StorageFailed{.error = error});
    }
    turn();  // in which it ends: check_halt
}

void SimNode::halt() {
    const Errc code = effects_.halt->code;
    if (!stop_due_ || (code != Errc::kIo && code != Errc::kNoSpace)) {
        return world_.verdict.fail("halt",
                                   fmt::format("node {}: {}", index_, to_string(*effects_.halt)));
    }
    const std::uint32_t life = life_;
    send();
    if (life == life_) {
        crash(tick_us_ * prng_.between(1, 20));
    }
}

// What is not synced may be torn, but does not rot.
bool SimNode::damage(Damage kind) {
    const auto names = files_.list(kLogDir);
    if (retired_ || lost_ || !names || names.value().empty()) {
        return false;
    }
    const std::string path =
        std::string(kLogDir) + "/" + names.value()[prng_.below(names.value().size())];
    std::string content = files_.content(path).value_or("");
    const std::size_t end = content.find_last_not_of('\0');
    if (end == std::string::npos || files_.durable_content(path) != content) {
        return false;
    }
    if (kind == Damage::kRot) {
        const std::uint64_t at = prng_.below(end + 1);
        files_.flip_bit(path, at, static_cast<unsigned>(prng_.below(8)));
        damages_.push_back(
            {.path = path, .offset = at, .bytes = files_.content(path)->substr(at, 1)});
        saw(FaultClass::kRot);
        return true;
    }
    const std::uint64_t blocks = end / kBlockBytes + 1;
    content.resize(std::max<std::size_t>(content.size(), blocks * kBlockBytes));
    const std::size_t from = prng_.below(blocks) * kBlockBytes;
    const std::size_t to = prng_.below(blocks) * kBlockBytes;
    const std::string block = content.substr(from, kBlockBytes);
    if (content.compare(to, kBlockBytes, block) == 0) {
        return false;
    }
    files_.put_file(path, content.replace(to, kBlockBytes, block));
    damages_.push_back({.path = path, .offset = to, .bytes = block});
    saw(FaultClass::kRot);
    return true;
}

// What was written over, or is in no file any more, does no harm.
bool SimNode::damaged() const {
    return suspect_ || std::any_of(damages_.begin(), damages_.end(), [&](const DamagedPlace& it) {
               const std::string content = files_.content(it.path).value_or("");
               return content.size() >= it.offset + it.bytes.size() &&
                      content.compare(it.offset, it.bytes.size(), it.bytes) == 0;
           });
}

void SimNode::note_failures() {
    if (files_.failures_met() > failures_met_) {
        saw(FaultClass::kDiskError);
        failures_met_ = files_.failures_met();
    }
    if (files_.was_full()) {
        saw(FaultClass::kDiskFull);
    }
}

bool SimNode::is_excused(const Error& error) const {
    return (error.code == Errc::kIo && files_.failures_met() > failures_met_) ||
           (error.code == Errc::kNoSpace && disk_is_full_);
}

void SimNode::lose(const std::string& why) {
    lost_ = true;
    close();
    clear_life();
    if (world_.verbose) {
        fmt::print("{:>10} node {} is lost: {}\n", world_.queue.now(), index_, why);
    }
}

}  // namespace cairn::sim
