// Which changes of the members a leader takes, and whom a member must reach.
#include "server/replica/membership.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "storage/command.h"
#include "unit/raft/fixture.h"

namespace cairn::server {
namespace {

using raft::ConfChangeKind;
using raft::testing::acked;
using raft::testing::recovered;
using raft::testing::test_config;
using raft::testing::TestNode;

command::MemberInfo member(std::uint64_t id, bool started = true, bool is_learner = false) {
    command::MemberInfo info;
    info.set_id(id);
    info.set_name(started ? "n" + std::to_string(id) : "");
    info.add_peer_urls("http://h:" + std::to_string(id));
    info.set_is_learner(is_learner);
    return info;
}

Bytes change_of(command::CommandKind kind, const command::MemberInfo& info) {
    ConfChangeKind conf = ConfChangeKind::kAddVoter;
    if (kind == command::MEMBER_REMOVE) {
        conf = ConfChangeKind::kRemove;
    } else if (kind == command::MEMBER_UPDATE) {
        conf = ConfChangeKind::kUpdate;
    } else if (kind == command::MEMBER_ADD) {
        conf = ConfChangeKind::kAddLearner;
    }
    const Bytes context =
        storage::encode_command({.kind = kind,
                                 .id = {},
                                 .decided_in = Term{1},
                                 .request = Bytes::copy_of(info.SerializeAsString())});
    return raft::encode_conf_change({conf, NodeId{info.id()}, context});
}

// Member 1 leads voters 1 to `voters` and learners behind them; everybody is heard of but those
// named silent.
struct Leader {
    explicit Leader(std::uint64_t voters, std::uint64_t learners = 0,
                    std::vector<std::uint64_t> silent_ones = {})
        : node(test_config(1), log_with(voters, learners)), silent(std::move(silent_ones)) {
        node.elect();
        for (std::uint64_t id = 2; id <= voters + learners; ++id) {
            if (std::find(silent.begin(), silent.end(), id) == silent.end()) {
                node.receive(id, node.raft->term().value, acked(node.raft->last_index().value));
            }
        }
        node.settle();
        for (std::uint64_t id = 1; id <= voters + learners; ++id) {
            store.members.push_back(member(id, true, id > voters));
        }
    }
    static raft::Recovered log_with(std::uint64_t voters, std::uint64_t learners) {
        raft::Recovered log = recovered(voters);
        for (std::uint64_t id = voters + 1; id <= voters + learners; ++id) {
            log.floor.conf.learners.push_back(NodeId{id});
        }
        return log;
    }

    [[nodiscard]] Membership membership() const {
        return {NodeId{1}, limits, std::make_shared<const storage::Membership>(store)};
    }
    std::optional<WantedChange> judge(const Bytes& payload, Index applied,
                                      bool is_early = false) const {
        Membership judging = membership();
        CHECK(judging.want({NodeId{2},
                            node.raft->term(),
                            {.id = {}, .payload = payload, .kind = raft::EntryKind::kConfig}}));
        const auto is_connected = [this](NodeId id) {
            return std::find(silent.begin(), silent.end(), id.value) == silent.end();
        };
        return judging.judge_next(*node.raft, applied, {is_connected, is_early});
    }
    // What is wrong with it.
    std::optional<Errc> refusal(command::CommandKind kind, const command::MemberInfo& info) const {
        const auto judged = judge(change_of(kind, info), node.raft->last_index());
        REQUIRE(judged.has_value());
        return judged->change.refusal;
    }

