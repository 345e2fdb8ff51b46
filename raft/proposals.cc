// Proposals: taken by a leader, handed on by a follower that knows one.
#include <utility>

#include "base/buggify.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace cairn::raft {

void Core::refuse_proposal(const ProposalId& id, Errc reason) {
    out_.refused.push_back({.id = id, .reason = reason});
    trace(TraceKind::kRefusedProposal, static_cast<std::uint16_t>(reason));
}

std::optional<Errc> Core::admit(EntryKind kind, const Bytes& payload) const {
    if (transfer_ && !CAIRN_MUTANT(proposals_during_transfer)) {
        CAIRN_PROBE("raft.refused_during_transfer");
        // Dissertation §3.10: or the transferee could never catch up.
        return Errc::kLeaderChanged;
    }
    const Entry cost{.id = {}, .kind = kind, .payload = payload};
    const std::uint64_t uncommitted = log_.uncommitted_bytes();
    if (uncommitted > 0 && uncommitted + cost.cost_bytes() > config_.uncommitted_bytes_max) {
        CAIRN_PROBE("raft.refused_uncommitted_bytes");
        return Errc::kTooManyRequests;
    }
    if (is_flush_behind()) {
        return Errc::kTooManyRequests;
    }
    if (log_.marks().commit - log_.marks().applied > config_.apply_gap_max) {
        CAIRN_PROBE("raft.refused_apply_gap");
        return Errc::kTooManyRequests;
    }
    return kind == EntryKind::kConfig ? admit_conf(payload) : std::nullopt;
}

void Core::on_propose(Propose& propose) {
    if (at_.role == Role::kLeader) {
        if (const auto reason = admit(propose.kind, propose.payload)) {
            refuse_proposal(propose.id, *reason);
            return;
        }
        append_own(propose.kind, std::move(propose.payload));
    } else if (at_.leader) {
        forwards_.push_back(
            {.id = propose.id, .payload = std::move(propose.payload), .kind = propose.kind});
    } else {
        refuse_proposal(propose.id, Errc::kNoLeader);
    }
}

// Sent once; never again, whatever becomes of the message: a second copy could meet a second fate.
void Core::flush_forwards() {
    ForwardProposals chunk;
    std::uint64_t bytes = 0;
    for (Forwarded& forward : forwards_) {
        const std::uint64_t cost = forward.payload.size() + 64;
        if (bytes > 0 && bytes + cost > config_.append_bytes_max) {
            send(at_.leader, std::exchange(chunk, {}));
            bytes = 0;
        }
        bytes += cost;
        chunk.proposals.push_back(std::move(forward));
    }
    forwards_.clear();
    if (!chunk.proposals.empty()) {
        send(at_.leader, std::move(chunk));
    }
}

// The gate has seen to it that the proposals were forwarded in the very term this member leads.
// Deciding once, also against a proposal, is what makes a refusal final.
void Core::on_forward_proposals(Message& message) {
    ForwardRefused answer;
    for (Forwarded& forward : std::get<ForwardProposals>(message.body).proposals) {
        if (forward.id.member != message.from) {
            ignore(message);
            continue;
        }
        std::optional<Errc> reason;
        switch (CAIRN_MUTANT(forward_taken_twice) ? ForwardWindow::Verdict::kNew
                                                  : window_.take(forward.id)) {
            case ForwardWindow::Verdict::kOld:
                CAIRN_PROBE("raft.forward_came_twice");
                ignore(message);
                continue;
            case ForwardWindow::Verdict::kFull: reason = Errc::kTooManyRequests; break;
            case ForwardWindow::Verdict::kNew:
                if (CAIRN_BUGGIFY("raft.no_room_for_forwards")) {
                    reason = Errc::kTooManyRequests;
                    break;
                }
                reason = forward.refusal ? forward.refusal : admit(forward.kind, forward.payload);
                break;
        }
        if (reason) {
            answer.refused.push_back({.id = forward.id, .reason = *reason});
            trace(TraceKind::kRefusedProposal, static_cast<std::uint16_t>(*reason), message.from);
        } else {
            append_own(forward.kind, std::move(forward.payload));
        }
    }
    if (!answer.refused.empty()) {
        send(message.from, std::move(answer));
    }
}

void Core::on_forward_refused(Message& message) {
    for (const RefusedProposal& refused : std::get<ForwardRefused>(message.body).refused) {
        if (refused.id.member == config_.id) {
            refuse_proposal(refused.id, refused.reason);
        } else {
            ignore(message);
        }
    }
}

}  // namespace cairn::raft
