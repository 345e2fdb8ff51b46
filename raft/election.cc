// Time, pre-votes, votes and roles (Raft paper §5.2, §5.4.1; dissertation §4.2.3, §6.2, §9.6).
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

void Core::on_tick() {
    writes_.tick();
    tick_transfer();
    if (at_.role == Role::kLeader) {
        tick_leader();
    } else {
        tick_follower();
    }
}

void Core::tick_follower() {
    ++at_.election_elapsed;
    if (at_.election_elapsed >= at_.election_timeout) {
        reset_election_timer();
        hup();
    }
}

void Core::tick_leader() {
    ++at_.election_elapsed;
    ++leading_.heartbeat_elapsed;
    for (Progress& progress : tracker_.all()) {
        progress.tick();
    }
    if (is_log_stalled() && tracker_.others_active(config_.election_ticks + 1) &&
        !CAIRN_MUTANT(stalled_leader_stays)) {
        trace(TraceKind::kLogStalled);
        leave_office();
        return;
    }
    if (at_.election_elapsed >= config_.election_ticks) {
        at_.election_elapsed = 0;
        // A leader cut off from its quorum can neither commit nor confirm reads (§6.2).
        if (config_.check_quorum && !tracker_.quorum_active(config_.election_ticks + 1)) {
            CAIRN_PROBE("raft.quorum_lost");
            trace(TraceKind::kQuorumLost);
            become_follower(at_.term, {});
            return;
        }
    }
    if (leading_.heartbeat_elapsed >= config_.heartbeat_ticks) {
        leading_.heartbeat_elapsed = 0;
        leading_.heartbeat_due = true;
        for (Progress& progress : tracker_.all()) {
            progress.allow_nudge();
        }
        maybe_compact();
    }
}

// Nothing becomes durable here, so nothing is applied: clients of this member wait for what the
// others committed long ago, and heartbeats would keep it in office for ever (row 21). Not when the
// next leader would need this member's vote, which waits for the same disk. Who has most of the log
// need not wait for an election timeout.
void Core::leave_office() {
    if (at_.role != Role::kLeader) {
        return;
    }
    if (const NodeId successor = best_follower()) {
        lease_.give_up();
        send(successor, TimeoutNow{});
    }
    become_follower(at_.term, {});
}

void Core::on_campaign() {
    if (at_.role != Role::kLeader) {
        reset_election_timer();
        hup();
    }
}

bool Core::may_campaign() const {
    if (!is_electable() || is_log_stalled() ||
        (installing_ && !CAIRN_MUTANT(campaign_while_installing))) {
        return false;
    }
    // While the disk has not taken the last term yet another election could not be won either;
    // a hung disk must not drive the term up.
    if (writes_.durable().term != at_.term || writes_.durable().vote != at_.vote) {
        return false;
    }
    // A joint configuration that could still be lost here must not be campaigned with (row 16).
    return CAIRN_MUTANT(campaign_with_unstable_joint) || log_.conf().voters_outgoing.empty() ||
           log_.conf_index() <= log_.marks().stable;
}

void Core::hup() {
    const bool promised = lease_.holds_vote() && !tracker_.self_decides();
    if (!may_campaign() || promised) {
        CAIRN_PROBE("raft.may_not_campaign");
        // It may not stand itself, but it must not stand up for a dead leader either (in_lease).
        set_leader({});
        trace(TraceKind::kIgnored, kNotAMessage);
        return;
    }
    if (config_.pre_vote) {
        start_pre_vote();
    } else {
        start_vote(Campaigning::kVote);
    }
}

void Core::start_pre_vote() {
    at_.role = Role::kPreCandidate;
    set_leader({});
    tracker_.clear_votes();
    tracker_.record_vote(config_.id, true);
    trace(TraceKind::kBecame, static_cast<std::uint16_t>(at_.role));
    const Term asked = at_.term + 1;
    for (const Progress& member : tracker_.all()) {
        if (member.id() != config_.id && tracker_.is_voter(member.id())) {
            send_in_term(member.id(), asked, PreVote{.last = log_.last_id()});
        }
    }
    finish_pre_vote();
}

void Core::start_vote(Campaigning how) {
    enter_term(at_.term + 1);
    at_.vote = config_.id;
    at_.role = Role::kCandidate;
    set_leader({});
    reset_election_timer();
    tracker_.clear_votes();
    trace(TraceKind::kBecame, static_cast<std::uint16_t>(at_.role));
    // Its own vote counts like any other: once it is durable. It comes back from Persisted.
    send(config_.id, VoteReply{.granted = true});
    const Vote request{.last = log_.last_id(), .transfer = how == Campaigning::kTransfer};
    for (const Progress& member : tracker_.all()) {
        if (member.id() != config_.id && tracker_.is_voter(member.id())) {
            send(member.id(), request);
        }
    }
    if (CAIRN_MUTANT(own_vote_before_durable)) {
        tracker_.record_vote(config_.id, true);
        finish_vote();
    }
}

void Core::finish_pre_vote() {
    switch (tracker_.vote_result()) {
        case VoteResult::kWon: start_vote(Campaigning::kVote); break;
        case VoteResult::kLost: become_follower(at_.term, {}); break;
        case VoteResult::kPending: break;
    }
}

void Core::finish_vote() {
    switch (tracker_.vote_result()) {
        case VoteResult::kWon: become_leader(); break;
        case VoteResult::kLost:
            CAIRN_PROBE("raft.election_lost");
            become_follower(at_.term, {});
            break;
        case VoteResult::kPending: break;
    }
}