    TestNode node;
    std::vector<std::uint64_t> silent;
    storage::Membership store;
    MembershipLimits limits{.strict = true, .learners_max = 1};
};

}  // namespace

TEST_CASE("a change must make sense", "[replica][membership]") {
    Leader leader(2, 1);
    leader.store.removed = {NodeId{9}};
    command::MemberInfo taken = member(4);
    *taken.mutable_peer_urls() = member(2).peer_urls();
    CHECK(leader.refusal(command::MEMBER_ADD, member(4)) == std::nullopt);
    CHECK(leader.refusal(command::MEMBER_ADD, member(2)) == Errc::kMemberExists);
    CHECK(leader.refusal(command::MEMBER_ADD, taken) == Errc::kPeerUrlExists);
    CHECK(leader.refusal(command::MEMBER_ADD, member(9)) == Errc::kMemberNotFound);
    CHECK(leader.refusal(command::MEMBER_ADD, member(4, true, true)) == Errc::kTooManyLearners);
    CHECK(leader.refusal(command::MEMBER_REMOVE, member(3)) == std::nullopt);
    CHECK(leader.refusal(command::MEMBER_REMOVE, member(4)) == Errc::kMemberNotFound);
    CHECK(leader.refusal(command::MEMBER_REMOVE, member(9)) == Errc::kMemberNotFound);
    CHECK(leader.refusal(command::MEMBER_UPDATE, member(2)) == std::nullopt);
    taken.set_id(3);
    CHECK(leader.refusal(command::MEMBER_UPDATE, taken) == Errc::kPeerUrlExists);
    CHECK(leader.refusal(command::MEMBER_UPDATE, member(4)) == Errc::kMemberNotFound);
    CHECK(leader.refusal(command::MEMBER_PROMOTE, member(2)) == Errc::kMemberNotLearner);
    CHECK(leader.refusal(command::MEMBER_PROMOTE, member(4)) == Errc::kMemberNotFound);
    leader.limits.learners_max = 2;
    CHECK(leader.refusal(command::MEMBER_ADD, member(4, true, true)) == std::nullopt);
}

TEST_CASE("a voter is added when enough others run and are heard of", "[replica][membership]") {
    SECTION("one alone may always have a second") {
        CHECK(Leader(1).refusal(command::MEMBER_ADD, member(4)) == std::nullopt);
    }
    SECTION("but no third before the second runs") {
        Leader leader(2);
        leader.store.members[1].clear_name();
        CHECK(leader.refusal(command::MEMBER_ADD, member(4)) == Errc::kMemberNotEnoughStarted);
        // A learner costs no quorum.
        CHECK(leader.refusal(command::MEMBER_ADD, member(4, true, true)) == std::nullopt);
        leader.limits.strict = false;
        CHECK(leader.refusal(command::MEMBER_ADD, member(4)) == std::nullopt);
    }
    SECTION(
        "one that is silent may be left behind, or replaced, by a quorum of the larger cluster") {
        CHECK(Leader(5, 0, {3}).refusal(command::MEMBER_ADD, member(6)) == std::nullopt);
        CHECK(Leader(5, 0, {3, 4}).refusal(command::MEMBER_ADD, member(6)) == Errc::kUnhealthy);
        Leader leader(4, 0, {3});
        CHECK(leader.refusal(command::MEMBER_ADD, member(6)) == std::nullopt);
        CHECK(leader.refusal(command::MEMBER_ADD, member(6, true, true)) == std::nullopt);
        leader.store.members[2].clear_name();
        CHECK(leader.refusal(command::MEMBER_ADD, member(6)) == std::nullopt);
        leader.store.members[1].clear_name();
        CHECK(leader.refusal(command::MEMBER_ADD, member(6)) == Errc::kMemberNotEnoughStarted);
    }
    SECTION("of three none at all while one is silent") {
        Leader leader(3, 0, {3});
        CHECK(leader.refusal(command::MEMBER_ADD, member(4)) == Errc::kUnhealthy);
        CHECK(leader.refusal(command::MEMBER_ADD, member(4, true, true)) == Errc::kUnhealthy);
        leader.limits.strict = false;
        CHECK(leader.refusal(command::MEMBER_ADD, member(4)) == std::nullopt);
    }
}

TEST_CASE("a voter is removed when a quorum of the rest lives on", "[replica][membership]") {
    SECTION("not the last") {
        CHECK(Leader(1).refusal(command::MEMBER_REMOVE, member(1)) ==
              Errc::kMemberNotEnoughStarted);
    }
    SECTION("the silent one always, another not") {
        const Leader leader(3, 0, {3});
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(3)) == std::nullopt);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(2)) == Errc::kUnhealthy);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(1)) == Errc::kUnhealthy);
    }
    SECTION("not when the rest never started") {
        Leader leader(3);
        leader.store.members[2].clear_name();
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(2)) == Errc::kMemberNotEnoughStarted);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(3)) == std::nullopt);
    }
    SECTION("a learner always") {
        CHECK(Leader(3, 1, {3, 4}).refusal(command::MEMBER_REMOVE, member(4)) == std::nullopt);
    }
    SECTION("who has no vote yet helps nobody") {
        // Clients know 4 and 5 as voters: of five, four are heard. Of those with a vote, two of
        // three are.
        Leader leader(3, 2, {3});
        leader.store.members[3].set_is_learner(false);
        leader.store.members[4].set_is_learner(false);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(2)) == Errc::kUnhealthy);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(3)) == std::nullopt);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(4)) == std::nullopt);
        leader.silent.clear();
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(2)) == std::nullopt);
    }
    SECTION("nor may the last vote go while another is to come") {
        Leader leader(1, 1);
        leader.store.members[1].set_is_learner(false);
        CHECK(leader.refusal(command::MEMBER_REMOVE, member(1)) == Errc::kUnhealthy);
    }
}

