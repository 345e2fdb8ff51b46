// The core's handlers: what each input makes it ask for, word for word.
#include "unit/raft/fixture.h"

namespace cairn::raft::testing {
namespace {

EntryId id(std::uint64_t term, std::uint64_t index) { return {Term{term}, Index{index}}; }
ProposalId proposal(std::uint64_t sequence, std::uint64_t member = 1) {
    return {NodeId{member}, 1, sequence};
}

// Leads term 1 of three; its no-op is durable here and at member 2, and committed.
TestNode leader_of(std::uint64_t voters = 3, Config config = test_config(1)) {
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
TestNode follower_of(Config config = test_config(1)) {
    TestNode node(config, recovered(3));
    node.receive(2, 1, Append{.prev = {}, .commit = Index{1}, .entries = {noop(1, 1)}});
    node.settle();
    REQUIRE(node.raft->leader() == NodeId{2});
    return node;
}

Ready only_messages(std::vector<Message> messages) {
    Ready ready;
    ready.messages = std::move(messages);
    return ready;
}

Ready without_trace(Ready ready) {
    ready.trace.clear();
    return ready;
}

}  // namespace

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

TEST_CASE("a follower's heartbeat beyond its log is ignored", "[raft][replication]") {
    TestNode node = follower_of();
    node.receive(2, 1, Heartbeat{Index{9}, 0, {}});
    REQUIRE(node.raft->commit() == Index{1});
    REQUIRE(without_trace(node.take()) == Ready{});
}

TEST_CASE("an append that contradicts what is committed is ignored", "[raft][replication]") {
    TestNode node = follower_of();
    node.receive(3, 2, Append{{}, {}, {command(2, 1)}});
    node.settle();
    REQUIRE(node.raft->entry(Index{1}) == noop(1, 1));
    REQUIRE(node.raft->last_index() == Index{1});
}

TEST_CASE("an append that is not consecutive is ignored", "[raft][replication]") {
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), {}, {command(1, 3)}});
    node.receive(2, 1, Append{id(1, 1), {}, {command(1, 2), command(1, 4)}});  // row 41
    node.receive(2, 1, Append{id(1, 1), {}, {command(2, 2)}});
    node.receive(2, 1, Append{id(0, 1), {}, {}});
    Entry change = command(1, 2, "not a configuration");
    change.kind = EntryKind::kConfig;
    node.receive(2, 1, Append{id(1, 1), {}, {change}});
    REQUIRE(node.raft->last_index() == Index{1});
    REQUIRE(without_trace(node.take()) == Ready{});
}

TEST_CASE("a follower commits no further than the append it got", "[raft][replication]") {
    // Row 31: the suffix behind a short append may be another leader's.
    TestNode node(test_config(1), recovered(3, 2, log_of({1, 2, 2})));
    node.receive(2, 3, Append{id(1, 1), Index{3}, {}});
    REQUIRE(node.raft->commit() == Index{1});
    REQUIRE(node.settle() == std::vector<Message>{message(1, 2, 3, acked(1))});
}

TEST_CASE("appends are cut by bytes and stopped by the window", "[raft][replication][limits]") {
    Config config = test_config(1);
    config.append_bytes_max = 70;  // two entries
    config.inflight_count_max = 2;
    TestNode node = leader_of(3, config);
    for (std::uint64_t i = 1; i <= 7; ++i) {
        node.step(Propose{proposal(i), Bytes::copy_of("a")});
    }
    std::vector<Message> sent = node.take().messages;
    REQUIRE(sent.size() == 4);
    REQUIRE(std::get<Append>(sent[0].body).entries.size() == 2);
    REQUIRE(std::get<Append>(sent[1].body).prev == id(1, 3));
    node.receive(2, 1, acked(3));
    sent = node.take().messages;
    REQUIRE(sent.size() == 1);
    REQUIRE(std::get<Append>(sent[0].body).prev == id(1, 5));
    REQUIRE(node.raft->status().peers.at(NodeId{2}).inflight_count == 2);
    REQUIRE(node.raft->status().peers.at(NodeId{3}).inflight_count == 2);
}

TEST_CASE("a lost append is found out by the next heartbeat's answer", "[raft][replication]") {
    TestNode node = leader_of();
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.settle();  // lost on its way
    node.receive(2, 1, HeartbeatReply{});
    REQUIRE(node.take().messages ==
            std::vector<Message>{message(1, 2, 1, Append{id(1, 2), Index{1}, {}})});
    node.receive(2, 1, refused(2, 1, 1));
    REQUIRE(
        node.take().messages ==
        std::vector<Message>{message(1, 2, 1, Append{id(1, 1), Index{1}, {command(1, 2, "a")}})});
}

