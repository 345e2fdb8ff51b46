// SafetyChecker: what a start finds in the log (D2), also when the disk was damaged (D5).
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/check_safety.h"

namespace cairn::sim {
namespace {

std::string describe(const raft::HardState& state) {
    return fmt::format("term {} vote {:x} commit {}", state.term.value, state.vote.value,
                       state.commit.value);
}

std::string describe(const raft::PersistBatch& batch) {
    std::string out = batch.restart ? "restart" : "";
    if (batch.hard_state) {
        out += describe(*batch.hard_state);
    }
    if (batch.floor) {
        out += fmt::format(" floor {}", batch.floor->last.index.value);
    }
    if (!batch.entries.empty()) {
        out += fmt::format(" entries {} to {}", batch.entries.front().id.index.value,
                           batch.entries.back().id.index.value);
    }
    return out;
}

}  // namespace

// The log found must be the durable one with some first part of what was being written (D2): what
// was reported as durable is there, and nothing that was never asked for.
std::optional<SafetyChecker::Found> SafetyChecker::match(NodeIndex node,
                                                         const raft::Recovered& recovered) const {
    const Node& it = nodes_[node];
    ShadowLog expected = it.durable;
    std::optional<Found> found;
    for (std::size_t written = 0; written <= it.in_flight.size(); ++written) {
        if (written > 0) {
            apply_batch(expected, it.in_flight[written - 1]);
        }
        ShadowLog candidate = expected;
        if (candidate.replace(recovered) && candidate.same_as(expected)) {
            found = Found{.log = expected, .written = written};
        }
    }
    return found;
}

bool SafetyChecker::finds(NodeIndex node, const raft::Recovered& recovered) const {
    return match(node, recovered).has_value();
}

void SafetyChecker::on_start(NodeIndex node, const raft::Recovered& recovered, Index applied) {
    Node& it = nodes_[node];
    std::optional<Found> found = match(node, recovered);
    if (!found) {
        std::string in_flight;
        for (const raft::PersistBatch& batch : it.in_flight) {
            in_flight += "; in flight: " + describe(batch);
        }
        fail("D2", node,
             fmt::format("the log found is not the one written: {} last {} floor {}, durable was "
                         "{} last {} floor {}{}",
                         describe(recovered.hard_state),
                         recovered.floor.last.index.value + recovered.entries.size(),
                         recovered.floor.last.index.value, describe(it.durable.hard_state()),
                         it.durable.last().value, it.durable.floor().value, in_flight));
        return;
    }
    if (recovered.floor.last.index && !is_committed(recovered.floor)) {
        return fail("S1", node,
                    fmt::format("its log begins at {}, and not with what is committed there",
                                recovered.floor.last.index.value));
    }
    if (found->written > 0) {
        note_newest(it, found->written);
    }
    it.durable = found->log;
    it.wanted = std::move(found->log);
    it.in_flight.clear();
    it.applied = applied;
    // Not its commit index: the first turn is to be held against the log that was found (C3).
    it.facts = NodeFacts{.applied = applied};
    it.turn_conf = it.durable.conf();
    it.up = true;
    check_vote(node, it.durable.hard_state());
}

SafetyChecker::Marks SafetyChecker::marks_after(Marks marks, const raft::PersistBatch& batch) {
    return {.hard_state = batch.hard_state.value_or(marks.hard_state),
            .floor = batch.floor ? batch.floor->last.index : marks.floor};
}

void SafetyChecker::note_newest(Node& it, std::size_t count) {
    it.kept_last = it.durable.last();
    it.newest_marks = {{.hard_state = it.durable.hard_state(), .floor = it.durable.floor()}};
    for (std::size_t at = 0; at < count; ++at) {
        const raft::PersistBatch& batch = it.in_flight[at];
        if (!batch.entries.empty()) {
            it.kept_last = std::min(it.kept_last, batch.entries.front().id.index - 1);
        }
        if (batch.restart) {  // above what was committed there may have been others
            it.kept_last = std::min(it.kept_last, it.durable.hard_state().commit);
        }
        it.newest_marks.push_back(marks_after(it.newest_marks.back(), batch));
    }
}

void SafetyChecker::check_damage(NodeIndex node, const raft::Recovered& recovered) {
    const Node& it = nodes_[node];
    const Index sure = it.kept_last;
    const Index last = recovered.floor.last.index + recovered.entries.size();
    if (last < sure) {
        return fail("D5", node,
                    fmt::format("damage cut the log off at {} without a word, {} was durable "
                                "before the newest write",
                                last.value, sure.value));
    }
    ShadowLog found = it.durable;
    if (!found.replace(recovered) || found.at(sure).prefix != it.durable.at(sure).prefix) {
        return fail(
            "D5", node,
            fmt::format("damage altered the log at or below {} without a word", sure.value));
    }
    // As some write has left it, and none that is older than the newest but one.
    std::vector<Marks> right = it.newest_marks;
    for (const raft::PersistBatch& batch : it.in_flight) {
        right.push_back(marks_after(right.back(), batch));
    }
    const Marks marks{.hard_state = recovered.hard_state, .floor = recovered.floor.last.index};
    if (std::find(right.begin(), right.end(), marks) == right.end()) {
        fail("D5", node,
             fmt::format("damage made term {} vote {:x} commit {} floor {} without a word",
                         marks.hard_state.term.value, marks.hard_state.vote.value,
                         marks.hard_state.commit.value, marks.floor.value));
    }
}

void SafetyChecker::on_crash(NodeIndex node) { nodes_[node].up = false; }

}  // namespace cairn::sim
