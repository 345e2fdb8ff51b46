// The log's way from the leader to its followers (Raft paper §5.3, §5.4.2; dissertation §10.2.1).
#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/buggify.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

void Core::hear_leader(NodeId leader) {
    set_leader(leader);
    at_.election_elapsed = 0;
}

bool Core::is_sound(const Append& append, Term term) const {
    Index expected = append.prev.index + 1;
    Term floor = append.prev.term;
    for (const Entry& entry : append.entries) {
        if (entry.id.index != expected || entry.id.term < floor || !entry.id.term) {
            return false;
        }
        ++expected;
        floor = entry.id.term;
    }
    return floor <= term &&
           static_cast<bool>(append.prev.index) == static_cast<bool>(append.prev.term);
}

void Core::on_append(Message& message) {
    auto& append = std::get<Append>(message.body);
    if ((at_.leader && at_.leader != message.from) || !is_sound(append, message.term)) {
        ignore(message);
        return;
    }
    hear_leader(message.from);
    if (installing_ || (!append.entries.empty() && is_flush_behind())) {
        CAIRN_PROBE("raft.append_while_installing");
        ignore(message);
        return;
    }
    // Below the floor everything is committed, so it is the same everywhere (row 48).
    if ((append.prev.index >= log_.floor().last.index || CAIRN_MUTANT(purged_prev_is_conflict)) &&
        !log_.holds(append.prev)) {
        const EntryId hint = log_.last_not_above(append.prev);
        if (hint.index < log_.last()) {
            CAIRN_PROBE("raft.conflict_hint_goes_back");
        }
        trace(TraceKind::kAppendRejected, 0, message.from, append.prev.index);
        send(message.from,
             AppendReply{
                 .success = false, .match = {}, .rejected = append.prev.index, .hint = hint});
        return;
    }
    // The end of this very message, not of the log: a suffix behind it may not be the leader's
    // (rows 31 and 32).
    const Index end = std::max(append.prev.index + append.entries.size(), log_.floor().last.index);
    if (Result<void> taken = append_after_match(append); taken.has_error()) {
        out_.halt = std::move(taken).error();
        return;
    }
    commit_to(std::min(append.commit, CAIRN_MUTANT(commit_beyond_the_append) ? log_.last() : end));
    acknowledge(message.from, CAIRN_MUTANT(ack_of_the_whole_log) ? log_.last() : end);
}

// The engine has not flushed more than the log may hold for that: entries must wait for it,
// wherever they come from, as long as there is anything that it could flush: what is not committed
// is taken, or the leader could never commit it. Appends without any go on bringing the commit
// index.
bool Core::is_flush_behind() const {
    return log_.unflushed_bytes() > config_.unflushed_bytes_max &&
           log_.marks().commit > log_.flushed();
}

// Fails, without a change, when the entries cannot be taken: they contradict what is committed, so
// that somebody has lost data, or carry a configuration this build does not understand. Going on
// without them would leave this member behind for ever, without a word.
Result<void> Core::append_after_match(Append& append) {
    const auto first_new =
        std::find_if(append.entries.begin(), append.entries.end(), [&](const Entry& entry) {
            return entry.id.index >= log_.floor().last.index && !log_.holds(entry.id);
        });
    if (first_new == append.entries.end()) {
        if (const Index end = append.prev.index + append.entries.size();
            CAIRN_MUTANT(stale_append_truncates) && end >= log_.marks().commit &&
            end < log_.last()) {
            log_.truncate(end + 1);
            writes_.truncated(end + 1);
        }
        return ok();
    }
    const std::span<Entry> fresh(first_new, append.entries.end());
    const Index from = fresh.front().id.index;
    if (from <= log_.marks().commit) {
        return Error{Errc::kCorrupt,
                     "raft: the leader contradicts what is committed here at index " +
                         std::to_string(from.value)};
    }
    CAIRN_TRY(log_.check_confs(from - 1, fresh));
    const Index conf_before = log_.conf_index();
    if (from <= log_.last()) {
        CAIRN_PROBE("raft.log_truncated");
        trace(TraceKind::kTruncated, 0, {}, from);
        log_.truncate(from);
        writes_.truncated(from);
    }
    bool conf_changed = log_.conf_index() != conf_before;
    if (conf_changed) {
        CAIRN_PROBE("raft.conf_truncated");
    }
    for (Entry& entry : fresh) {
        conf_changed = conf_changed || entry.kind == EntryKind::kConfig;
        const auto appended = log_.append(std::move(entry));
        CAIRN_ASSERT(appended.has_value());
    }
    if (conf_changed) {
        after_conf_change();
    }
    return ok();
}

