#include "raft/tracker.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/mutant.h"

namespace cairn::raft {

namespace {

std::vector<NodeId> all_members(const ConfState& conf) {
    std::vector<NodeId> ids = conf.voters;
    ids.insert(ids.end(), conf.voters_outgoing.begin(), conf.voters_outgoing.end());
    ids.insert(ids.end(), conf.learners.begin(), conf.learners.end());
    ids.insert(ids.end(), conf.learners_next.begin(), conf.learners_next.end());
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

}  // namespace

void Tracker::configure(const ConfState& conf, Index last) {
    std::vector<Progress> members;
    std::vector<Ballot> ballots;
    for (const NodeId id : all_members(conf)) {
        const std::size_t old = position(id);
        if (old < members_.size()) {
            members.push_back(std::move(members_[old]));
            ballots.push_back(ballots_[old]);
        } else {
            members.emplace_back(id, limits_).reset(last);
            ballots.push_back(Ballot::kOpen);
        }
    }
    members_ = std::move(members);
    ballots_ = std::move(ballots);
    incoming_ = positions_of(conf.voters);
    outgoing_ = positions_of(conf.voters_outgoing);
}

void Tracker::reset(Index last) {
    for (Progress& progress : members_) {
        progress.reset(last);
    }
}

std::size_t Tracker::position(NodeId id) const {
    const auto found = std::lower_bound(
        members_.begin(), members_.end(), id,
        [](const Progress& progress, NodeId wanted) { return progress.id() < wanted; });
    if (found == members_.end() || found->id() != id) {
        return members_.size();
    }
    return static_cast<std::size_t>(found - members_.begin());
}

Tracker::Half Tracker::positions_of(const std::vector<NodeId>& ids) const {
    Half half;
    half.reserve(ids.size());
    for (const NodeId id : ids) {
        half.push_back(position(id));
    }
    return half;
}

Progress* Tracker::find(NodeId id) {
    const std::size_t at = position(id);
    return at < members_.size() ? &members_[at] : nullptr;
}

const Progress* Tracker::find(NodeId id) const {
    const std::size_t at = position(id);
    return at < members_.size() ? &members_[at] : nullptr;
}

bool Tracker::is_voter(NodeId id) const {
    const std::size_t at = position(id);
    const auto has = [at](const Half& half) {
        return std::find(half.begin(), half.end(), at) != half.end();
    };
    return at < members_.size() && (has(incoming_) || has(outgoing_));
}

bool Tracker::self_decides() const {
    const std::size_t at = position(self_);
    return incoming_.size() == 1 && incoming_[0] == at &&
           (outgoing_.empty() || (outgoing_.size() == 1 && outgoing_[0] == at));
}

template <class ValueOf>
std::uint64_t Tracker::agreed(const ValueOf& value_of) const {
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (const Half* half : {&incoming_, &outgoing_}) {
        scratch_.clear();
        for (const std::size_t at : *half) {
            scratch_.push_back(value_of(members_[at]));
        }
        least = CAIRN_MUTANT(outgoing_matches_ignored) && half == &outgoing_
                    ? least
                    : std::min(least, majority_value(scratch_));
    }
    // Without any voter nobody has agreed on anything.
    return incoming_.empty() && outgoing_.empty() ? 0 : least;
}

Index Tracker::committed() const {
    return Index{agreed([](const Progress& progress) { return progress.match().value; })};
}

std::uint64_t Tracker::confirmed_round(std::uint64_t own) const {
    return agreed([&](const Progress& progress) {
        return progress.id() == self_ ? own : progress.read_round();
    });
}

std::uint64_t Tracker::promised_round(std::uint64_t own) const {
    return agreed([&](const Progress& progress) {
        return progress.id() == self_ ? own : progress.promised_round();
    });
}

Index Tracker::least_match() const {
    Index least{members_.empty() ? 0 : std::numeric_limits<std::uint64_t>::max()};
    for (const Progress& progress : members_) {
        least = std::min(least, progress.match());
    }
    return least;
}

bool Tracker::quorum_active(std::uint32_t ticks) const {
    return agreed([&](const Progress& progress) -> std::uint64_t {
               return progress.id() == self_ || progress.silent_ticks() < ticks ? 1 : 0;
           }) == 1;
}

bool Tracker::others_active(std::uint32_t ticks) const {
    return agreed([&](const Progress& progress) -> std::uint64_t {
               return progress.id() != self_ && progress.silent_ticks() < ticks ? 1 : 0;
           }) == 1;
}

void Tracker::clear_votes() { std::fill(ballots_.begin(), ballots_.end(), Ballot::kOpen); }

void Tracker::record_vote(NodeId id, bool granted) {
    const std::size_t at = position(id);
    if (at < members_.size() && ballots_[at] == Ballot::kOpen) {
        ballots_[at] = granted ? Ballot::kGranted : Ballot::kRefused;
    }
}

VoteResult Tracker::half_vote(const Half& half) const {
    std::size_t granted = 0;
    std::size_t refused = 0;
    for (const std::size_t at : half) {
        granted += ballots_[at] == Ballot::kGranted ? 1U : 0U;
        refused += ballots_[at] == Ballot::kRefused ? 1U : 0U;
    }
    return majority_vote(half.size(), granted, refused);
}

VoteResult Tracker::vote_result() const {
    if (incoming_.empty() && outgoing_.empty()) {
        return VoteResult::kPending;
    }
    return joint_vote(half_vote(incoming_), half_vote(outgoing_));
}

}  // namespace cairn::raft
