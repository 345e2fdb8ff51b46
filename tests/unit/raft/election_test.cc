// Elections, leases and the async-write contract: what each input makes the core ask for.
#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {

TEST_CASE("a single voter leads only after its own vote is durable", "[raft][election]") {
    TestNode node(test_config(1), recovered(1));
    node.step(Campaign{});
    Ready ready = node.take();
    REQUIRE(ready.messages.empty());
    REQUIRE(ready.persist->hard_state == HardState{Term{1}, NodeId{1}, Index{}});
    REQUIRE(node.raft->role() == Role::kCandidate);
    ready = node.persist();
    REQUIRE(node.raft->role() == Role::kLeader);
    REQUIRE(ready.persist->entries == std::vector<Entry>{noop(1, 1)});
    REQUIRE(ready.committed.empty());  // row 51: not before it is durable
    ready = node.persist();
    REQUIRE(ready.committed == std::vector<Entry>{noop(1, 1)});
}

TEST_CASE("a pre-vote leaves at once and moves no term", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 4, log_of({4})));
    node.step(Campaign{});
    Ready want = only_messages(
        {message(1, 2, 5, PreVote{.last = id(4, 1)}), message(1, 3, 5, PreVote{.last = id(4, 1)})});
    want.role = RoleChange{Role::kPreCandidate, Term{4}, {}};
    REQUIRE(without_trace(node.take()) == want);
    // Granted by one: the election proper, withheld until it is durable.
    node.receive(2, 5, PreVoteReply{.granted = true});
    want = {};
    want.role = RoleChange{Role::kCandidate, Term{5}, {}};
    want.persist = PersistBatch{PersistSeq{1}, std::nullopt, HardState{Term{5}, NodeId{1}, {}},
                                std::vector<Entry>{}};
    REQUIRE(without_trace(node.take()) == want);
    REQUIRE(without_trace(node.persist()) ==
            only_messages({message(1, 2, 5, Vote{.last = id(4, 1)}),
                           message(1, 3, 5, Vote{.last = id(4, 1)})}));
}

TEST_CASE("a granted pre-vote promises nothing", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 4));
    node.receive(2, 9, PreVote{.last = {}});
    node.receive(3, 9, PreVote{.last = {}});
    REQUIRE(without_trace(node.take()) ==
            only_messages({message(1, 2, 9, PreVoteReply{.granted = true}),
                           message(1, 3, 9, PreVoteReply{.granted = true})}));
    REQUIRE(node.raft->term() == Term{4});
}

TEST_CASE("a refused pre-vote carries the voter's term", "[raft][election]") {
    // Row 8: a candidate that has fallen behind must be able to catch up.
    TestNode voter(test_config(1), recovered(3, 7, log_of({7})));
    voter.receive(2, 5, PreVote{.last = id(4, 9)});
    voter.receive(2, 8, PreVote{.last = id(4, 9)});
    REQUIRE(voter.take().messages ==
            std::vector<Message>{message(1, 2, 7, PreVoteReply{.granted = false}),
                                 message(1, 2, 7, PreVoteReply{.granted = false})});
    TestNode behind(test_config(1), recovered(3, 4, log_of({4})));
    behind.step(Campaign{});
    behind.receive(2, 7, PreVoteReply{.granted = false});
    REQUIRE(behind.raft->term() == Term{7});
    REQUIRE(behind.raft->role() == Role::kFollower);
}

TEST_CASE("a pre-vote answer for another term or role is ignored", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 4));
    node.step(Campaign{});
    node.receive(2, 6, PreVoteReply{.granted = true});
    node.receive(2, 4, PreVoteReply{.granted = true});
    REQUIRE(node.raft->role() == Role::kPreCandidate);
    node.receive(2, 5, PreVoteReply{.granted = true});
    REQUIRE(node.raft->role() == Role::kCandidate);
    node.settle();
    node.receive(3, 5, VoteReply{.granted = true});
    REQUIRE(node.raft->role() == Role::kLeader);
    // Row 12: late answers after the election are nothing.
    node.receive(3, 5, PreVoteReply{.granted = true});
    node.receive(3, 6, PreVoteReply{.granted = true});
    REQUIRE(node.raft->role() == Role::kLeader);
    REQUIRE(node.raft->term() == Term{5});
}

TEST_CASE("who votes for another gives up its own pre-vote", "[raft][election]") {
    Recovered found = recovered(3, 4);
    TestNode node(test_config(1), found);
    node.step(Campaign{});
    node.receive(3, 4, Vote{.last = {}});
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE(node.settle().back() == message(1, 3, 4, VoteReply{.granted = true}));
    node.receive(2, 5, PreVoteReply{.granted = true});
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE(node.raft->term() == Term{4});
}