// Withheld until the entries are durable here.
void Core::acknowledge(NodeId leader, Index match) {
    send(leader, AppendReply{.success = true, .match = match, .rejected = {}, .hint = {}});
}

void Core::on_append_as_candidate(Message& message) {
    become_follower(message.term, message.from);
    on_append(message);
}

void Core::on_heartbeat(Message& message) {
    const auto& heartbeat = std::get<Heartbeat>(message.body);
    // The leader sends no commit index above what it knows to be here.
    if ((at_.leader && at_.leader != message.from) || heartbeat.commit > log_.last()) {
        ignore(message);
        return;
    }
    hear_leader(message.from);
    if (!installing_) {
        commit_to(heartbeat.commit);
    }
    compaction_.cluster_floor = std::max(compaction_.cluster_floor, heartbeat.floor);
    maybe_compact();
    lease_.promise();
    send(message.from,
         HeartbeatReply{.read_round = heartbeat.read_round, .promise_ns = lease_.promise_ns()});
}

void Core::on_heartbeat_as_candidate(Message& message) {
    become_follower(message.term, message.from);
    on_heartbeat(message);
}

void Core::on_append_reply(Message& message) {
    const auto& reply = std::get<AppendReply>(message.body);
    Progress* progress = tracker_.find(message.from);
    if (progress == nullptr && reply.success && reply.match <= log_.last() &&
        has_just_left(message.from)) {
        CAIRN_PROBE("raft.leaver_told_late");
        tell_leaver(message.from, reply.match);
        return;
    }
    if (progress == nullptr || reply.match > log_.last()) {
        ignore(message);
        return;
    }
    progress->heard();
    bool moved = false;
    if (reply.success) {
        moved = progress->acked(reply.match, log_.floor().last.index);
    } else {
        moved = progress->refused(reply.rejected, log_.last_not_above(reply.hint).index);
        if (moved) {
            trace(TraceKind::kAppendRejected, 0, message.from, reply.rejected);
        }
    }
    if (!moved) {
        return;
    }
    leading_.appends_due = true;
    maybe_commit();
    // It may have left a joint configuration, and with it forgotten members.
    if (const Progress* still = tracker_.find(message.from)) {
        maybe_ask_transferee(*still);
    }
}

void Core::on_heartbeat_reply(Message& message) {
    const auto& reply = std::get<HeartbeatReply>(message.body);
    Progress* progress = tracker_.find(message.from);
    if (progress == nullptr || reply.read_round > reads_.round()) {
        ignore(message);
        return;
    }
    progress->heard();
    progress->confirmed(CAIRN_MUTANT(old_answer_confirms_reads) ? reads_.round()
                                                                : reply.read_round);
    if (lease_.suffices(reply.promise_ns)) {
        progress->promised(reply.read_round);
        lease_.confirmed(tracker_.promised_round(reads_.round()));
    }
    if (progress->match() < log_.last() && !CAIRN_MUTANT(lost_append_never_noticed) &&
        progress->take_nudge()) {
        CAIRN_PROBE("raft.follower_nudged");
        // Appends or their answers may have been lost: an Append, even empty, finds out (row 44).
        // Not at each answer, for each round of reads has one.
        progress->nudge();
        leading_.appends_due = true;
    }
    maybe_ask_transferee(*progress);
    grant_reads(CAIRN_MUTANT(read_without_quorum) ? reads_.round()
                                                  : tracker_.confirmed_round(reads_.round()));
}

// Raft paper §5.4.2 and figure 8: only an entry of the leader's own term is committed by counting;
// those before it are committed with it.
void Core::maybe_commit() {
    const Index agreed = tracker_.committed();
    if (agreed <= log_.marks().commit) {
        return;
    }
    if (log_.term_at(agreed) != at_.term && !CAIRN_MUTANT(commit_of_an_older_term)) {
        CAIRN_PROBE("raft.older_term_not_committed");
        return;
    }
    commit_to(agreed);
    leading_.appends_due = true;
    maybe_leave_joint();
}

void Core::commit_to(Index index) {
    if (index > log_.marks().commit) {
        log_.commit_to(index);
        trace(TraceKind::kCommitted, 0, {}, index);
    }
}

