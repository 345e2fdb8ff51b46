// What the log no longer holds reaches a member as a snapshot (Raft paper §7). The bytes go their
// own way; the core says who needs one, and what an arrived one does to the log.
#include <algorithm>
#include <utility>

#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

// Whatever snapshot is sent, the log must still reach down to it when it has arrived, or it was
// sent for nothing. One that was built before will do, too, if it lies in the newer half of the
// log.
void Core::want_snapshot(Progress& progress) {
    if (CAIRN_MUTANT(purged_follower_abandoned)) {
        progress.sent(progress.next() - 1, 0, {});
        return;
    }
    const Index floor = log_.floor().last.index;
    const Index at_least = std::min(floor + (log_.last() - floor) / 2, log_.marks().applied);
    progress.become_snapshot(at_least);
    out_.snapshots_wanted.push_back({.to = progress.id(), .at_least = at_least});
    trace(TraceKind::kSnapshotWanted, 0, progress.id(), at_least);
}

void Core::on_snapshot_sent(const SnapshotSent& sent) {
    Progress* progress = tracker_.find(sent.to);
    if (at_.role != Role::kLeader || progress == nullptr) {
        trace(TraceKind::kIgnored, kNotAMessage, sent.to);
        return;
    }
    progress->snapshot_sent(sent.last);
}

void Core::on_install_snapshot(Message& message) {
    SnapshotMeta& snapshot = std::get<InstallSnapshot>(message.body).snapshot;
    if ((at_.leader && at_.leader != message.from) || snapshot.last.term > message.term ||
        !snapshot.last.index || snapshot.conf.voters.empty()) {
        ignore(message);
        return;
    }
    hear_leader(message.from);
    if (installing_) {
        trace(TraceKind::kSnapshotRefused, 0, message.from, snapshot.last.index);
        return;
    }
    // What is committed here is the same everywhere; and where the entry itself is in the log, all
    // before it is too, and what stands behind it may be good (Raft paper figure 13, rule 6).
    const Index last = snapshot.last.index;
    if (last <= log_.marks().commit ||
        (log_.holds(snapshot.last) && !CAIRN_MUTANT(snapshot_drops_good_suffix))) {
        if (last > log_.marks().commit) {
            CAIRN_PROBE("raft.snapshot_within_log");
        } else {
            CAIRN_PROBE("raft.snapshot_not_needed");
        }
        trace(TraceKind::kSnapshotRefused, 0, message.from, last);
        commit_to(last);
        if (!CAIRN_MUTANT(snapshot_refused_in_silence)) {
            acknowledge(message.from, std::max(last, log_.marks().commit));
        }
        return;
    }
    installing_ = true;
    trace(TraceKind::kInstalling, 0, message.from, last);
    out_.install = std::move(snapshot);
}

void Core::on_install_snapshot_as_candidate(Message& message) {
    become_follower(message.term, message.from);
    on_install_snapshot(message);
}

// It is this member's state over any crash already, so nothing here waits for the batch that says
// the same to the log.
void Core::on_snapshot_installed(SnapshotInstalled& installed) {
    CAIRN_ASSERT(installing_ && installed.snapshot.last.index > log_.marks().commit);
    installing_ = false;
    const Index last = installed.snapshot.last.index;
    if (CAIRN_MUTANT(snapshot_conf_forgotten)) {
        installed.snapshot.conf = log_.conf();
    }
    if (log_.last() > last) {
        CAIRN_PROBE("raft.snapshot_replaces_longer_log");
    }
    log_.restart(std::move(installed.snapshot));
    writes_.truncated(Index{1});
    compaction_ = {.wanted = last, .cluster_floor = last, .restart = true, .due = true};
    trace(TraceKind::kInstalled, 0, {}, last);
    after_conf_change();
    if (at_.leader && at_.leader != config_.id) {
        acknowledge(at_.leader, last);
    }
}

}  // namespace cairn::raft