TEST_CASE("an unreachable peer is probed again", "[raft][replication]") {
    TestNode node = leader_of();
    node.step(PeerUnreachable{NodeId{2}});
    node.step(PeerUnreachable{NodeId{9}});
    REQUIRE(node.raft->status().peers.at(NodeId{2}).probing);
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    REQUIRE(node.take().messages.size() == 1);  // to member 3 only
    node.receive(2, 1, HeartbeatReply{});
    REQUIRE(
        node.take().messages ==
        std::vector<Message>{message(1, 2, 1, Append{id(1, 1), Index{1}, {command(1, 2, "a")}})});
}

TEST_CASE("answers from strangers and beyond the log are ignored", "[raft][replication]") {
    TestNode node = leader_of();
    node.receive(9, 1, acked(1));
    node.receive(2, 1, acked(99));
    node.receive(9, 1, HeartbeatReply{});
    node.receive(2, 1, HeartbeatReply{.read_round = 44});
    REQUIRE(without_trace(node.take()) == Ready{});
    REQUIRE(node.raft->status().peers.at(NodeId{2}).match == Index{1});
}

TEST_CASE("a message for another member, from nobody or from itself is ignored", "[raft]") {
    TestNode node = follower_of();
    node.receive(message(2, 3, 9, Heartbeat{}));  // row 59
    node.receive(message(0, 1, 9, Heartbeat{}));
    node.receive(message(1, 1, 9, Heartbeat{}));
    node.receive(message(2, 1, 0, Heartbeat{}));
    REQUIRE(node.raft->term() == Term{1});
    REQUIRE(without_trace(node.take()) == Ready{});
}

TEST_CASE("proposals: taken, forwarded, or refused for want of a leader", "[raft][proposals]") {
    TestNode lost(test_config(1), recovered(3));
    lost.step(Propose{proposal(1), Bytes::copy_of("a")});
    REQUIRE(lost.take().refused == std::vector<RefusedProposal>{{proposal(1), Errc::kNoLeader}});
    TestNode follower = follower_of();
    follower.step(Propose{proposal(1), Bytes::copy_of("a")});
    follower.step(Propose{proposal(2), Bytes::copy_of("b")});
    const ForwardProposals both{
        {{proposal(1), Bytes::copy_of("a")}, {proposal(2), Bytes::copy_of("b")}}};
    REQUIRE(without_trace(follower.take()) == only_messages({message(1, 2, 1, both)}));
}

TEST_CASE("forwards are cut to the size of an append", "[raft][proposals][limits]") {
    Config config = test_config(1);
    config.append_bytes_max = 150;
    TestNode node = follower_of(config);
    for (std::uint64_t i = 1; i <= 5; ++i) {
        node.step(Propose{proposal(i), Bytes::copy_of("abcdefghij")});
    }
    REQUIRE(node.take().messages.size() == 3);
}

TEST_CASE("a proposal not yet sent when the leader is lost is refused", "[raft][proposals]") {
    TestNode node = follower_of();
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.receive(3, 2, Heartbeat{});
    const Ready ready = node.take();
    REQUIRE(ready.refused == std::vector<RefusedProposal>{{proposal(1), Errc::kLeaderChanged}});
    REQUIRE(of_kind(ready.messages, MessageKind::kForwardProposals).empty());
}

TEST_CASE("a forwarded proposal enters the log once however often it comes", "[raft][proposals]") {
    TestNode node = leader_of();
    const ForwardProposals forward{{{proposal(1, 2), Bytes::copy_of("a")}}};
    node.receive(2, 1, forward);
    node.receive(2, 1, forward);
    node.receive(3, 1, forward);  // not the one whose client it was
    REQUIRE(node.raft->last_index() == Index{2});
    REQUIRE(node.raft->entry(Index{2}) == command(1, 2, "a"));
    // Of another term than the one this member leads: neither taken nor refused.
    node.receive(2, 5, Heartbeat{});
    node.settle();
    node.receive(2, 1, ForwardProposals{{{proposal(2, 2), Bytes::copy_of("b")}}});
    REQUIRE(without_trace(node.take()) == Ready{});
}

