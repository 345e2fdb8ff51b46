// SimNode, second half: its state machine, and what it says of itself.
#include <array>
#include <utility>

#include <fmt/format.h>

#include "sim/sim_node.h"

namespace cairn::sim {

// ---- the state machine

void SimNode::sabotage_entries(std::vector<raft::Entry>& entries) const {
    for (std::size_t at = 0; at < entries.size(); ++at) {
        raft::Entry& entry = entries[at];
        if (entry.kind != raft::EntryKind::kCommand || entry.id.index.value % 37 != 0) {
            continue;
        }
        if (sabotaged(Sabotage::kSkipApply) && index_ == 0) {
            entry.kind = raft::EntryKind::kNoop;
            entry.payload = Bytes{};
        }
        const Index before = entry.id.index - 1;
        const auto& log = world_.safety.applied_log();
        if (sabotaged(Sabotage::kApplyTwice) && before.value > 0 &&
            log[before.value - 1].kind == raft::EntryKind::kCommand) {
            entry.payload = log[before.value - 1].payload;
        }
    }
}

void SimNode::on_apply_run() {
    world_.safety.on_apply(index_, applying_);
    if (world_.verdict.failed()) {
        return;
    }
    sabotage_entries(applying_);
    auto output = state_->apply(applying_);
    if (!output) {
        return world_.verdict.fail(
            "D2", fmt::format("node {}: apply: {}", index_, to_string(output.error())));
    }
    applying_.clear();
    applied_ = std::move(output).value();
    check_events(*applied_);
    world_.safety.on_revisions(index_, applied_->applied.index,
                               {.newest = applied_->revision, .compacted = applied_->compacted});
    if (applied_->applied.index.value % world_.options.digest_every == 0) {
        check_digest();
    }
    maybe_collect();
    if (prng_.chance(1, 2)) {
        return on_apply_done();
    }
    after(draw_time(prng_, 1, disk_.apply_mean_us), NodeEventKind::kApplyDone);
}

void SimNode::on_apply_done() {
    apply_scheduled_ = false;
    server::StateApplied event{.output = std::move(*applied_)};
    applied_.reset();
    step(std::move(event));
}

// What each revision changed must be the same on all members.
void SimNode::check_events(const storage::ApplyOutput& output) {
    for (const auto& batch : output.events) {
        TraceHash hash;
        for (const storage::mvcc::Event& event : batch->events) {
            for (const storage::mvcc::KeyValue* kv : {&event.kv, &event.prev_kv}) {
                hash.mix(hash_bytes(kv->key.data(), kv->key.size(), 1));
                hash.mix(hash_bytes(kv->value.data(), kv->value.size(), 2));
                hash.mix(static_cast<std::uint64_t>(kv->create_revision));
                hash.mix(static_cast<std::uint64_t>(kv->mod_revision));
                hash.mix(static_cast<std::uint64_t>(kv->version));
            }
            hash.mix(static_cast<std::uint64_t>(event.kind));
        }
        world_.safety.on_events(index_, batch->revision, hash.value());
    }
}

std::uint64_t SimNode::digest() const {
    const auto view = state_->view();
    const auto hash = view->hash_kv(0);
    const auto members = view->members();
    const auto removed = view->removed_members();
    const auto alarms = view->alarms();
    if (!hash || !members || !removed || !alarms) {
        world_.verdict.fail("D3", fmt::format("node {}: its state cannot be read", index_));
        return 0;
    }
    TraceHash digest;
    digest.mix(hash.value().hash);
    digest.mix(static_cast<std::uint64_t>(view->revision()));
    digest.mix(static_cast<std::uint64_t>(view->compacted()));
    const auto mix_all = [&](const auto& messages) {
        digest.mix(messages.size());
        for (const auto& message : messages) {
            const std::string bytes = message.SerializeAsString();
            digest.mix(hash_bytes(bytes.data(), bytes.size(), 3));
        }
    };
    mix_all(members.value());
    mix_all(alarms.value());
    digest.mix(removed.value().size());
    for (const NodeId id : removed.value()) {
        digest.mix(id.value);
    }
    return digest.value();
}

void SimNode::check_digest() {
    const auto view = state_->view();
    const Index applied = view->applied().index;
    const std::uint64_t all = digest();
    world_.trace.mix(all);
    world_.safety.on_digest(index_, applied, all);
    world_.safety.on_revisions(index_, applied,
                               {.newest = view->revision(), .compacted = view->compacted()});
}

Pending SimNode::pending() const {
    const server::SnapshotStats& snapshots = flow_->stats();
    return {.writes = writes_.size(),
            .applies = apply_scheduled_ ? 1U : 0U,
            .calls = open_calls_,
            .reads = reads_.size(),
            .proposals = view().proposals_pending,
            .collections = collect_scheduled_ ? 1U : 0U,
            .snapshot_work = snapshot_work_.size() + flow_events_.size(),
            .sending = snapshots.sending,
            .receiving = snapshots.receiving,
            .installing = snapshots.installing ? 1U : 0U};
}

std::string SimNode::last_events() const {
    static constexpr std::array kNames = {"tick",        "clock",    "receive",   "submit",
                                          "submit-read", "cancel",   "persisted", "storage-failed",
                                          "applied",     "flushed",  "collected", "peer-lost",
                                          "transfer",    "snapshot", "installed", "shutdown"};
    static_assert(kNames.size() == std::variant_size_v<server::Event>);
    constexpr std::size_t kShown = 24;
    std::string out = status_line() + "\n";
    if (!up()) {
        return out;
    }
    const std::vector<TraceEvent> events = replica_->recent_events();
    for (std::size_t at = events.size() > kShown ? events.size() - kShown : 0; at < events.size();
         ++at) {
        const TraceEvent& event = events[at];
        out += fmt::format("    tick {:>4} {:<12} detail {:>2} peer {:>5x} term {:>3} index {}\n",
                           event.arg, kNames[event.kind], event.detail, event.peer.value,
                           event.term.value, event.index.value);
    }
    return out;
}

std::string SimNode::status_line() const {
    if (!up()) {
        return fmt::format("node {} down", index_);
    }
    const server::NodeView& view = replica_->view();
    return fmt::format(
        "node {} {} term {:>3} leader {:>5x} commit {:>5} applied {:>5} last {:>5} "
        "pending {:>3}",
        index_, view.is_leader ? 'L' : 'f', view.term.value, view.leader.value, view.commit.value,
        view.applied.value, view.last.value, view.proposals_pending);
}

}  // namespace cairn::sim