void Core::append_own(EntryKind kind, Bytes payload) {
    const auto appended = log_.append(
        {.id = {at_.term, log_.last() + 1}, .kind = kind, .payload = std::move(payload)});
    CAIRN_ASSERT(appended.has_value());
    leading_.appends_due = true;
    if (kind == EntryKind::kConfig) {
        after_conf_change();
    }
}

void Core::flush_heartbeats() {
    if (!leading_.heartbeat_due) {
        return;
    }
    leading_.heartbeat_due = false;
    if (lease_.enabled()) {
        // An answer tells only that the question had been asked: so each has a number of its own.
        lease_.asked(reads_.next_round());
    }
    for (const Progress& progress : tracker_.all()) {
        if (progress.id() != config_.id) {
            send(progress.id(), Heartbeat{.commit = std::min(progress.match(), log_.marks().commit),
                                          .read_round = reads_.round(),
                                          .floor = compaction_.cluster_floor});
        }
    }
}

void Core::flush_appends() {
    if (!leading_.appends_due) {
        return;
    }
    leading_.appends_due = false;
    for (Progress& progress : tracker_.all()) {
        while (progress.id() != config_.id &&
               progress.wants_append(log_.last(), log_.marks().commit)) {
            send_append(progress);
        }
    }
}

void Core::send_append(Progress& progress) {
    const Index prev = progress.next() - 1;
    const std::optional<Term> prev_term = log_.term_at(prev);
    const bool snapshot_will_do = log_.marks().applied > progress.match();
    if ((!prev_term && !CAIRN_MUTANT(append_below_the_floor)) ||
        (snapshot_will_do && CAIRN_BUGGIFY("raft.snapshot_for_an_append"))) {
        want_snapshot(progress);
        return;
    }
    Append append{
        .prev = {prev_term.value_or(Term{}), prev}, .commit = log_.marks().commit, .entries = {}};
    std::uint64_t bytes = 0;
    if (progress.may_carry_entries()) {
        const std::uint64_t bytes_max =
            CAIRN_BUGGIFY("raft.append_of_one") ? 1 : config_.append_bytes_max;
        bytes = log_.copy_from(prev + 1, bytes_max, append.entries);
    }
    const Index end = prev + append.entries.size();
    progress.sent(end, bytes, append.commit);
    send(progress.id(), std::move(append));
}

void Core::on_peer_unreachable(NodeId node) {
    Progress* progress = tracker_.find(node);
    if (at_.role == Role::kLeader && progress != nullptr && node != config_.id) {
        if (!CAIRN_MUTANT(unreachable_stays_streaming)) {
            progress->unreachable();
        }
    }
}

// The floor of the log is the least of what this member has flushed and what everybody has, but no
// member is waited for beyond the limits of Config.
void Core::maybe_compact() {
    if (installing_ || CAIRN_BUGGIFY("raft.compacts_later")) {
        return;
    }
    if (at_.role == Role::kLeader) {
        // It falls when somebody is added, who lacks everything.
        compaction_.cluster_floor = std::min(tracker_.least_match(), log_.marks().commit);
    }
    const Index floor =
        std::min({compaction_.wanted, kept_floor(), log_.marks().applied, log_.marks().stable,
                  log_.floor().last.index + config_.compact_entries_max});
    if (floor > log_.floor().last.index) {
        log_.compact(floor);
        compaction_.due = true;
        trace(TraceKind::kCompacted, 0, {}, floor);
    }
}

// The lowest floor that serves the others: what all have need not be kept, nor what goes beyond the
// limits; a member on its way behind a snapshot has a larger one.
Index Core::kept_floor() {
    const Index limit = log_.floor_within(config_.log_bytes_max, config_.log_entries_max);
    Index kept = std::max(compaction_.cluster_floor, limit);
    if (at_.role != Role::kLeader || kept == compaction_.cluster_floor) {
        return kept;
    }
    const Index last_resort =
        log_.floor_within(std::max(config_.catch_up_bytes_max, config_.log_bytes_max),
                          std::max(config_.catch_up_entries_max, config_.log_entries_max));
    for (Progress& progress : tracker_.all()) {
        const std::optional<Index> from = progress.catching_up_from();
        if (!from) {
            continue;
        }
        if (progress.state() == ProgressState::kReplicate && *from >= limit) {
            progress.caught_up();
        } else {
            if (*from < last_resort) {
                CAIRN_PROBE("raft.catch_up_limit_reached");
            }
            kept = std::max(std::min(kept, *from), last_resort);
        }
    }
    return kept;
}

}  // namespace cairn::raft
