// Majorities: what a set of voters, or the two halves of a joint configuration, has agreed on.
// Pure functions; any thread.
// Never knows what it counts: log indexes, read rounds and votes all go through here.
#pragma once

#include <cstdint>
#include <span>

namespace cairn::raft {

enum class VoteResult : std::uint8_t { kPending, kLost, kWon };

// How many of `voter_count` make a majority.
constexpr std::size_t majority_of(std::size_t voter_count) { return voter_count / 2 + 1; }

// The largest value that a majority of the voters has reached, each element being one voter's.
// Reorders `values`. Without voters: the largest number, so that an empty half of a joint
// configuration never holds back the other (dissertation §4.3).
std::uint64_t majority_value(std::span<std::uint64_t> values);

// Votes of one majority. An empty one has won, for the same reason.
VoteResult majority_vote(std::size_t voter_count, std::size_t granted, std::size_t refused);

// Both halves must agree.
VoteResult joint_vote(VoteResult incoming, VoteResult outgoing);

}  // namespace cairn::raft