TEST_CASE("a refused forward stays refused", "[raft][proposals][limits]") {
    Config config = test_config(1);
    config.uncommitted_bytes_max = 100;
    TestNode node = leader_of(3, config);
    node.receive(2, 1,
                 ForwardProposals{{{proposal(1, 2), Bytes::copy_of(std::string(90, 'a'))},
                                   {proposal(2, 2), Bytes::copy_of("b")}}});
    const Ready ready = node.take();
    REQUIRE(of_kind(ready.messages, MessageKind::kForwardRefused) ==
            std::vector<Message>{
                message(1, 2, 1, ForwardRefused{{{proposal(2, 2), Errc::kTooManyRequests}}})});
    node.persist();
    node.receive(2, 1, acked(2));
    REQUIRE(node.raft->commit() == Index{2});
    node.receive(2, 1, ForwardProposals{{{proposal(2, 2), Bytes::copy_of("b")}}});
    REQUIRE(node.raft->last_index() == Index{2});
    // At its origin the refusal comes out whatever the term is by then.
    TestNode origin(test_config(2), recovered(3, 8));
    origin.receive(1, 1,
                   ForwardRefused{{{proposal(2, 2), Errc::kTooManyRequests},
                                   {proposal(2, 3), Errc::kTooManyRequests}}});
    REQUIRE(origin.take().refused ==
            std::vector<RefusedProposal>{{proposal(2, 2), Errc::kTooManyRequests}});
}

TEST_CASE("uncommitted bytes and the apply gap bound what a leader takes",
          "[raft][proposals][limits]") {
    Config config = test_config(1);
    config.uncommitted_bytes_max = 100;
    config.apply_gap_max = 3;
    TestNode node = leader_of(1, config);
    node.step(Propose{proposal(1), Bytes::copy_of(std::string(500, 'a'))});  // one always fits
    node.step(Propose{proposal(2), Bytes::copy_of("b")});
    REQUIRE(node.take().refused ==
            std::vector<RefusedProposal>{{proposal(2), Errc::kTooManyRequests}});
    node.persist();
    for (std::uint64_t i = 3; i <= 6; ++i) {
        node.step(Propose{proposal(i), Bytes::copy_of("c")});
        node.take();
        node.persist();
    }
    // Entries 2 to 5 are committed and not applied: one more than the gap allows.
    REQUIRE(node.raft->commit() == Index{5});
    node.step(Applied{Index{2}});
    node.step(Propose{proposal(7), Bytes::copy_of("d")});
    REQUIRE(node.take().refused.empty());
}

TEST_CASE("reads of one turn share a round; rounds are not reused", "[raft][reads]") {
    TestNode node = leader_of();
    node.step(ReadIndex{1});
    node.receive(2, 1, ReadIndexRequest{8});
    const auto sent = node.take().messages;
    REQUIRE(sent == std::vector<Message>{message(1, 2, 1, Heartbeat{Index{1}, 1, {}}),
                                         message(1, 3, 1, Heartbeat{Index{1}, 1, {}})});
    node.step(ReadIndex{2});
    REQUIRE(of_kind(node.take().messages, MessageKind::kHeartbeat).size() == 2);
    node.receive(3, 1, HeartbeatReply{.read_round = 1});
    Ready want = only_messages({message(1, 2, 1, ReadIndexReply{8, true, Index{1}})});
    want.reads = {{1, Index{1}}};
    REQUIRE(without_trace(node.take()) == want);
    node.receive(3, 1, HeartbeatReply{.read_round = 1});  // a repeated answer confirms no more
    REQUIRE(node.take().reads.empty());
    node.receive(2, 1, HeartbeatReply{.read_round = 2});
    REQUIRE(node.take().reads == std::vector<ReadGrant>{{2, Index{1}}});
}

TEST_CASE("a single voter grants reads at once", "[raft][reads]") {
    TestNode node = leader_of(1);
    node.step(ReadIndex{1});
    Ready want;
    want.reads = {{1, Index{1}}};
    REQUIRE(without_trace(node.take()) == want);
}

TEST_CASE("a follower hands reads on and the answers out", "[raft][reads]") {
    TestNode node = follower_of();
    node.step(ReadIndex{3});
    REQUIRE(without_trace(node.take()) == only_messages({message(1, 2, 1, ReadIndexRequest{3})}));
    node.receive(2, 1, ReadIndexReply{3, true, Index{7}});
    node.receive(2, 1, ReadIndexReply{4, false, {}});
    Ready want;
    want.reads = {{3, Index{7}}};
    want.reads_refused = {{4, Errc::kNotLeader}};
    REQUIRE(without_trace(node.take()) == want);
    node.receive(3, 1, ReadIndexRequest{5});  // not the leader
    REQUIRE(without_trace(node.take()) ==
            only_messages({message(1, 3, 1, ReadIndexReply{5, false, {}})}));
    TestNode lost(test_config(1), recovered(3));
    lost.step(ReadIndex{3});
    REQUIRE(lost.take().reads_refused == std::vector<ReadRefusal>{{3, Errc::kNoLeader}});
}

