#include "raft/invariants.h"

#include <algorithm>
#include <string>

#include "raft/conf_change.h"
#include "raft/core.h"

namespace cairn::raft {

namespace {

Result<void> require(bool holds, const char* rule) {
    if (!holds) {
        return Error{Errc::kInternal, std::string("raft invariant: ") + rule};
    }
    return ok();
}

Result<void> check_marks(const Log& log) {
    const Log::Marks& marks = log.marks();
    const Index floor = log.floor().last.index;
    CAIRN_TRY(require(floor <= log.flushed(), "floor <= flushed"));
    CAIRN_TRY(require(log.flushed() <= marks.applied, "flushed <= applied"));
    CAIRN_TRY(require(marks.applied <= marks.handed_out, "applied <= handed out"));
    CAIRN_TRY(require(marks.handed_out <= marks.commit, "handed out <= commit"));
    CAIRN_TRY(require(marks.handed_out <= marks.stable, "handed out <= stable"));
    CAIRN_TRY(require(marks.commit <= log.last(), "commit <= last"));
    CAIRN_TRY(require(marks.stable < marks.unsaved_from, "stable < unsaved"));
    return require(marks.unsaved_from <= log.last() + 1, "unsaved <= last + 1");
}

// Recomputed from the entries: terms in order, counters without a leak (reliability rows 42, 43),
// the configuration that which the entries make.
Result<void> check_entries(const Core& core) {
    const Log& log = core.log();
    Term term = log.floor().last.term;
    std::uint64_t all = 0;
    std::uint64_t uncommitted = 0;
    std::uint64_t applying = 0;
    std::uint64_t unflushed = 0;
    ConfState conf = log.floor().conf;
    for (Index index = log.first(); index <= log.last(); ++index) {
        const Entry& entry = log.at(index);
        CAIRN_TRY(require(entry.id.index == index, "an entry stands at its index"));
        CAIRN_TRY(require(entry.id.term >= term, "terms never fall along the log"));
        term = entry.id.term;
        all += entry.cost_bytes();
        uncommitted += index > log.marks().commit ? entry.cost_bytes() : 0;
        unflushed += index > log.flushed() ? entry.cost_bytes() : 0;
        const bool applies = index > log.marks().applied && index <= log.marks().handed_out;
        applying += applies ? entry.cost_bytes() : 0;
        if (entry.kind == EntryKind::kConfig) {
            CAIRN_TRY(const ConfChange change, decode_conf_change(entry.payload));
            CAIRN_TRY(conf, apply_conf_change(conf, change));
        }
    }
    CAIRN_TRY(require(term <= core.term(), "no entry of a later term than the own"));
    CAIRN_TRY(require(all == log.bytes(), "bytes add up"));
    CAIRN_TRY(require(uncommitted == log.uncommitted_bytes(), "uncommitted bytes add up"));
    CAIRN_TRY(require(applying == log.applying_bytes(), "applying bytes add up"));
    CAIRN_TRY(require(unflushed == log.unflushed_bytes(), "unflushed bytes add up"));
    return require(conf == log.conf(), "the configuration is that of the log");
}

// B1. One entry fits whatever the limit is, or nothing would. Bytes in flight are asserted where
// they are counted.
Result<void> check_bounds(const Core& core) {
    const Config& config = core.config();
    const Log& log = core.log();
    const Log::Marks& marks = log.marks();
    CAIRN_TRY(require(
        log.applying_bytes() <= config.apply_bytes_max || marks.handed_out - marks.applied == 1,
        "B1: what is handed out to be applied"));
    if (core.role() != Role::kLeader) {
        return ok();
    }
    // What it found is not of its taking, nor does it ask itself for its changes.
    std::uint64_t proposed_bytes = 0;
    std::uint64_t proposed = 0;
    for (Index index = marks.commit + 1; index <= log.last(); ++index) {
        const Entry& entry = log.at(index);
        if (entry.id.term == core.term() && entry.kind == EntryKind::kCommand) {
            proposed_bytes += entry.cost_bytes();
            ++proposed;
        }
    }
    CAIRN_TRY(require(proposed_bytes <= config.uncommitted_bytes_max || proposed == 1,
                      "B1: proposals that are not committed"));
    for (const Progress& progress : core.tracker().all()) {
        CAIRN_TRY(require(progress.inflights().count() <= config.inflight_count_max,
                          "B1: Appends in flight to one member"));
    }
    return ok();
}

Result<void> check_leader(const Core& core) {
    CAIRN_TRY(require(core.leader() == core.id(), "a leader knows itself"));
    CAIRN_TRY(require(core.vote() == core.id(), "a leader voted for itself"));
    CAIRN_TRY(
        require(core.writes().durable().term == core.term(), "E2: a leader's term is durable"));
    for (const Progress& progress : core.tracker().all()) {
        CAIRN_TRY(require(progress.match() < progress.next(), "match < next"));
        CAIRN_TRY(require(progress.match() <= core.log().last(), "match <= last"));
        if (progress.id() == core.id()) {
            CAIRN_TRY(require(progress.match() <= core.log().marks().stable,
                              "G3: a leader counts itself only as far as it is durable"));
        } else {
            CAIRN_TRY(require(progress.next() <= core.log().last() + 1, "next <= last + 1"));
        }
    }
    return ok();
}

Result<void> check_role(const Core& core) {
    switch (core.role()) {
        case Role::kFollower: return require(core.leader() != core.id(), "a follower is no leader");
        case Role::kPreCandidate: return require(!core.leader(), "a pre-candidate has no leader");
        case Role::kCandidate:
            return require(!core.leader() && core.vote() == core.id(),
                           "a candidate has no leader and voted for itself");
        case Role::kLeader: return check_leader(core);
    }
    return require(false, "a role of the list");
}

}  // namespace

StateMarks state_marks(const Raft& raft) {
    const Core& core = raft.core();
    const Log& log = core.log();
    const Index commit = log.marks().commit;
    return {.hard = raft.hard_state(),
            .durable = raft.durable_hard_state(),
            .role = core.role(),
            .leader = core.leader(),
            .floor = log.floor().last,
            .last = log.last_id(),
            .commit = {log.term_at(commit).value_or(Term{}), commit},
            .stable = log.marks().stable,
            .applied = log.marks().applied};
}

Result<void> check_state(const Raft& raft) {
    const Core& core = raft.core();
    const HardState& durable = core.writes().durable();
    CAIRN_TRY(require(durable.term <= core.term(), "durable term <= term"));
    CAIRN_TRY(require(durable.commit <= core.log().marks().commit, "durable commit <= commit"));
    const bool leaves = core.role() == Role::kLeader && core.tracker().find(core.id()) == nullptr;
    CAIRN_TRY(require(core.role() == Role::kFollower || core.is_electable() || leaves,
                      "E3: only a voter campaigns or leads, but for one that is being removed"));
    CAIRN_TRY(require(core.role() == Role::kFollower || !core.installing(),
                      "nobody campaigns or leads while a snapshot is installed"));
    CAIRN_TRY(check_marks(core.log()));
    CAIRN_TRY(check_role(core));
    CAIRN_TRY(check_bounds(core));
    return check_entries(core);
}

Result<void> check_delta(const StateMarks& before, const Raft& after) {
    const StateMarks now = state_marks(after);
    CAIRN_TRY(require(now.hard.term >= before.hard.term, "E4: the term never falls"));
    CAIRN_TRY(require(now.durable.term >= before.durable.term, "E4: the durable term never falls"));
    const bool same_term = now.hard.term == before.hard.term;
    CAIRN_TRY(require(!same_term || !before.hard.vote || now.hard.vote == before.hard.vote,
                      "E2: one vote in a term"));
    CAIRN_TRY(require(!same_term || before.role != Role::kFollower || now.role != Role::kLeader ||
                          before.hard.vote == now.hard.vote || !before.hard.vote,
                      "E1: nobody leads in a term in which it voted for another"));
    CAIRN_TRY(require(now.hard.commit >= before.hard.commit, "E4: commit never falls"));
    CAIRN_TRY(require(now.applied >= before.applied, "E4: applied never falls"));
    CAIRN_TRY(require(now.floor.index >= before.floor.index, "E4: the floor never falls"));
    const auto still_there = [&](EntryId id) {
        return id.index < now.floor.index || after.entry_id(id.index) == id;
    };
    CAIRN_TRY(require(still_there(before.commit), "C4: what is committed is never truncated"));
    if (same_term && before.role == Role::kLeader && now.role == Role::kLeader) {
        CAIRN_TRY(require(now.last.index >= before.last.index && still_there(before.last),
                          "G2: a leader only appends"));
        CAIRN_TRY(require(now.stable >= before.stable, "a leader's stable mark never falls"));
        CAIRN_TRY(require(now.commit == before.commit || now.commit.term == now.hard.term,
                          "C1: a leader commits by counting entries of its own term only"));
    }
    return ok();
}

}  // namespace cairn::raft