TEST_CASE("a refused pre-vote carries the voter's term once that is durable", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 4));
    node.receive(2, 7, Vote{.last = {}});  // its term is taken, not yet durable
    node.receive(3, 6, PreVote{.last = {}});
    REQUIRE(node.take().messages.empty());
    REQUIRE(node.persist().messages ==
            std::vector<Message>{message(1, 2, 7, VoteReply{.granted = true}),
                                 message(1, 3, 7, PreVoteReply{.granted = false})});
}

TEST_CASE("a lost pre-vote or vote ends the candidacy", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 4));
    node.step(Campaign{});
    node.receive(2, 4, PreVoteReply{.granted = false});
    REQUIRE(node.raft->role() == Role::kPreCandidate);
    node.receive(3, 4, PreVoteReply{.granted = false});
    REQUIRE(node.raft->role() == Role::kFollower);
    node.step(Campaign{});
    node.receive(2, 5, PreVoteReply{.granted = true});
    node.settle();
    node.receive(2, 5, VoteReply{.granted = false});
    node.receive(3, 5, VoteReply{.granted = false});
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE(node.raft->term() == Term{5});
}

TEST_CASE("who hears from a leader deposes nobody", "[raft][election][lease]") {
    TestNode node = follower_of();
    node.receive(3, 2, Vote{.last = id(9, 9)});
    node.receive(3, 2, PreVote{.last = id(9, 9)});
    REQUIRE(without_trace(node.take()) == Ready{});
    REQUIRE(node.raft->term() == Term{1});
    // Asked for by the leader itself: a transfer.
    node.receive(3, 2, Vote{.last = id(9, 9), .transfer = true});
    REQUIRE(node.raft->term() == Term{2});
    REQUIRE(node.settle() == std::vector<Message>{message(1, 3, 2, VoteReply{.granted = true})});
}

TEST_CASE("the lease ends with the election timeout", "[raft][election][lease]") {
    TestNode node = follower_of();
    node.tick(10);
    if (node.raft->role() == Role::kFollower) {
        node.receive(3, 2, Vote{.last = id(9, 9)});
        REQUIRE(node.raft->term() == Term{2});
    }
    // Row 11: a leader that asks for votes has stopped leading; nobody need wait for its lease.
    TestNode other = follower_of();
    other.receive(2, 2, PreVote{.last = id(1, 1)});
    REQUIRE(other.take().messages ==
            std::vector<Message>{message(1, 2, 2, PreVoteReply{.granted = true})});
}

TEST_CASE("a fresh member grants its first vote", "[raft][election][lease]") {
    TestNode node(test_config(1), recovered(3));  // row 10
    node.receive(2, 1, Vote{.last = {}});
    REQUIRE(node.settle() == std::vector<Message>{message(1, 2, 1, VoteReply{.granted = true})});
}

TEST_CASE("a stale leader is told the newer term", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 7));
    node.receive(2, 6, Heartbeat{});
    node.receive(2, 6, Append{});
    REQUIRE(node.take().messages ==
            std::vector<Message>{message(1, 2, 7, AppendReply{}), message(1, 2, 7, AppendReply{})});
    TestNode stale = leader_of();
    stale.receive(2, 7, AppendReply{});
    REQUIRE(stale.raft->role() == Role::kFollower);
    REQUIRE(stale.raft->term() == Term{7});
}

TEST_CASE("a leader that hears from no quorum steps down", "[raft][election][check-quorum]") {
    TestNode node = leader_of();
    node.tick(9);
    node.receive(2, 1, HeartbeatReply{});
    node.tick(1);
    REQUIRE(node.raft->role() == Role::kLeader);
    node.tick(10);
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE(node.raft->term() == Term{1});
    REQUIRE_FALSE(node.raft->leader());
}

TEST_CASE("a learner and a stranger never campaign", "[raft][election]") {
    Recovered found = recovered(3);
    found.floor.conf.learners = {NodeId{4}};
    TestNode learner(test_config(4), found);
    learner.tick(50);
    learner.step(Campaign{});
    REQUIRE(learner.raft->role() == Role::kFollower);
    learner.receive(1, 1, Vote{.last = {}});  // row 15: but it votes when asked
    REQUIRE(learner.settle() == std::vector<Message>{message(4, 1, 1, VoteReply{.granted = true})});
    TestNode stranger(test_config(9), recovered(3));
    stranger.tick(50);
    REQUIRE(stranger.raft->term() == Term{0});
}

TEST_CASE("a hung disk does not drive the term up", "[raft][election]") {
    TestNode node(test_config(1), recovered(1));
    node.tick(200);
    REQUIRE(node.raft->term() == Term{1});
    REQUIRE(node.raft->role() == Role::kCandidate);
}

TEST_CASE("a grant is withheld until it is durable, and dropped when its term has passed",
          "[raft][async]") {
    TestNode node(test_config(1), recovered(3));
    node.receive(2, 1, Vote{.last = {}});
    REQUIRE(node.take().messages.empty());
    node.receive(3, 2, Vote{.last = {}});
    REQUIRE(node.take().messages.empty());
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.take().messages.empty());
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.take().messages ==
            std::vector<Message>{message(1, 3, 2, VoteReply{.granted = true})});
}

