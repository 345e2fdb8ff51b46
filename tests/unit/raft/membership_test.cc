// Changes of the configuration: when one may begin, by whom the joint one is left, and who may
// stand for election in it.
#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {
namespace {

Bytes change_of(ConfChangeKind kind, std::uint64_t node) {
    return encode_conf_change({kind, NodeId{node}, {}});
}

Entry config(std::uint64_t term, std::uint64_t index, ConfChangeKind kind, std::uint64_t node) {
    return {.id = id(term, index), .kind = EntryKind::kConfig, .payload = change_of(kind, node)};
}

void propose(TestNode& node, ConfChangeKind kind, std::uint64_t member) {
    node.step(
        Propose{.id = proposal(1), .payload = change_of(kind, member), .kind = EntryKind::kConfig});
}

}  // namespace

// Raft dissertation §4.1, and the erratum to it of 2015.
TEST_CASE("no change before an entry of the leader's own term is committed", "[raft][membership]") {
    TestNode node(test_config(1), recovered(3));
    node.elect();
    propose(node, ConfChangeKind::kAddLearner, 4);
    const Ready ready = node.take();
    REQUIRE(ready.refused.size() == 1);
    CHECK(ready.refused[0].reason == Errc::kTooManyRequests);
    node.receive(2, 1, acked(1));
    node.settle();
    propose(node, ConfChangeKind::kAddLearner, 4);
    CHECK(node.take().refused.empty());
    CHECK(node.raft->status().conf.learners == std::vector{NodeId{4}});
}

TEST_CASE("a joint configuration is left when it is committed, not before", "[raft][membership]") {
    TestNode node = leader_of();
    node.step(Propose{.id = proposal(7), .payload = Bytes::copy_of("x")});
    propose(node, ConfChangeKind::kAddVoter, 4);
    node.settle();
    REQUIRE(node.raft->last_index() == Index{3});
    node.receive(2, 1, acked(2));
    node.receive(3, 1, acked(2));
    node.settle();
    CHECK(node.raft->commit() == Index{2});
    CHECK(node.raft->last_index() == Index{3});
    node.receive(2, 1, acked(3));
    node.receive(3, 1, acked(3));
    node.settle();
    CHECK(node.raft->commit() == Index{3});
    CHECK(node.raft->last_index() == Index{4});
    CHECK(node.raft->status().conf.voters_outgoing.empty());
}

TEST_CASE("a learner that becomes a voter is a learner no more", "[raft][membership]") {
    TestNode node = leader_of();
    propose(node, ConfChangeKind::kAddLearner, 4);
    node.settle();
    node.receive(2, 1, acked(2));
    node.settle();
    propose(node, ConfChangeKind::kAddVoter, 4);
    node.settle();
    const ConfState conf = node.raft->status().conf;
    CHECK(conf.voters == node_ids(4));
    CHECK(conf.learners.empty());
}

// etcd-io/raft e6ce296.
TEST_CASE("nobody campaigns with a joint configuration that it may yet lose",
          "[raft][membership][election]") {
    TestNode node = follower_of();
    node.receive(2, 1,
                 Append{.prev = id(1, 1),
                        .commit = Index{1},
                        .entries = {config(1, 2, ConfChangeKind::kAddVoter, 4)}});
    node.take();  // on its way to the disk
    node.step(Campaign{});
    CHECK(of_kind(node.take().messages, MessageKind::kPreVote).empty());
    node.settle();
    node.step(Campaign{});
    CHECK(of_kind(node.take().messages, MessageKind::kPreVote).size() == 3);
}

TEST_CASE("a transfer ends at once when its target is out of the configuration",
          "[raft][membership][transfer]") {
    TestNode node = leader_of();
    propose(node, ConfChangeKind::kRemove, 3);
    node.settle();
    node.step(TransferLeader{NodeId{3}});
    node.settle();
    node.receive(2, 1, acked(2));  // both halves of the joint configuration have it
    const Ready ready = node.take();
    REQUIRE(ready.transfer);
    CHECK(ready.transfer->error == Errc::kBadLeaderTransferee);
}

}  // namespace cairn::raft::testing
