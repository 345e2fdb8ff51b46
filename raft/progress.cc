#include "raft/progress.h"

#include <algorithm>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/probe.h"

namespace cairn::raft {

void Progress::reset(Index last) {
    match_ = Index{};
    told_commit_ = Index{};
    read_round_ = 0;
    promised_round_ = 0;
    catching_up_ = false;
    // A new leader has not heard of anybody yet; it gives everybody one span of check-quorum.
    heard_ever_ = false;
    silent_ticks_ = 0;
    nudge_allowed_ = true;
    become_probe(last + 1);
}

void Progress::set_own_match(Index stable) {
    match_ = std::max(match_, stable);
    next_ = std::max(next_, match_ + 1);
}

void Progress::become_probe(Index next) {
    CAIRN_ASSERT(next > match_);
    state_ = ProgressState::kProbe;
    next_ = next;
    probe_sent_ = false;
    asked_ = true;
    inflights_.clear();
}

void Progress::become_replicate() {
    state_ = ProgressState::kReplicate;
    next_ = match_ + 1;
    probe_sent_ = false;
    asked_ = false;
    inflights_.clear();
}

bool Progress::acked(Index match, Index floor) {
    // In kProbe an answer that only repeats the match is still the probe's answer.
    if (match < match_ || (match == match_ && state_ == ProgressState::kReplicate)) {
        return false;
    }
    match_ = match;
    next_ = std::max(next_, match_ + 1);
    if (state_ == ProgressState::kSnapshot) {
        // It may have got further by another leader's help, or by the snapshot itself whose end
        // has not been told yet: what it lacks now, the log has.
        if (match_ >= floor) {
            CAIRN_PROBE("raft.snapshot_overtaken");
            become_replicate();
        }
    } else if (state_ == ProgressState::kProbe) {
        become_replicate();
    } else {
        inflights_.free_up_to(match_);
    }
    return true;
}

bool Progress::refused(Index rejected, Index resume) {
    if (CAIRN_MUTANT(refusal_lowers_match)) {
        match_ = std::min(match_, resume);
    }
    if (rejected <= match_ || state_ == ProgressState::kSnapshot) {
        return false;
    }
    if (state_ == ProgressState::kReplicate) {
        // Something was lost on the way: whatever is in flight behind it is void too.
        if (rejected >= next_) {
            return false;
        }
        CAIRN_PROBE("raft.streaming_follower_lost_some");
        become_probe(match_ + 1);
        return true;
    }
    if (rejected + 1 != next_ && !CAIRN_MUTANT(any_refusal_moves_probe)) {
        return false;
    }
    become_probe(std::max(CAIRN_MUTANT(next_below_match) ? Index{1} : match_ + 1,
                          std::min(rejected, resume + 1)));
    return true;
}

void Progress::become_snapshot(Index kept_from) {
    state_ = ProgressState::kSnapshot;
    kept_from_ = kept_from;
    catching_up_ = true;
    probe_sent_ = false;
    asked_ = false;
    inflights_.clear();
}

void Progress::snapshot_sent(std::optional<Index> last) {
    if (state_ != ProgressState::kSnapshot || (CAIRN_MUTANT(lost_snapshot_forgotten) && !last)) {
        return;
    }
    if (!last) {
        CAIRN_PROBE("raft.snapshot_given_up");
    }
    catching_up_ = last.has_value();
    become_probe(std::max(match_, last.value_or(Index{})) + 1);
    // Its own answer, or that to the next heartbeat, tells when to go on.
    asked_ = false;
    probe_sent_ = true;
}

std::optional<Index> Progress::catching_up_from() const {
    if (!catching_up_) {
        return std::nullopt;
    }
    switch (state_) {
        case ProgressState::kSnapshot: return std::max(kept_from_, match_);
        case ProgressState::kProbe: return next_ - 1;
        case ProgressState::kReplicate: break;
    }
    return match_;
}

void Progress::unreachable() {
    if (state_ == ProgressState::kReplicate) {
        become_probe(match_ + 1);
        // Nothing gets through now: the next heartbeat's answer asks again.
        asked_ = false;
        probe_sent_ = true;
    }
}

void Progress::nudge() {
    probe_sent_ = false;
    asked_ = true;
}

void Progress::confirmed(std::uint64_t round) { read_round_ = std::max(read_round_, round); }

void Progress::promised(std::uint64_t round) { promised_round_ = std::max(promised_round_, round); }

bool Progress::wants_append(Index last, Index commit) const {
    if (state_ == ProgressState::kSnapshot) {
        return false;
    }
    if (state_ == ProgressState::kProbe) {
        return !probe_sent_ && (asked_ || next_ <= last);
    }
    if (asked_) {
        return true;
    }
    if (next_ <= last) {
        return !inflights_.full();
    }
    // Nothing to send but news of the commit index, which the follower must not wait for.
    return told_commit_ < commit;
}

bool Progress::may_carry_entries() const {
    return state_ == ProgressState::kProbe || !inflights_.full();
}

void Progress::sent(Index last, std::uint64_t bytes, Index commit) {
    asked_ = false;
    told_commit_ = std::max(told_commit_, commit);
    if (state_ == ProgressState::kProbe) {
        probe_sent_ = true;
        return;
    }
    if (last >= next_) {
        inflights_.add(last, bytes);
        next_ = last + 1;
    }
}

}  // namespace cairn::raft
