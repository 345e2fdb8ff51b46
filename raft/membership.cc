// Changes of the configuration: in effect as soon as they are in the log, by joint consensus
// wherever voters change (Raft dissertation §4).
#include <algorithm>

#include "base/buggify.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/conf_change.h"
#include "raft/core.h"

namespace cairn::raft {

namespace {

// A client's view of what makes a change senseless; apply_conf_change is the judge.
Errc refusal_of(const ConfState& conf, const ConfChange& change) {
    switch (change.kind) {
        case ConfChangeKind::kAddVoter:
        case ConfChangeKind::kAddLearner: return Errc::kMemberExists;
        case ConfChangeKind::kRemove:
            return conf.voters == std::vector<NodeId>{change.node} ? Errc::kMemberNotEnoughStarted
                                                                   : Errc::kMemberNotFound;
        case ConfChangeKind::kUpdate: return Errc::kMemberNotFound;
        case ConfChangeKind::kBootstrapVoter:
        case ConfChangeKind::kLeaveJoint: break;
    }
    return Errc::kMalformed;
}

}  // namespace

void Core::after_conf_change() {
    trace(TraceKind::kConfChanged, 0, {}, log_.conf_index());
    tracker_.configure(log_.conf(), log_.last());
    if (at_.role != Role::kLeader) {
        return;
    }
    leading_.appends_due = true;
    lease_.reset();
    if (Progress* own = tracker_.find(config_.id)) {
        own->set_own_match(log_.marks().stable);
    }
    if (transfer_ && !tracker_.is_voter(transfer_->to) && !CAIRN_MUTANT(transfer_to_who_left)) {
        CAIRN_PROBE("raft.transferee_left");
        end_transfer(Errc::kBadLeaderTransferee);
    }
}

bool Core::conf_settled() const {
    return log_.conf_index() <= log_.marks().commit && log_.conf().voters_outgoing.empty();
}

// One change at a time, and none before an entry of the leader's own term is committed: else two
// configurations without a common majority could both be in use (dissertation §4.1, and the erratum
// to it of 2015).
bool Core::takes_conf_change() const {
    return conf_settled() && (committed_in_own_term() || CAIRN_MUTANT(change_before_own_commit));
}

std::optional<Errc> Core::admit_conf(const Bytes& payload) const {
    const Result<ConfChange> change = decode_conf_change(payload);
    if (change.has_error() || change.value().kind == ConfChangeKind::kBootstrapVoter ||
        change.value().kind == ConfChangeKind::kLeaveJoint) {
        return Errc::kMalformed;
    }
    if (!takes_conf_change()) {
        CAIRN_PROBE("raft.second_change_refused");
        return Errc::kTooManyRequests;
    }
    if (apply_conf_change(log_.conf(), change.value()).has_error()) {
        return refusal_of(log_.conf(), change.value());
    }
    return std::nullopt;
}

// Who is about to leave gets no Append any more: it hears by this that its removal is committed,
// and can answer a client that asked for it.
void Core::tell_leavers() {
    const ConfState& conf = log_.conf();
    for (const Progress& progress : tracker_.all()) {
        const auto in = [&](const std::vector<NodeId>& ids) {
            return std::binary_search(ids.begin(), ids.end(), progress.id());
        };
        if (progress.id() != config_.id && !in(conf.voters) && !in(conf.learners) &&
            !in(conf.learners_next)) {
            tell_leaver(progress.id(), progress.match());
        }
    }
}

bool Core::has_just_left(NodeId node) const {
    if (log_.conf_index() <= log_.floor().last.index) {
        return false;
    }
    const ConfState& before = log_.conf_at(log_.conf_index() - 1);
    return std::binary_search(before.voters_outgoing.begin(), before.voters_outgoing.end(), node);
}

void Core::tell_leaver(NodeId node, Index match) {
    send(node, Heartbeat{.commit = std::min(match, log_.marks().commit),
                         .read_round = reads_.round(),
                         .floor = compaction_.cluster_floor});
}

// To be called when commit has moved on a leader.
void Core::maybe_leave_joint() {
    if (log_.conf_index() > log_.marks().commit && !CAIRN_MUTANT(joint_left_uncommitted)) {
        return;
    }
    if (log_.conf().auto_leave && !CAIRN_MUTANT(joint_for_ever)) {
        CAIRN_PROBE("raft.joint_left_by_itself");
        tell_leavers();
        append_own(
            EntryKind::kConfig,
            encode_conf_change({.kind = ConfChangeKind::kLeaveJoint, .node = {}, .context = {}}));
        // Alone, or with the others ahead of the disk here, nobody's answer may be needed.
        maybe_commit();
    }
}

// Also one that its newest configuration leaves out, as long as that may not be committed: the
// others may need just its log to go on (dissertation §4.2.2).
bool Core::is_electable() const {
    if (tracker_.is_voter(config_.id) ||
        (CAIRN_MUTANT(learner_campaigns) && tracker_.find(config_.id) != nullptr)) {
        return true;
    }
    if (log_.conf_index() <= log_.marks().commit || tracker_.find(config_.id) != nullptr) {
        return false;
    }
    CAIRN_PROBE("raft.left_out_and_not_committed");
    const ConfState& before = log_.conf_at(log_.conf_index() - 1);
    const auto has = [&](const std::vector<NodeId>& ids) {
        return std::binary_search(ids.begin(), ids.end(), config_.id);
    };
    return has(before.voters) || has(before.voters_outgoing);
}

// A leader that is not in the configuration any more goes once that is committed (dissertation
// §4.2.2); the member that is furthest need not wait for its election timeout then. To be called
// when the Appends that tell the others have left.
void Core::maybe_retire() {
    if (at_.role != Role::kLeader || tracker_.find(config_.id) != nullptr ||
        (log_.conf_index() > log_.marks().commit && !CAIRN_MUTANT(retired_too_early)) ||
        CAIRN_MUTANT(removed_leader_stays)) {
        return;
    }
    CAIRN_PROBE("raft.leader_removed_itself");
    if (const NodeId heir = best_follower(); heir && !CAIRN_BUGGIFY("raft.no_heir")) {
        send(heir, TimeoutNow{});
    }
    become_follower(at_.term, {});
}

}  // namespace cairn::raft
