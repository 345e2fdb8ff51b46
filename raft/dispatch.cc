// Messages from other members: the term gate, then one handler for each role and kind.
#include <array>
#include <cstddef>

#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

namespace {

constexpr std::size_t kKinds = kMessageKindCount;

}  // namespace

Core::Handler Core::handler_of(MessageKind kind, Role role) {
    struct Row {
        MessageKind kind;
        std::array<Handler, kRoleCount> by_role;  // follower, pre-candidate, candidate, leader
    };
    // A message that means nothing to a role: stale, or from one that does not keep to Raft.
    constexpr Handler kNone = nullptr;
    using C = Core;
    static constexpr std::array<Row, kKinds> kTable{{
        {MessageKind::kPreVote,
         {&C::on_pre_vote, &C::on_pre_vote, &C::on_pre_vote, &C::on_pre_vote}},
        {MessageKind::kPreVoteReply, {kNone, &C::on_pre_vote_reply, kNone, kNone}},
        {MessageKind::kVote, {&C::on_vote, &C::on_vote, &C::on_vote, &C::on_vote}},
        {MessageKind::kVoteReply, {kNone, kNone, &C::on_vote_reply, kNone}},
        {MessageKind::kAppend,
         {&C::on_append, &C::on_append_as_candidate, &C::on_append_as_candidate, kNone}},
        {MessageKind::kAppendReply, {kNone, kNone, kNone, &C::on_append_reply}},
        {MessageKind::kHeartbeat,
         {&C::on_heartbeat, &C::on_heartbeat_as_candidate, &C::on_heartbeat_as_candidate, kNone}},
        {MessageKind::kHeartbeatReply, {kNone, kNone, kNone, &C::on_heartbeat_reply}},
        {MessageKind::kTimeoutNow, {&C::on_timeout_now, kNone, kNone, kNone}},
        {MessageKind::kForwardProposals, {kNone, kNone, kNone, &C::on_forward_proposals}},
        {MessageKind::kForwardRefused,
         {&C::on_forward_refused, &C::on_forward_refused, &C::on_forward_refused,
          &C::on_forward_refused}},
        {MessageKind::kReadIndexRequest,
         {&C::refuse_read_index_request, &C::refuse_read_index_request,
          &C::refuse_read_index_request, &C::on_read_index_request}},
        {MessageKind::kReadIndexReply,
         {&C::on_read_index_reply, &C::on_read_index_reply, &C::on_read_index_reply,
          &C::on_read_index_reply}},
        {MessageKind::kInstallSnapshot,
         {&C::on_install_snapshot, &C::on_install_snapshot_as_candidate,
          &C::on_install_snapshot_as_candidate, kNone}},
    }};
    static_assert(
        [] {
            for (std::size_t i = 0; i < kTable.size(); ++i) {
                if (kTable[i].kind != static_cast<MessageKind>(i)) {
                    return false;
                }
            }
            return true;
        }(),
        "every kind has its row, in the order of MessageKind");
    return kTable[static_cast<std::size_t>(kind)].by_role[static_cast<std::size_t>(role)];
}

void Core::on_receive(Message& message) {
    if (message.to != config_.id || !message.from || message.from == config_.id || !message.term) {
        ignore(message);
        return;
    }
    Verdict verdict = Verdict::kHandle;
    if (message.term > at_.term) {
        verdict = gate_higher_term(message);
    } else if (message.term < at_.term) {
        verdict = gate_lower_term(message);
    }
    if (verdict == Verdict::kDone) {
        return;
    }
    const Handler handler = handler_of(message.kind(), at_.role);
    if (verdict == Verdict::kIgnore || handler == nullptr) {
        ignore(message);
        return;
    }
    (this->*handler)(message);
}

// The leader itself asked for this election, or a request of its own shows that it has stopped
// leading.
bool Core::may_depose(const Message& message) const {
    const auto* vote = std::get_if<Vote>(&message.body);
    const bool asked_for =
        vote != nullptr && vote->transfer && !CAIRN_MUTANT(transfer_stopped_by_lease);
    return asked_for || (at_.leader == message.from && !CAIRN_MUTANT(former_leader_refused));
}

