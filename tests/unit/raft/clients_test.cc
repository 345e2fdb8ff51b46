// Proposals, reads and transfers: what each input makes the core ask for, word for word.
#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {

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
    for (int i = 0; i < 9; ++i) {
        node.receive(3, 1, HeartbeatReply{});
        node.tick(1);
    }
    REQUIRE(!node.take().transfer);
    node.tick(1);
    REQUIRE(node.take().transfer == TransferResult{NodeId{2}, Errc::kTimeoutLeaderTransfer});
    REQUIRE(node.raft->role() == Role::kLeader);
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    REQUIRE(node.take().refused.empty());
}

TEST_CASE("a transfer that cannot be is answered at once", "[raft][transfer]") {
    TestNode node = leader_of();
    node.step(TransferLeader{NodeId{1}});
    REQUIRE(node.take().transfer == TransferResult{NodeId{1}, std::nullopt});
    node.step(TransferLeader{NodeId{9}});
    REQUIRE(node.take().transfer == TransferResult{NodeId{9}, Errc::kBadLeaderTransferee});
    REQUIRE(!node.raft->has_ready());
    TestNode alone = leader_of(1);
    alone.step(TransferLeader{});
    REQUIRE(alone.take().transfer == TransferResult{NodeId{}, Errc::kBadLeaderTransferee});
    TestNode follower = follower_of();
    follower.step(TransferLeader{NodeId{3}});
    const Ready ready = without_trace(follower.take());
    REQUIRE(ready.transfer == TransferResult{NodeId{3}, Errc::kNotLeader});
    REQUIRE(ready.messages.empty());
}

TEST_CASE("a transfer is answered when the next leader is known", "[raft][transfer]") {
    for (const std::uint64_t next : {2U, 3U}) {
        TestNode node = leader_of();
        node.step(TransferLeader{NodeId{3}});
        node.step(TransferLeader{NodeId{3}});  // joins it
        node.receive(3, 2, Vote{.last = id(1, 1), .transfer = true});
        REQUIRE(!node.take().transfer);
        node.persist();
        node.receive(next, next == 3 ? 2 : 3, Heartbeat{});
        const std::optional<Errc> error =
            next == 3 ? std::nullopt : std::optional(Errc::kTimeoutLeaderTransfer);
        REQUIRE(node.take().transfer == TransferResult{NodeId{3}, error});
        node.tick(20);
        REQUIRE(!node.take().transfer);
    }
}

TEST_CASE("a transfer ends one to somebody else", "[raft][transfer]") {
    TestNode node = leader_of();
    node.step(TransferLeader{NodeId{2}});
    node.take();
    node.step(TransferLeader{NodeId{3}});
    const Ready ready = node.take();
    REQUIRE(ready.transfer == TransferResult{NodeId{2}, Errc::kTimeoutLeaderTransfer});
    REQUIRE(ready.messages == std::vector<Message>{message(1, 3, 1, TimeoutNow{})});
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

}  // namespace cairn::raft::testing
