// Linearizable reads without a log entry (dissertation §6.4).
#include "base/buggify.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

void Core::on_read_index(const ReadIndex& read) {
    if (at_.role == Role::kLeader) {
        lease_.read_came();
        if (!reads_.add({}, read.request)) {
            out_.reads_refused.push_back(
                {.request = read.request, .reason = Errc::kTooManyRequests});
        }
    } else if (at_.leader) {
        send(at_.leader, ReadIndexRequest{.request = read.request});
    } else {
        out_.reads_refused.push_back({.request = read.request, .reason = Errc::kNoLeader});
    }
}

void Core::on_read_index_request(Message& message) {
    const auto& request = std::get<ReadIndexRequest>(message.body);
    lease_.read_came();
    if (CAIRN_BUGGIFY("raft.no_room_for_reads") || !reads_.add(message.from, request.request)) {
        refuse_read_index_request(message);
    }
}

void Core::refuse_read_index_request(Message& message) {
    const auto& request = std::get<ReadIndexRequest>(message.body);
    send(message.from, ReadIndexReply{.request = request.request, .granted = false, .index = {}});
}

void Core::on_read_index_reply(Message& message) {
    const auto& reply = std::get<ReadIndexReply>(message.body);
    if (reply.granted) {
        out_.reads.push_back({.request = reply.request, .index = reply.index});
    } else {
        out_.reads_refused.push_back({.request = reply.request, .reason = Errc::kNotLeader});
    }
}

// A new leader does not know what is committed until an entry of its own term is (row 125).
bool Core::committed_in_own_term() const {
    return CAIRN_MUTANT(read_before_own_commit) || log_.term_at(log_.marks().commit) == at_.term;
}

// All reads of this turn share one round, begun after they came in: an answer to it proves that
// this member still led then. Alone, a leader needs nobody's answer; nor while a quorum, itself
// among them, has promised to elect nobody: one that leaves is not, and who is left may elect
// itself.
void Core::flush_reads() {
    if (!reads_.has_unassigned() || !committed_in_own_term()) {
        if (reads_.has_unassigned()) {
            CAIRN_PROBE("raft.reads_wait_for_own_term");
        }
        return;
    }
    const std::size_t fresh = reads_.unassigned();
    reads_.begin_round(CAIRN_MUTANT(read_at_applied_index) ? log_.marks().applied
                                                           : log_.marks().commit);
    if (tracker_.self_decides() || CAIRN_MUTANT(read_without_quorum)) {
        grant_reads(reads_.round());
    } else if (lease_.is_held() && tracker_.is_voter(config_.id)) {
        lease_.granted(fresh);
        grant_reads(reads_.round());
    } else {
        leading_.heartbeat_due = true;
    }
}

void Core::grant_reads(std::uint64_t confirmed) {
    if (reads_.empty()) {
        return;
    }
    reads_.take_confirmed(confirmed, scratch_.reads);
    for (const PendingRead& read : scratch_.reads) {
        grant_read(read);
    }
    scratch_.reads.clear();
}

void Core::grant_read(const PendingRead& read) {
    if (read.from) {
        send(read.from,
             ReadIndexReply{.request = read.request, .granted = true, .index = read.index});
    } else {
        out_.reads.push_back({.request = read.request, .index = read.index});
    }
}

void Core::refuse_pending_reads() {
    reads_.take_all(scratch_.reads);
    for (const PendingRead& read : scratch_.reads) {
        CAIRN_PROBE("raft.reads_refused_by_former_leader");
        if (read.from) {
            send(read.from, ReadIndexReply{.request = read.request, .granted = false, .index = {}});
        } else {
            out_.reads_refused.push_back({.request = read.request, .reason = Errc::kLeaderChanged});
        }
    }
    scratch_.reads.clear();
}

}  // namespace cairn::raft