// Dissertation §4.2.3: who hears from a leader helps nobody to depose it.
bool Core::in_lease(const Message& message) const {
    if (CAIRN_MUTANT(anybody_deposes_the_leader)) {
        return false;
    }
    const bool hears_leader = config_.check_quorum &&
                              (at_.leader || CAIRN_MUTANT(fresh_member_refuses)) &&
                              at_.election_elapsed < config_.election_ticks;
    return (hears_leader || lease_.holds_vote()) && !may_depose(message);
}

Core::Verdict Core::gate_higher_term(const Message& message) {
    switch (message.kind()) {
        case MessageKind::kPreVote:
            // Only a question: its term is not yet anybody's (§9.6).
            return in_lease(message) ? Verdict::kIgnore : Verdict::kHandle;
        case MessageKind::kPreVoteReply:
            if (std::get<PreVoteReply>(message.body).granted) {
                return Verdict::kHandle;
            }
            break;
        case MessageKind::kVote:
            if (in_lease(message)) {
                CAIRN_PROBE("raft.vote_ignored_in_lease");
                return Verdict::kIgnore;
            }
            if (may_depose(message)) {
                lease_.release();
            }
            break;
        case MessageKind::kAppend:
        case MessageKind::kHeartbeat:
        case MessageKind::kInstallSnapshot:
            become_follower(message.term, message.from);
            return Verdict::kHandle;
        case MessageKind::kVoteReply:
        case MessageKind::kAppendReply:
        case MessageKind::kHeartbeatReply:
        case MessageKind::kTimeoutNow:
        case MessageKind::kForwardProposals:
        case MessageKind::kForwardRefused:
        case MessageKind::kReadIndexRequest:
        case MessageKind::kReadIndexReply: break;
    }
    become_follower(message.term, {});
    return Verdict::kHandle;
}

// The sender has fallen behind. Whoever waits for an answer is told the term, so that a stale
// leader steps down and a stale candidate catches up even where a lease keeps its own requests
// from being heard (reliability rows 8 and 19).
Core::Verdict Core::gate_lower_term(Message& message) {
    switch (message.kind()) {
        case MessageKind::kPreVote:
            if (!CAIRN_MUTANT(prevote_refused_in_silence)) {
                send(message.from, PreVoteReply{.granted = false});
            }
            break;
        case MessageKind::kVote: send(message.from, VoteReply{.granted = false}); break;
        case MessageKind::kAppend:
        case MessageKind::kHeartbeat:
        case MessageKind::kInstallSnapshot:
            CAIRN_PROBE("raft.stale_leader_told");
            send(message.from,
                 AppendReply{.success = false, .match = {}, .rejected = {}, .hint = {}});
            break;
        case MessageKind::kReadIndexRequest:
            refuse_read_index_request(message);
            return Verdict::kDone;
        case MessageKind::kForwardRefused:
        case MessageKind::kReadIndexReply:
            // What they say stays true whatever the term.
            return Verdict::kHandle;
        case MessageKind::kAppendReply:
            if (CAIRN_MUTANT(ack_of_an_older_term)) {
                return Verdict::kHandle;
            }
            break;
        case MessageKind::kPreVoteReply:
        case MessageKind::kVoteReply:
        case MessageKind::kHeartbeatReply:
        case MessageKind::kTimeoutNow:
        case MessageKind::kForwardProposals: break;
    }
    if (CAIRN_MUTANT(stale_heartbeat_heard) && message.kind() == MessageKind::kHeartbeat) {
        at_.election_elapsed = 0;
    }
    return Verdict::kIgnore;
}

void Core::ignore(const Message& message) {
    trace(TraceKind::kIgnored, static_cast<std::uint16_t>(message.kind()), message.from);
}

}  // namespace cairn::raft
