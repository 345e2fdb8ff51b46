// Cores in a role, for the tests of the core's handlers.
// Included by the tests of raft/ only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "unit/raft/fixture.h"

namespace cairn::raft::testing {

inline EntryId id(std::uint64_t term, std::uint64_t index) { return {Term{term}, Index{index}}; }
inline ProposalId proposal(std::uint64_t sequence, std::uint64_t member = 1) {
    return {NodeId{member}, 1, sequence};
}

// Leads term 1 of three; its no-op is durable here and at member 2, and committed.
inline TestNode leader_of(std::uint64_t voters = 3, Config config = test_config(1)) {
    TestNode node(config, recovered(voters));
    node.elect();
    for (std::uint64_t peer = 2; peer <= voters; ++peer) {
        node.receive(peer, 1, acked(1));
    }
    node.settle();
    REQUIRE(node.raft->commit() == Index{1});
    return node;
}

// Follows member 2 in term 1, with that term durable.
inline TestNode follower_of(Config config = test_config(1)) {
    TestNode node(config, recovered(3));
    node.receive(2, 1, Append{.prev = {}, .commit = Index{1}, .entries = {noop(1, 1)}});
    node.settle();
    REQUIRE(node.raft->leader() == NodeId{2});
    return node;
}

inline Ready only_messages(std::vector<Message> messages) {
    Ready ready;
    ready.messages = std::move(messages);
    return ready;
}

inline Ready without_trace(Ready ready) {
    ready.trace.clear();
    return ready;
}

}  // namespace cairn::raft::testing