TEST_CASE("a deposed leader refuses the reads that wait", "[raft][reads]") {
    TestNode node = leader_of();
    node.step(ReadIndex{1});
    node.receive(2, 1, ReadIndexRequest{8});
    node.take();
    node.receive(3, 4, Heartbeat{});
    const Ready ready = node.take();
    REQUIRE(ready.reads_refused == std::vector<ReadRefusal>{{1, Errc::kLeaderChanged}});
    REQUIRE(ready.messages == std::vector<Message>{message(1, 2, 1, ReadIndexReply{8, false, {}})});
}

TEST_CASE("leadership goes to who is up to date, at once", "[raft][transfer]") {
    TestNode node = leader_of();
    node.step(TransferLeader{NodeId{3}});
    REQUIRE(without_trace(node.take()) == only_messages({message(1, 3, 1, TimeoutNow{})}));
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    REQUIRE(node.take().refused ==
            std::vector<RefusedProposal>{{proposal(1), Errc::kLeaderChanged}});
    node.receive(3, 2, Vote{.last = id(1, 1), .transfer = true});
    REQUIRE(node.settle() == std::vector<Message>{message(1, 3, 2, VoteReply{.granted = true})});
}

TEST_CASE("a transferee that lags is brought up to date first", "[raft][transfer]") {
    TestNode node = leader_of();
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.settle();
    node.receive(2, 1, acked(2));
    node.settle();
    node.step(TransferLeader{NodeId{3}});
    REQUIRE(of_kind(node.take().messages, MessageKind::kTimeoutNow).empty());
    node.receive(3, 1, acked(2));
    REQUIRE(of_kind(node.take().messages, MessageKind::kTimeoutNow).size() == 1);
    // The message may be lost: it is repeated while the transferee answers.
    node.receive(3, 1, HeartbeatReply{});
    REQUIRE(of_kind(node.take().messages, MessageKind::kTimeoutNow).size() == 1);
}

TEST_CASE("without a name the best follower is chosen", "[raft][transfer]") {
    TestNode node = leader_of(5);
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.settle();
    node.receive(4, 1, acked(2));
    node.settle();
    node.step(TransferLeader{});
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 4, 1, TimeoutNow{})});
}

TEST_CASE("a transfer that does not happen ends after an election timeout", "[raft][transfer]") {
    TestNode node = leader_of();
    node.step(TransferLeader{NodeId{2}});
    for (int i = 0; i < 10; ++i) {
        node.receive(3, 1, HeartbeatReply{});
        node.tick(1);
    }
    node.take();
    REQUIRE(node.raft->role() == Role::kLeader);
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    REQUIRE(node.take().refused.empty());
    // Nobody that is not a voter, itself included, and never on a follower.
    for (const std::uint64_t to : {1U, 9U}) {
        node.step(TransferLeader{NodeId{to}});
        REQUIRE(without_trace(node.take()).messages.empty());
    }
    TestNode follower = follower_of();
    follower.step(TransferLeader{NodeId{3}});
    REQUIRE(without_trace(follower.take()) == Ready{});
}

TEST_CASE("a transferee campaigns at once, without a pre-vote", "[raft][transfer]") {
    TestNode node = follower_of();
    node.receive(3, 1, TimeoutNow{});  // not its leader
    REQUIRE(node.raft->role() == Role::kFollower);
    node.receive(2, 1, TimeoutNow{});
    REQUIRE(node.raft->role() == Role::kCandidate);
    const Vote vote{.last = id(1, 1), .transfer = true};
    REQUIRE(node.settle() == std::vector<Message>{message(1, 2, 2, vote), message(1, 3, 2, vote)});
    node.receive(2, 1, TimeoutNow{});
    REQUIRE(node.raft->term() == Term{2});
}

TEST_CASE("the floor follows the slowest member", "[raft][compact]") {
    TestNode node = leader_of();
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.settle();
    node.receive(2, 1, acked(2));
    node.settle();
    node.step(Compact{Index{2}});
    Ready ready = node.take();
    REQUIRE(ready.persist->floor->last == id(1, 1));
    REQUIRE(node.raft->status().first == Index{2});
    node.receive(3, 1, acked(2));
    node.tick(1);
    ready = node.take();
    REQUIRE(ready.persist->floor == SnapshotMeta{id(1, 2), node.raft->status().conf});
    REQUIRE(std::get<Heartbeat>(ready.messages.at(0).body).floor == Index{2});
    node.persist();
    REQUIRE(node.disk.image.entries.empty());
    // Everything goes on above it.
    node.step(Propose{proposal(2), Bytes::copy_of("b")});
    REQUIRE(std::get<Append>(node.take().messages.at(0).body).prev == id(1, 2));
}

