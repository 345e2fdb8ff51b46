// SimNode and snapshots: the shipped flow and store, with a thread of their own for the disk.
#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "sim/sim_lanes.h"
#include "sim/sim_node.h"

namespace cairn::sim {
namespace {

const Error* error_of(const server::SnapshotResult& result) {
    if (const auto* built = std::get_if<server::SnapshotBuilt>(&result)) {
        return built->manifest ? nullptr : &built->manifest.error();
    }
    if (const auto* read = std::get_if<server::PieceRead>(&result)) {
        return read->chunk ? nullptr : &read->chunk.error();
    }
    if (const auto* opened = std::get_if<server::SnapshotOpened>(&result)) {
        return opened->place ? nullptr : &opened->place.error();
    }
    if (const auto* verified = std::get_if<server::IncomingVerified>(&result)) {
        return verified->whole ? nullptr : &verified->whole.error();
    }
    const auto* written = std::get_if<server::PieceWritten>(&result);
    return written == nullptr || written->written ? nullptr : &written->written.error();
}

}  // namespace

// ---- connections

void SimNode::on_lane(NodeIndex to, bool is_up) {
    if (up()) {
        flow_->on_lane(world_.safety.id_of(to), is_up);
        carry_out();
    }
}

void SimNode::on_lane_lost(NodeIndex from) {
    if (up()) {
        flow_->on_lane_lost(world_.safety.id_of(from));
        carry_out();
    }
}

void SimNode::on_snapshot_message(NodeIndex from, server::SnapshotMessage message) {
    if (up()) {
        flow_->on_message(world_.safety.id_of(from), std::move(message));
        carry_out();
    }
}

// In the order of the shell: the last word to a member goes before its connection.
void SimNode::carry_out() {
    server::SnapshotEffects effects;
    flow_->take_effects(effects);
    const std::uint32_t life = life_;
    const auto goes_on = [&] { return life == life_ && effect_allowed(); };
    for (server::SnapshotWork& work : effects.work) {
        if (!goes_on()) {
            return;
        }
        snapshot_work_.push_back(std::move(work));
    }
    start_snapshot_work();
    for (auto& [to, message] : effects.send) {
        if (!goes_on()) {
            return;
        }
        world_.lanes.send(index_, world_.safety.index_of(to), std::move(message));
    }
    for (const auto& [to, wanted] : effects.lanes) {
        if (!goes_on()) {
            return;
        }
        world_.lanes.want(index_, world_.safety.index_of(to), wanted);
    }
    for (server::Event& event : effects.events) {
        flow_events_.push_back(std::move(event));
    }
    if (!flow_events_.empty() && !turn_scheduled_) {
        turn_scheduled_ = true;
        after(prng_.below(world_.options.turn_delay_us + 1), NodeEventKind::kTurn);
    }
}

// ---- the disk

void SimNode::start_snapshot_work() {
    if (!snapshot_work_under_way_ && !snapshot_work_.empty()) {
        snapshot_work_under_way_ = true;
        const Time delay = draw_time(prng_, disk_.write_min_us, disk_.write_mean_us);
        after(std::min(delay * disk_factor_, kWriteMaxUs), NodeEventKind::kSnapshotWork);
    }
}

void SimNode::on_snapshot_work() {
    snapshot_work_under_way_ = false;
    server::SnapshotWork work = std::move(snapshot_work_.front());
    snapshot_work_.pop_front();
    ++world_.counters.disk;
    note_work(work);
    const auto* to_install = std::get_if<server::InstallIncoming>(&work);
    std::optional<server::SnapshotResult> result =
        to_install != nullptr ? install(*to_install) : snapshot_disk_->run(std::move(work));
    if (result) {
        check_snapshot_result(*result);
        flow_->on_result(*std::move(result));
    }
    const std::uint32_t life = life_;
    carry_out();
    if (life == life_ && up()) {
        start_snapshot_work();
    }
}

// What ends a reading, or the wait of what was received, as it begins.
void SimNode::note_work(const server::SnapshotWork& work) {
    if (const auto* build = std::get_if<server::BuildSnapshot>(&work)) {
        std::erase(snapshot_readers_, build->to);
    } else if (const auto* drop = std::get_if<server::DropSnapshot>(&work)) {
        std::erase(snapshot_readers_, drop->to);
    } else if (std::holds_alternative<server::DropIncoming>(work) ||
               std::holds_alternative<server::InstallIncoming>(work)) {
        received_waits_ = false;
    }
}

// What may end a piece of work: the disk now, as many others who read as there may be, one that was
// received and waits, bytes that were damaged on their way, and what is kept of an attempt that a
// fault has ended. Each of these counts once, but for the first three.
bool SimNode::is_fair(const server::SnapshotResult& result, const Error& error) {
    const bool is_written = std::holds_alternative<server::PieceWritten>(result);
    if (error.code == Errc::kTooManyRequests) {
        return std::holds_alternative<server::SnapshotBuilt>(result)
                   ? snapshot_readers_.size() >= storage::SnapshotStore::kBuiltMax
                   : std::holds_alternative<server::SnapshotOpened>(result) && received_waits_;
    }
    if (error.code == Errc::kCorrupt && is_written &&
        bad_pieces_ < world_.lanes.damaged_to(index_)) {
        ++bad_pieces_;
        return true;
    }
    const bool is_of_received =
        (error.code == Errc::kCorrupt && is_written) ||
        (error.code == Errc::kIo && std::holds_alternative<server::IncomingVerified>(result));
    return is_excused(error) || (is_of_received && std::exchange(received_in_doubt_, false));
}

// Whether there is doubt about what is kept: none about what is begun anew or was read again.
void SimNode::note_received(const server::SnapshotResult& result) {
    const auto* opened = std::get_if<server::SnapshotOpened>(&result);
    const auto* verified = std::get_if<server::IncomingVerified>(&result);
    if (files_.failures_met() > failures_met_) {
        received_in_doubt_ = true;
    } else if ((opened != nullptr && opened->place &&
                opened->place.value() == storage::SnapshotPlace{}) ||
               (verified != nullptr && verified->whole && verified->whole.value())) {
        received_in_doubt_ = false;
    }
}

void SimNode::check_snapshot_result(const server::SnapshotResult& result) {
    if (const Error* error = error_of(result); error != nullptr && !is_fair(result, *error)) {
        return world_.verdict.fail("S1", fmt::format("node {}: {}", index_, to_string(*error)));
    }
    note_received(result);
    if (const auto* verified = std::get_if<server::IncomingVerified>(&result)) {
        received_waits_ = verified->whole && verified->whole.value();
    }
    if (const auto* built = std::get_if<server::SnapshotBuilt>(&result);
        built != nullptr && built->manifest) {
        check_digest();  // who installs what is of this very moment must come to the same
        if (const auto& whole = built->manifest.value()) {
            snapshot_readers_.push_back(built->to);
            world_.safety.on_built(index_, whole->meta);
        }
    }
}

server::SnapshotResult SimNode::install(const server::InstallIncoming& work) {
    CAIRN_ASSERT(applying_.empty() && !apply_scheduled_);
    const raft::SnapshotMeta& snapshot = work.manifest.meta;
    install_ordered_ = snapshot;
    auto engine = snapshot_disk_->install(work);
    if (!engine) {
        if (!is_excused(engine.error())) {
            world_.verdict.fail("S1", "install: " + to_string(engine.error()));
        }
        stop_due_ = true;
        return server::InstallDone{snapshot, engine.error()};
    }
    const auto replaced = state_->replace(std::move(engine).value());
    if (!replaced || state_->applied_state().applied != snapshot.last) {
        world_.verdict.fail("S1", "the snapshot is not of the index it says");
    }
    note_installed();
    check_digest();
    maybe_collect();
    flow_events_.emplace_back(server::GarbageCollected{state_->collected()});
    return server::InstallDone{snapshot, state_->view()->revision(),
                               state_->applied_state().members};
}

// What was ordered is done, over any crash from now on.
void SimNode::note_installed() {
    world_.safety.on_installed(index_, *install_ordered_);
    state_durable_ = std::max(state_durable_, install_ordered_->last.index);
    engine_began_ = std::move(install_ordered_);
    install_ordered_.reset();
}

// A crash may have come when the engine was replaced already, and nobody had been told.
void SimNode::check_engine(const std::optional<raft::SnapshotMeta>& installed) {
    if (installed && installed == install_ordered_) {
        return note_installed();
    }
    install_ordered_.reset();
    if (installed != engine_began_) {
        world_.verdict.fail("S1", fmt::format("node {}: its engine began as a snapshot that it "
                                              "was not to install, or not as the one it was",
                                              index_));
    }
}

// A crash comes in the middle of it: some first part of its file operations still happens. True
// when that was an install.
bool SimNode::work_during_crash() {
    if (!up() || !snapshot_work_under_way_ || files_.halted() || prng_.chance(1, 4)) {
        return false;
    }
    files_.crash_at(files_.ops() + prng_.between(1, 30));
    const auto* to_install = std::get_if<server::InstallIncoming>(&snapshot_work_.front());
    if (to_install != nullptr) {
        install_ordered_ = to_install->manifest.meta;
        world_.trace.mix(snapshot_disk_->install(*to_install) ? 3 : 4);
    } else {
        world_.trace.mix(snapshot_disk_->run(std::move(snapshot_work_.front())) ? 5 : 6);
    }
    return to_install != nullptr;
}

void SimNode::flush_during_crash() {
    if (up() && !files_.halted() && prng_.chance(1, 6)) {
        check_digest();  // of what may come through the crash in part
        files_.crash_at(files_.ops() + prng_.between(1, 8));
        world_.trace.mix(state_->flush() ? 7 : 8);
    }
}

}  // namespace cairn::sim
