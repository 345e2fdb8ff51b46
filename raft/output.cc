// What leaves the core, and when (architecture §3.4, the async-write contract).
#include <algorithm>
#include <utility>

#include "base/buggify.h"
#include "base/mutant.h"
#include "raft/core.h"

namespace cairn::raft {

void Core::send(NodeId to, MessageBody body) { send_in_term(to, at_.term, std::move(body)); }

void Core::send_in_term(NodeId to, Term term, MessageBody body) {
    Message message{.from = config_.id, .to = to, .term = term, .body = std::move(body)};
    const std::optional<PersistSeq> batch = rests_on(message);
    if (!batch) {
        out_.messages.push_back(std::move(message));
    } else if (writes_.withheld_count() < Writes::kWithheldMax &&
               !CAIRN_BUGGIFY("raft.no_room_to_withhold")) {
        writes_.withhold(*batch, std::move(message));
    } else {
        lost_before_sending(message);
    }
}

// The batch that must be durable before `message` may leave; none: it may leave at once.
std::optional<PersistSeq> Core::rests_on(const Message& message) const {
    switch (message.kind()) {
        case MessageKind::kPreVote: return std::nullopt;
        case MessageKind::kPreVoteReply:
            // A grant promises nothing and carries the asked term; a refusal carries our own.
            if (std::get<PreVoteReply>(message.body).granted) {
                return std::nullopt;
            }
            break;
        case MessageKind::kVote: return writes_.batch_of_vote(at_.term, at_.vote);
        case MessageKind::kVoteReply:
            if (CAIRN_MUTANT(vote_sent_before_durable)) {
                return std::nullopt;
            }
            if (std::get<VoteReply>(message.body).granted) {
                return writes_.batch_of_vote(at_.term, at_.vote);
            }
            break;
        case MessageKind::kAppendReply: {
            const auto& reply = std::get<AppendReply>(message.body);
            if (CAIRN_MUTANT(ack_before_durable)) {
                return std::nullopt;
            }
            if (reply.success && reply.match > log_.marks().stable) {
                // Batches are durable in order, and the term came no later than its entries.
                return std::max(writes_.batch_of_index(reply.match),
                                writes_.batch_of_term(message.term).value_or(PersistSeq{}));
            }
            break;
        }
        case MessageKind::kAppend:
        case MessageKind::kHeartbeat:
        case MessageKind::kHeartbeatReply:
        case MessageKind::kTimeoutNow:
        case MessageKind::kForwardProposals:
        case MessageKind::kForwardRefused:
        case MessageKind::kReadIndexRequest:
        case MessageKind::kReadIndexReply:
        case MessageKind::kInstallSnapshot: break;
    }
    return writes_.batch_of_term(message.term);
}

// It was never sent, so what it asked for has certainly not happened.
void Core::lost_before_sending(Message& message) {
    if (const auto* forward = std::get_if<ForwardProposals>(&message.body)) {
        for (const Forwarded& proposal : forward->proposals) {
            refuse_proposal(proposal.id, Errc::kLeaderChanged);
        }
    } else if (const auto* read = std::get_if<ReadIndexRequest>(&message.body)) {
        out_.reads_refused.push_back({.request = read->request, .reason = Errc::kLeaderChanged});
    }
}

void Core::on_persisted(PersistSeq seq) {
    const Writes::Done done = writes_.persisted(seq);
    log_.stable_to(done.stable);
    writes_.release(scratch_.messages);
    bool own_vote = false;
    for (Message& message : scratch_.messages) {
        if (message.to == config_.id) {
            own_vote = message.term == at_.term && at_.role == Role::kCandidate;
        } else {
            out_.messages.push_back(std::move(message));
        }
    }
    scratch_.messages.clear();
    if (own_vote) {
        tracker_.record_vote(config_.id, true);
        finish_vote();
    }
    Progress* own = tracker_.find(config_.id);
    if (at_.role == Role::kLeader && own != nullptr) {
        own->set_own_match(CAIRN_MUTANT(leader_counts_unwritten) ? log_.last()
                                                                 : log_.marks().stable);
        maybe_commit();
    }
}

void Core::on_applied(Index index) {
    log_.applied_to(index);
    log_.flushed_to(compaction_.wanted);  // which may have been told before
}

bool Core::may_hand_out() const {
    return (!installing_ || CAIRN_MUTANT(apply_while_installing)) &&
           log_.has_committed(config_.apply_bytes_max);
}

bool Core::has_batch() const {
    const HardState& queued = writes_.queued();
    return log_.marks().unsaved_from <= log_.last() || queued.term != at_.term ||
           queued.vote != at_.vote || compaction_.due;
}

void Core::build_batch() {
    if (!has_batch()) {
        return;
    }
    PersistBatch batch;
    batch.entries = std::move(scratch_.batch_entries);
    batch.entries.clear();
    log_.take_unsaved(batch.entries);
    const HardState now{.term = at_.term, .vote = at_.vote, .commit = log_.marks().commit};
    if (now != writes_.queued()) {
        batch.hard_state = now;
    }
    if (std::exchange(compaction_.due, false)) {
        batch.floor = log_.floor();
        batch.restart =
            std::exchange(compaction_.restart, false) && !CAIRN_MUTANT(old_log_below_snapshot);
    }
    batch.seq = writes_.start(
        now, batch.entries.empty() ? std::nullopt : std::optional<Index>(log_.last()));
    out_.persist = std::move(batch);
}

bool Core::role_changed() const {
    return reported_ != RoleChange{.role = at_.role, .term = at_.term, .leader = at_.leader};
}

bool Core::has_ready() const {
    const bool gathered = !out_.messages.empty() || !out_.reads.empty() ||
                          !out_.reads_refused.empty() || !out_.refused.empty() ||
                          !out_.trace.empty() || !forwards_.empty() || out_.transfer.has_value() ||
                          !out_.snapshots_wanted.empty() || out_.install.has_value();
    const bool leads = at_.role == Role::kLeader;
    const bool due = leads && (leading_.heartbeat_due || leading_.appends_due ||
                               (reads_.has_unassigned() && committed_in_own_term()));
    return gathered || due || has_batch() || role_changed() || may_hand_out();
}

void Core::take_ready(Ready& out) {
    flush_forwards();
    if (at_.role == Role::kLeader) {
        flush_reads();
        flush_heartbeats();
        flush_appends();
        maybe_retire();
    }
    build_batch();
    if (may_hand_out()) {
        log_.take_committed(config_.apply_bytes_max, out_.committed);
    }
    if (role_changed()) {
        reported_ = {.role = at_.role, .term = at_.term, .leader = at_.leader};
        out_.role = reported_;
    }
    // The storage of the last Ready is used again for the next.
    if (out.persist) {
        scratch_.batch_entries = std::move(out.persist->entries);
        scratch_.batch_entries.clear();
    }
    out.messages.clear();
    out.persist.reset();
    out.committed.clear();
    out.reads.clear();
    out.reads_refused.clear();
    out.refused.clear();
    out.transfer.reset();
    out.snapshots_wanted.clear();
    out.install.reset();
    out.role.reset();
    out.trace.clear();
    std::swap(out, out_);
}

void Core::trace(TraceKind kind, std::uint16_t detail, NodeId peer, Index index) {
    out_.trace.push_back({.kind = static_cast<std::uint16_t>(kind),
                          .detail = detail,
                          .node = config_.id,
                          .peer = peer,
                          .term = at_.term,
                          .index = index,
                          .arg = 0});
}

}  // namespace cairn::raft