TEST_CASE("a follower compacts as far as the leader allows", "[raft][compact]") {
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), Index{3}, {command(1, 2), command(1, 3)}});
    node.settle();
    node.step(Compact{Index{3}});
    REQUIRE_FALSE(node.take().persist);
    node.receive(2, 1, Heartbeat{Index{3}, 0, Index{2}});
    REQUIRE(node.take().persist->floor->last == id(1, 2));
    node.receive(2, 1, Heartbeat{Index{3}, 0, Index{9}});
    REQUIRE(node.take().persist->floor->last == id(1, 3));
    // Row 48: an old append from below the floor is no conflict.
    node.persist();
    node.receive(2, 1, Append{{}, Index{3}, {noop(1, 1), command(1, 2)}});
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 2, 1, acked(3))});
}

TEST_CASE("restore takes up log, vote and commit", "[raft][restore]") {
    Recovered found = recovered(3, 4, log_of({1, 4, 4}));
    found.hard_state.vote = NodeId{2};
    found.hard_state.commit = Index{1};
    TestNode node(test_config(1), found, Index{2});
    const Status status = node.raft->status();
    REQUIRE(status.term == Term{4});
    REQUIRE(status.vote == NodeId{2});
    REQUIRE(status.commit == Index{2});
    REQUIRE(status.applied == Index{2});
    REQUIRE(status.stable == Index{3});
    REQUIRE_FALSE(node.raft->has_ready());
    // Committed and not applied: handed out first.
    TestNode later(test_config(1), found, Index{0});
    REQUIRE(later.take().committed == std::vector<Entry>{command(1, 1, "e1")});
}

TEST_CASE("restore refuses a log that has lost something", "[raft][restore]") {
    const auto fails = [](const Recovered& found, std::uint64_t applied) {
        return Raft::restore(test_config(1), found, Index{applied}).error().code;
    };
    REQUIRE(fails(recovered(3, 1, log_of({1, 1})), 3) == Errc::kCorrupt);
    Recovered found = recovered(3, 1, log_of({1, 1}));
    found.hard_state.commit = Index{3};
    REQUIRE(fails(found, 0) == Errc::kCorrupt);
    REQUIRE(fails(recovered(3, 1, {command(1, 2)}), 0) == Errc::kCorrupt);
    REQUIRE(fails(recovered(3, 1, {command(2, 1)}), 0) == Errc::kCorrupt);
    REQUIRE(fails(recovered(3, 3, {command(3, 1), command(2, 2)}), 0) == Errc::kCorrupt);
    found = recovered(3, 1, {});
    found.floor.last = id(1, 5);
    REQUIRE(fails(found, 4) == Errc::kCorrupt);
    Entry change = command(1, 1, "bad");
    change.kind = EntryKind::kConfig;
    REQUIRE(fails(recovered(3, 1, {change}), 0) == Errc::kMalformed);
    REQUIRE(Raft::restore(Config{}, {}, {}).error().code == Errc::kInvalidConfig);
}

TEST_CASE("a bootstrapped cluster hands its members out first", "[raft][restore]") {
    TestDisk disk;
    disk.in_flight.push_back(bootstrap_batch({{NodeId{1}, {}}, {NodeId{2}, {}}, {NodeId{3}, {}}}));
    disk.complete_one();
    TestNode node(test_config(2), disk.image);
    REQUIRE(node.raft->status().conf.voters == node_ids(3));
    REQUIRE(node.take().committed.size() == 3);
    node.elect();
    REQUIRE(node.raft->term() == Term{2});
}

TEST_CASE("take_ready reuses the caller's storage", "[raft]") {
    TestNode node = leader_of(1);
    Ready ready;
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.raft->take_ready(ready);
    const Entry* storage = ready.persist->entries.data();
    node.step(Persisted{ready.persist->seq});
    node.raft->take_ready(ready);
    REQUIRE_FALSE(ready.persist);
    node.step(Propose{proposal(2), Bytes::copy_of("b")});
    node.raft->take_ready(ready);
    REQUIRE(ready.persist->entries.data() == storage);
}

}  // namespace cairn::raft::testing