TEST_CASE("any message of a term that is not durable waits", "[raft][async]") {
    TestNode node(test_config(1), recovered(3));
    node.receive(2, 1, Heartbeat{});
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.step(ReadIndex{4});
    REQUIRE(node.take().messages.empty());
    const std::vector<Message> want{
        message(1, 2, 1, HeartbeatReply{}), message(1, 2, 1, ReadIndexRequest{4}),
        message(1, 2, 1, ForwardProposals{{{proposal(1), Bytes::copy_of("a")}}})};
    REQUIRE(node.persist().messages == want);
}

TEST_CASE("what was withheld when the term ended is refused", "[raft][async]") {
    TestNode node(test_config(1), recovered(3));
    node.receive(2, 1, Heartbeat{});
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.step(ReadIndex{4});
    node.take();
    node.receive(3, 2, Heartbeat{});
    const Ready ready = node.take();
    REQUIRE(ready.refused == std::vector<RefusedProposal>{{proposal(1), Errc::kLeaderChanged}});
    REQUIRE(ready.reads_refused == std::vector<ReadRefusal>{{4, Errc::kLeaderChanged}});
    REQUIRE(node.settle() == std::vector<Message>{message(1, 3, 2, HeartbeatReply{})});
}

TEST_CASE("appends are acknowledged batch by batch as they become durable", "[raft][async]") {
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), Index{1}, {command(1, 2)}});
    REQUIRE(node.take().messages.empty());
    node.receive(2, 1, Append{id(1, 2), Index{1}, {command(1, 3)}});
    node.receive(2, 1, Append{id(1, 3), Index{1}, {command(1, 4)}});
    REQUIRE(node.take().messages.empty());
    node.receive(2, 1, Append{id(1, 1), Index{1}, {}});  // durable already: answered at once
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 2, 1, acked(1))});
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 2, 1, acked(2))});
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 2, 1, acked(4))});
}

TEST_CASE("an older write of the same index acknowledges nothing newer", "[raft][async]") {
    // Rows 36 to 39. Entry 2 of term 1 is on its way, gives way to term 2, and comes back.
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), Index{1}, {command(1, 2)}});
    node.take();
    node.receive(3, 2, Append{id(1, 1), Index{1}, {command(2, 2), command(2, 3)}});
    node.take();
    node.receive(2, 3, Append{id(1, 1), Index{1}, {command(1, 2)}});
    node.take();
    REQUIRE(node.disk.in_flight.size() == 3);
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.raft->stable_index() == Index{1});
    REQUIRE(node.take().messages.empty());
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.raft->stable_index() == Index{1});
    REQUIRE(node.take().messages.empty());
    node.step(Persisted{node.disk.complete_one()});
    REQUIRE(node.raft->stable_index() == Index{2});
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 2, 3, acked(2))});
}

TEST_CASE("committed entries wait for this member's own disk", "[raft][async]") {
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), Index{2}, {command(1, 2)}});
    REQUIRE(node.take().committed.empty());
    REQUIRE(node.raft->commit() == Index{2});
    REQUIRE(node.persist().committed == std::vector<Entry>{command(1, 2)});
}

TEST_CASE("a leader counts itself only once durable", "[raft][async]") {
    TestNode node = leader_of();
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.take();
    node.receive(2, 1, acked(2));
    REQUIRE(node.raft->commit() == Index{1});
    node.receive(3, 1, acked(2));  // both others: committed without the leader's own disk
    REQUIRE(node.raft->commit() == Index{2});
    REQUIRE(node.take().committed.empty());
    REQUIRE(node.persist().committed == std::vector<Entry>{command(1, 2, "a")});
}

TEST_CASE("the commit index rides along and causes no write", "[raft][async]") {
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), Index{1}, {command(1, 2)}});
    node.settle();
    node.receive(2, 1, Heartbeat{Index{2}, 0, {}});
    Ready ready = node.take();
    REQUIRE_FALSE(ready.persist);
    REQUIRE(ready.committed == std::vector<Entry>{command(1, 2)});
    node.receive(2, 1, Append{id(1, 2), Index{2}, {command(1, 3)}});
    ready = node.take();
    REQUIRE(ready.persist->hard_state == HardState{Term{1}, {}, Index{2}});
}

// The heartbeats of a leader that was deposed do not keep others from standing up.
TEST_CASE("a heartbeat of an older term puts off no election", "[raft][election]") {
    TestNode node(test_config(1), recovered(3, 5));
    for (std::uint32_t tick = 0; tick < 2 * node.config().election_ticks; ++tick) {
        node.receive(2, 4, Heartbeat{});
        node.tick(1);
    }
    CHECK(node.raft->role() == Role::kPreCandidate);
}

}  // namespace cairn::raft::testing
