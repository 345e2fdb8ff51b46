#include "raft/quorum.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "base/assert.h"
#include "base/mutant.h"

namespace cairn::raft {

std::uint64_t majority_value(std::span<std::uint64_t> values) {
    if (values.empty()) {
        return std::numeric_limits<std::uint64_t>::max();
    }
    // Sorted from the largest, the element at (majority - 1) is reached by a majority.
    const auto place = static_cast<std::ptrdiff_t>(CAIRN_MUTANT(half_is_a_majority)
                                                       ? (values.size() - 1) / 2
                                                       : majority_of(values.size()) - 1);
    if (!CAIRN_MUTANT(quorum_of_unsorted)) {
        std::nth_element(values.begin(), values.begin() + place, values.end(), std::greater<>{});
    }
    return values[static_cast<std::size_t>(place)];
}

VoteResult majority_vote(std::size_t voter_count, std::size_t granted, std::size_t refused) {
    CAIRN_ASSERT(granted + refused <= voter_count);
    if (voter_count == 0) {
        return VoteResult::kWon;
    }
    if (granted >= majority_of(voter_count)) {
        return VoteResult::kWon;
    }
    const std::size_t open = voter_count - granted - refused;
    return granted + open >= majority_of(voter_count) ? VoteResult::kPending : VoteResult::kLost;
}

VoteResult joint_vote(VoteResult incoming, VoteResult outgoing) {
    if (CAIRN_MUTANT(outgoing_votes_ignored)) {
        return incoming;
    }
    if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) {
        return VoteResult::kLost;
    }
    if (incoming == VoteResult::kWon && outgoing == VoteResult::kWon) {
        return VoteResult::kWon;
    }
    return VoteResult::kPending;
}

}  // namespace cairn::raft