TEST_CASE("a new leader waits for the first word of all before it judges",
          "[replica][membership]") {
    Leader leader(3, 1, {3});
    const Bytes removal = change_of(command::MEMBER_REMOVE, member(2));
    const Index last = leader.node.raft->last_index();
    CHECK_FALSE(leader.judge(removal, last, true).has_value());
    CHECK(leader.judge(removal, last)->change.refusal == Errc::kUnhealthy);
    // A learner's also: its word counts when it is to be promoted.
    leader.silent = {4};
    CHECK_FALSE(leader.judge(removal, last, true).has_value());
    leader.silent.clear();
    CHECK(leader.judge(removal, last, true)->change.refusal == std::nullopt);
}

TEST_CASE("a learner is promoted when it has nearly all of the log", "[replica][membership]") {
    Leader leader(1, 1, {2});
    for (std::uint64_t i = 0; i < 19; ++i) {
        leader.node.step(raft::Propose{.id = {}, .payload = Bytes::copy_of("x")});
    }
    leader.node.settle();
    const std::uint64_t last = leader.node.raft->last_index().value;
    REQUIRE(last == 20);
    CHECK(leader.refusal(command::MEMBER_PROMOTE, member(2)) == Errc::kLearnerNotReady);
    leader.node.receive(2, leader.node.raft->term().value, acked(17));
    CHECK(leader.refusal(command::MEMBER_PROMOTE, member(2)) == Errc::kLearnerNotReady);
    leader.node.receive(2, leader.node.raft->term().value, acked(18));
    CHECK(leader.refusal(command::MEMBER_PROMOTE, member(2)) == std::nullopt);
    // And has died since: its vote would count and never come.
    leader.node.tick(leader.node.config().election_ticks);
    CHECK(leader.refusal(command::MEMBER_PROMOTE, member(2)) == Errc::kLearnerNotReady);
}

TEST_CASE("a new voter gets its vote when it runs and has the log", "[replica][membership]") {
    Leader leader(1, 1, {2});
    const Index last = leader.node.raft->last_index();
    // A learner to clients, too: it waits for them.
    CHECK_FALSE(leader.membership().vote_due(*leader.node.raft, last).has_value());
    leader.store.members[1].set_is_learner(false);
    CHECK_FALSE(leader.membership().vote_due(*leader.node.raft, last).has_value());
    leader.node.receive(2, leader.node.raft->term().value, acked(last.value));
    const auto vote = leader.membership().vote_due(*leader.node.raft, last);
    REQUIRE(vote.has_value());
    const auto change = raft::decode_conf_change(*vote);
    REQUIRE(change.has_value());
    CHECK(change.value().kind == ConfChangeKind::kAddVoter);
    CHECK(change.value().node == NodeId{2});
    leader.node.step(raft::Propose{.id = {}, .payload = *vote, .kind = raft::EntryKind::kConfig});
    CHECK_FALSE(leader.membership().vote_due(*leader.node.raft, last).has_value());
    CHECK(leader.node.raft->conf().voters == std::vector<NodeId>{NodeId{1}, NodeId{2}});
}