// Raft paper §5.4.1: the log whose last entry has the later term, then the longer one. EntryId
// compares in this order.
bool Core::is_up_to_date(EntryId last) const {
    return CAIRN_MUTANT(vote_by_log_length) ? last.index >= log_.last() : last >= log_.last_id();
}

bool Core::may_vote_for(NodeId candidate) const {
    return at_.vote == candidate || CAIRN_MUTANT(vote_twice) || (!at_.vote && !at_.leader);
}

// A member votes whatever its own configuration says of it: that may be older than the
// candidate's (reliability row 15).
void Core::on_pre_vote(Message& message) {
    // Nobody is told to stand whom this member's vote would not reach: terms would climb for
    // nothing.
    const bool granted = !is_log_stalled() && is_up_to_date(std::get<PreVote>(message.body).last) &&
                         (message.term > at_.term || may_vote_for(message.from));
    send_in_term(message.from, granted ? message.term : at_.term, PreVoteReply{.granted = granted});
    trace(granted ? TraceKind::kVoteGranted : TraceKind::kVoteRefused,
          static_cast<std::uint16_t>(MessageKind::kPreVote), message.from);
}

void Core::on_pre_vote_reply(Message& message) {
    const bool granted = std::get<PreVoteReply>(message.body).granted;
    if (granted && message.term != at_.term + 1) {
        ignore(message);
        return;
    }
    tracker_.record_vote(message.from, granted);
    finish_pre_vote();
}

void Core::on_vote(Message& message) {
    // A promise outlives the term it was given in: that may have come without a vote.
    const bool promised = lease_.holds_vote() && !may_depose(message);
    const bool granted = !promised && may_vote_for(message.from) &&
                         is_up_to_date(std::get<Vote>(message.body).last) &&
                         !(CAIRN_MUTANT(learner_refuses_to_vote) && !tracker_.is_voter(config_.id));
    if (granted) {
        if (at_.role == Role::kPreCandidate) {
            CAIRN_PROBE("raft.pre_candidate_votes");
            become_follower(at_.term, {});
        }
        at_.vote = message.from;
        at_.election_elapsed = 0;
    }
    if (!granted && may_vote_for(message.from)) {
        CAIRN_PROBE("raft.vote_refused_for_log");
    }
    send(message.from, VoteReply{.granted = granted});
    trace(granted ? TraceKind::kVoteGranted : TraceKind::kVoteRefused,
          static_cast<std::uint16_t>(MessageKind::kVote), message.from);
}

void Core::on_vote_reply(Message& message) {
    tracker_.record_vote(message.from, std::get<VoteReply>(message.body).granted);
    finish_vote();
}

void Core::become_follower(Term term, NodeId leader) {
    leave_role();
    if (term > at_.term) {
        enter_term(term);
    }
    at_.role = Role::kFollower;
    set_leader(leader);
    tracker_.clear_votes();
    reset_election_timer();
    trace(TraceKind::kBecame, static_cast<std::uint16_t>(at_.role), leader);
}

void Core::become_leader() {
    at_.role = Role::kLeader;
    set_leader(config_.id);
    at_.election_elapsed = 0;
    leading_ = {};
    leading_.appends_due = true;
    tracker_.reset(log_.last());
    if (Progress* own = tracker_.find(config_.id)) {
        own->set_own_match(CAIRN_MUTANT(noop_counted_early) ? log_.last() + 1
                                                            : log_.marks().stable);
    }
    reads_.reset();
    lease_.begin_term();
    window_.reset();
    trace(TraceKind::kBecame, static_cast<std::uint16_t>(at_.role), config_.id);
    // Raft paper §8: an entry of its own term tells it what is committed.
    append_own(EntryKind::kNoop, {});
}

// What only a leader has ends with its leadership.
void Core::leave_role() {
    if (at_.role != Role::kLeader) {
        return;
    }
    refuse_pending_reads();
    leading_ = {};
}

// Never called for a term that is not above the current one: the vote starts anew.
void Core::enter_term(Term term) {
    CAIRN_ASSERT(term > at_.term);
    at_.term = term;
    at_.vote = {};
    writes_.drop_below(term, scratch_.messages);
    for (Message& message : scratch_.messages) {
        CAIRN_PROBE("raft.withheld_message_dropped");
        lost_before_sending(message);
    }
    scratch_.messages.clear();
    // They were bound to the term that has just ended (Message::term of a forward).
    for (const Forwarded& forward : forwards_) {
        refuse_proposal(forward.id, Errc::kLeaderChanged);
    }
    forwards_.clear();
}

void Core::set_leader(NodeId leader) {
    if (leader == at_.leader) {
        return;
    }
    at_.leader = leader;
    if (transfer_ && leader) {
        CAIRN_PROBE("raft.transfer_ends_with_leader");
        end_transfer(leader == transfer_->to ? std::nullopt
                                             : std::optional(Errc::kTimeoutLeaderTransfer));
    }
    for (const Forwarded& forward : forwards_) {
        refuse_proposal(forward.id, Errc::kLeaderChanged);
    }
    forwards_.clear();
}

void Core::reset_election_timer() {
    at_.election_elapsed = 0;
    at_.election_timeout = config_.election_ticks +
                           (CAIRN_MUTANT(same_timeouts)
                                ? 0U
                                : static_cast<std::uint32_t>(prng_.below(config_.election_ticks)));
}

}  // namespace cairn::raft
