// All members of the current configuration as a leader or candidate counts them.
// Owned by the core, on the replica's thread.
// Never decides anything but quorums.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/types.h"

namespace cairn::raft {

class Tracker {
  public:
    Tracker(NodeId self, const Progress::Limits& limits) : self_(self), limits_(limits) {}

    // Follows the configuration: keeps those who stay, forgets those who left, and starts new ones
    // as probes of a log that ends at `last`.
    void configure(const ConfState& conf, Index last);
    // A new term of leadership begins.
    void reset(Index last);

    [[nodiscard]] Progress* find(NodeId id);
    [[nodiscard]] const Progress* find(NodeId id) const;
    // Sorted by id; includes this member itself when it is in the configuration.
    [[nodiscard]] std::span<Progress> all() { return members_; }
    [[nodiscard]] std::span<const Progress> all() const { return members_; }
    // In either half of the configuration.
    [[nodiscard]] bool is_voter(NodeId id) const;
    // Whether this member alone decides: no other's answer can be needed.
    [[nodiscard]] bool self_decides() const;

    // The largest index that every needed majority has durably.
    [[nodiscard]] Index committed() const;
    // The largest read round that every needed majority has confirmed; `own` is this member's.
    [[nodiscard]] std::uint64_t confirmed_round(std::uint64_t own) const;
    // The same of those that promised not to vote for another (Lease).
    [[nodiscard]] std::uint64_t promised_round(std::uint64_t own) const;
    // What all members, learners included, have durably.
    [[nodiscard]] Index least_match() const;
    // Whether a quorum was heard of less than `ticks` ago, or the term is younger.
    [[nodiscard]] bool quorum_active(std::uint32_t ticks) const;

    // The same of the others alone: whether they can do without this member.
    [[nodiscard]] bool others_active(std::uint32_t ticks) const;

    void clear_votes();
    // The first answer of each voter counts.
    void record_vote(NodeId id, bool granted);
    [[nodiscard]] VoteResult vote_result() const;

  private:
    enum class Ballot : std::uint8_t { kOpen, kGranted, kRefused };
    // Positions of one half's voters in members_.
    using Half = std::vector<std::size_t>;

    [[nodiscard]] std::size_t position(NodeId id) const;
    [[nodiscard]] Half positions_of(const std::vector<NodeId>& ids) const;
    template <class ValueOf>
    [[nodiscard]] std::uint64_t agreed(const ValueOf& value_of) const;
    [[nodiscard]] VoteResult half_vote(const Half& half) const;

    NodeId self_;
    Progress::Limits limits_;
    std::vector<Progress> members_;
    std::vector<Ballot> ballots_;  // parallel to members_
    Half incoming_;
    Half outgoing_;
    mutable std::vector<std::uint64_t> scratch_;
};

}  // namespace cairn::raft