// Under load nobody ever has the end of a leader's log.
TEST_CASE("a new voter needs only what is committed for its vote", "[replica][membership]") {
    Leader leader(3, 1);
    leader.store.members[3].set_is_learner(false);
    const Index committed = leader.node.raft->last_index();
    REQUIRE(leader.node.raft->commit() == committed);
    for (int i = 0; i < 2000; ++i) {
        leader.node.step(raft::Propose{.id = {}, .payload = Bytes::copy_of("x")});
    }
    leader.node.settle();
    REQUIRE(leader.node.raft->last_index() == committed + 2000);
    REQUIRE(leader.node.raft->commit() == committed);
    CHECK(leader.membership().vote_due(*leader.node.raft, committed).has_value());
    // Not when it lacks that.
    for (const std::uint64_t id : {2U, 3U}) {
        leader.node.receive(id, leader.node.raft->term().value, acked(committed.value + 2000));
    }
    leader.node.settle();
    CHECK_FALSE(leader.membership()
                    .vote_due(*leader.node.raft, leader.node.raft->last_index())
                    .has_value());
}

TEST_CASE("each change waits until the one before is applied", "[replica][membership]") {
    Leader leader(3);
    const Bytes payload = change_of(command::MEMBER_UPDATE, member(2));
    const Index settled = leader.node.raft->last_index();
    leader.node.step(raft::Propose{.id = {}, .payload = payload, .kind = raft::EntryKind::kConfig});
    CHECK_FALSE(leader.judge(payload, settled).has_value());
    leader.node.settle();
    leader.node.receive(2, leader.node.raft->term().value,
                        acked(leader.node.raft->last_index().value));
    leader.node.settle();
    // Committed, and not applied.
    CHECK_FALSE(leader.judge(payload, settled).has_value());
    CHECK(leader.judge(payload, settled + 1).has_value());
}

TEST_CASE("what a former leader was asked for is refused", "[replica][membership]") {
    Leader leader(3);
    Membership membership = leader.membership();
    const Bytes payload = change_of(command::MEMBER_UPDATE, member(2));
    REQUIRE(membership.want({NodeId{2},
                             leader.node.raft->term(),
                             {.id = {}, .payload = payload, .kind = raft::EntryKind::kConfig}}));
    leader.node.receive(3, leader.node.raft->term().value + 1, raft::HeartbeatReply{});
    // At once, however early it is.
    const auto judged =
        membership.judge_next(*leader.node.raft, leader.node.raft->last_index(),
                              {.is_connected = [](NodeId) { return false; }, .is_early = true});
    REQUIRE(judged.has_value());
    CHECK(judged->change.refusal == Errc::kLeaderChanged);
}

TEST_CASE("no more changes wait than there is room for", "[replica][membership]") {
    const Leader leader(3);
    Membership membership = leader.membership();
    std::size_t taken = 0;
    while (taken < 1000 &&
           membership.want({NodeId{2}, Term{1}, {.id = {}, .payload = {}, .kind = {}}})) {
        ++taken;
    }
    CHECK(taken == 64);
}

TEST_CASE("bytes that are no change are refused", "[replica][membership]") {
    const Leader leader(3);
    const Index last = leader.node.raft->last_index();
    CHECK(leader.judge(Bytes::copy_of("nonsense"), last)->change.refusal ==
          Errc::kMalformedRequest);
    // Of one member in the envelope, of another within.
    const Bytes context =
        storage::encode_command({.kind = command::MEMBER_REMOVE,
                                 .id = {},
                                 .decided_in = Term{1},
                                 .request = Bytes::copy_of(member(2).SerializeAsString())});
    CHECK(
        leader.judge(raft::encode_conf_change({ConfChangeKind::kRemove, NodeId{3}, context}), last)
            ->change.refusal == Errc::kMalformedRequest);
}

TEST_CASE("a member reaches all that its log counts", "[replica][membership]") {
    Leader leader(3);
    Membership membership = leader.membership();
    const auto ids = [&] {
        std::vector<std::uint64_t> found;
        for (const auto& info : membership.peers()->members) {
            found.push_back(info.id());
        }
        return found;
    };
    const Index applied = leader.node.raft->last_index();
    const auto ack_all = [&](std::uint64_t id) {
        leader.node.receive(id, leader.node.raft->term().value,
                            acked(leader.node.raft->last_index().value));
        leader.node.settle();
    };
    CHECK(membership.follow(*leader.node.raft, applied));
    CHECK_FALSE(membership.follow(*leader.node.raft, applied));
    CHECK(ids() == std::vector<std::uint64_t>{1, 2, 3});

    // Whom an entry brings in, as soon as it is in the log.
    leader.node.step(raft::Propose{.id = {},
                                   .payload = change_of(command::MEMBER_ADD, member(4)),
                                   .kind = raft::EntryKind::kConfig});
    leader.node.settle();
    CHECK(membership.follow(*leader.node.raft, applied));
    CHECK(ids() == std::vector<std::uint64_t>{1, 2, 3, 4});
    for (int round = 0; round < 2; ++round) {
        for (std::uint64_t id = 2; id <= 4; ++id) {
            ack_all(id);
        }
    }
    leader.store.members.push_back(member(4));
    membership.on_applied(std::make_shared<const storage::Membership>(leader.store));
    CHECK(membership.follow(*leader.node.raft, leader.node.raft->last_index()));

    // Whom one throws out, until the configuration without it is committed.
    leader.node.step(raft::Propose{.id = {},
                                   .payload = change_of(command::MEMBER_REMOVE, member(3)),
                                   .kind = raft::EntryKind::kConfig});
    leader.node.settle();
    leader.store.members.erase(leader.store.members.begin() + 2);
    leader.store.removed = {NodeId{3}};
    membership.on_applied(std::make_shared<const storage::Membership>(leader.store));
    CHECK(membership.follow(*leader.node.raft, leader.node.raft->last_index()));
    CHECK(ids() == std::vector<std::uint64_t>{1, 2, 3, 4});
    CHECK(membership.peers()->removed.empty());
    for (const std::uint64_t id : {2U, 4U}) {
        ack_all(id);
    }
    REQUIRE(leader.node.raft->conf().voters_outgoing.empty());
    REQUIRE_FALSE(leader.node.raft->conf_settled());
    CHECK(membership.follow(*leader.node.raft, leader.node.raft->last_index()));
    CHECK(ids() == std::vector<std::uint64_t>{1, 2, 3, 4});
    CHECK(membership.peers()->removed.empty());
    for (const std::uint64_t id : {2U, 4U}) {
        ack_all(id);
    }
    CHECK(membership.follow(*leader.node.raft, leader.node.raft->last_index()));
    CHECK(ids() == std::vector<std::uint64_t>{1, 2, 4});
    CHECK(membership.peers()->removed == std::vector<NodeId>{NodeId{3}});
}

// As after --force-new-cluster: the log knows since the start, the state machine much later.
TEST_CASE("who is out by the log is out before that is applied", "[replica][membership]") {
    Leader leader(1);
    leader.store.members.push_back(member(2));
    leader.store.members.push_back(member(3));
    leader.store.removed = {NodeId{9}};
    Membership membership = leader.membership();
    const Index last = leader.node.raft->last_index();
    CHECK(membership.follow(*leader.node.raft, last));
    const PeerSet& peers = *membership.peers();
    REQUIRE(peers.members.size() == 1);
    CHECK(peers.members[0].id() == 1);
    CHECK(peers.removed == std::vector<NodeId>{NodeId{2}, NodeId{3}, NodeId{9}});
    // Who asks is told what is applied, and of when.
    CHECK(peers.applied.size() == 3);
    CHECK(peers.applied_index == last);
}

}  // namespace cairn::server
