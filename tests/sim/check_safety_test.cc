// The safety checker, each rule with one observation that breaks it, and the same without.
#include "sim/check_safety.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "raft/conf_change.h"

namespace cairn::sim {
namespace {

// Nodes with an equal log of what they were bootstrapped with, the first of which `voters` vote.
class Cluster {
  public:
    explicit Cluster(NodeIndex voters = kNodes) : checker(kNodes, verdict, {}) {
        std::vector<raft::BootstrapMember> members;
        for (NodeIndex node = 0; node < voters; ++node) {
            members.push_back({.id = checker.id_of(node), .context = {}});
        }
        const raft::PersistBatch batch = raft::bootstrap_batch(std::move(members));
        last = Index{voters};
        conf = checker.applied_conf();
        for (NodeIndex node = 0; node < voters; ++node) {
            conf.voters.push_back(checker.id_of(node));
        }
        checker.on_bootstrap(batch);
        for (NodeIndex node = 0; node < kNodes; ++node) {
            checker.on_start(node, {}, Index{});
            write(node, batch);
            recovered.push_back(
                {.hard_state = *batch.hard_state, .floor = {}, .entries = batch.entries});
            checker.on_turn(node, follower());
        }
        REQUIRE(verdict.invariant().empty());
    }
    [[nodiscard]] NodeFacts follower() const {
        return {.term = recovered[0].hard_state.term, .commit = last, .applied = {}, .last = last};
    }
    void write(NodeIndex node, const raft::PersistBatch& batch) {
        checker.on_persist_wanted(node, batch);
        checker.on_persisted(node, 1);
    }
    // All say to their disks that `node` is to lead.
    void elect(NodeIndex node) {
        for (NodeIndex voter = 0; voter < kNodes; ++voter) {
            raft::HardState& state = recovered[voter].hard_state;
            state = {.term = kTerm, .vote = checker.id_of(node), .commit = last};
            write(voter, {.seq = {}, .floor = {}, .hard_state = state, .entries = {}});
        }
    }
    [[nodiscard]] NodeFacts leader() const {
        return {.role = raft::Role::kLeader, .term = kTerm, .commit = last, .last = last};
    }
    // A node's log of its own, written: a no-op each.
    void append(NodeIndex node, std::uint64_t count) {
        raft::PersistBatch batch;
        for (; count > 0; --count) {
            const Index index = recovered[node].floor.last.index + recovered[node].entries.size();
            batch.entries.push_back({.id = {kTerm, index + 1}, .payload = {}});
            recovered[node].entries.push_back(batch.entries.back());
        }
        write(node, batch);
    }
    // A learner that no node is yet; in the leader's log, and not written.
    void add_learner(NodeIndex leader, Index index, NodeId id) {
        raft::PersistBatch batch;
        batch.entries.push_back(
            {.id = {kTerm, index},
             .kind = raft::EntryKind::kConfig,
             .payload = raft::encode_conf_change(
                 {.kind = raft::ConfChangeKind::kAddLearner, .node = id, .context = {}})});
        checker.on_persist_wanted(leader, batch);
    }
    [[nodiscard]] raft::SnapshotMeta snapshot(Index index) const {
        return {.last = {recovered[0].entries.front().id.term, index}, .conf = conf};
    }

    static constexpr NodeIndex kNodes = 3;
    static constexpr Term kTerm{7};

    Verdict verdict;
    SafetyChecker checker;
    Index last{};
    raft::ConfState conf{};
    std::vector<raft::Recovered> recovered;  // what the disks hold, by node
};

TEST_CASE("A snapshot of another state is found", "[sim][safety]") {
    Cluster right;
    raft::PersistBatch floor;
    floor.floor = right.snapshot(right.last);
    right.checker.on_persist_wanted(0, floor);
    CHECK(right.verdict.invariant().empty());

    Cluster unapplied;
    unapplied.checker.on_built(0, unapplied.snapshot(unapplied.last));
    CHECK(unapplied.verdict.invariant() == "S1");

    Cluster uncommitted;
    floor.floor->last.index = uncommitted.last + 1;
    uncommitted.checker.on_persist_wanted(0, floor);
    CHECK(uncommitted.verdict.invariant() == "S1");

    Cluster other_members;
    floor.floor = other_members.snapshot(other_members.last);
    floor.floor->conf.voters.pop_back();
    other_members.checker.on_persist_wanted(0, floor);
    CHECK(other_members.verdict.invariant() == "S1");

    Cluster back;
    back.checker.on_installed(0, back.snapshot(back.last));
    CHECK(back.verdict.invariant() == "S1");
}

TEST_CASE("Two changes of the members at a time are found", "[sim][safety]") {
    Cluster cluster;
    cluster.elect(0);
    cluster.add_learner(0, cluster.last + 1, NodeId{0xa});
    NodeFacts facts = cluster.leader();
    facts.last = cluster.last + 1;
    cluster.checker.on_turn(0, facts);
    CHECK(cluster.verdict.invariant().empty());

    cluster.add_learner(0, cluster.last + 2, NodeId{0xb});
    facts.last = cluster.last + 2;
    cluster.checker.on_turn(0, facts);
    CHECK(cluster.verdict.invariant() == "M1");
}

TEST_CASE("A change of the members that makes no sense is found", "[sim][safety]") {
    Cluster cluster;
    cluster.elect(0);
    cluster.add_learner(0, cluster.last + 1, cluster.checker.id_of(1));  // who votes
    CHECK(cluster.verdict.invariant() == "M1");
}

TEST_CASE("A leader that goes by other members than its log says is found", "[sim][safety]") {
    Cluster cluster;
    cluster.elect(0);
    cluster.checker.on_turn(0, cluster.leader());
    raft::Status status;
    status.conf = cluster.conf;
    cluster.checker.on_leader_status(0, status);
    CHECK(cluster.verdict.invariant().empty());
    status.conf.voters.pop_back();
    cluster.checker.on_leader_status(0, status);
    CHECK(cluster.verdict.invariant() == "M1");
}

TEST_CASE("A leader without a vote of its own is found", "[sim][safety]") {
    Cluster right(2);
    right.elect(1);
    right.checker.on_turn(1, right.leader());
    CHECK(right.verdict.invariant().empty());

    Cluster wrong(2);
    wrong.elect(2);
    wrong.checker.on_turn(2, wrong.leader());
    CHECK(wrong.verdict.invariant() == "E3");
}

TEST_CASE("A leader that no quorum has voted for is found", "[sim][safety]") {
    Cluster cluster;
    cluster.elect(0);
    cluster.checker.on_turn(1, cluster.leader());
    CHECK(cluster.verdict.invariant() == "E2");
}

TEST_CASE("A restart below what was durable is found", "[sim][safety]") {
    const auto verdict_on = [](std::uint64_t term, std::uint64_t commit) {
        Cluster cluster;
        cluster.elect(0);
        cluster.checker.on_crash(1);
        cluster.checker.on_start(1, cluster.recovered[1], Index{1});
        REQUIRE(cluster.verdict.invariant().empty());
        NodeFacts facts = cluster.follower();
        facts.term = Term{term};
        facts.commit = Index{commit};
        facts.applied = Index{1};
        cluster.checker.on_turn(1, facts);
        return cluster.verdict.invariant();
    };
    CHECK(verdict_on(Cluster::kTerm.value, 3).empty());
    CHECK(verdict_on(Cluster::kTerm.value - 1, 3) == "E4");
    CHECK(verdict_on(Cluster::kTerm.value, 2) == "E4");

    Cluster cluster;
    cluster.checker.on_start(1, cluster.recovered[1], Index{1});
    cluster.checker.on_turn(1, cluster.follower());  // nothing applied
    CHECK(cluster.verdict.invariant() == "E4");
}

TEST_CASE("A state of an older revision than goes with what is applied is found", "[sim][safety]") {
    const auto verdict_on = [](Index applied, const Revisions& revisions) {
        Cluster cluster;
        cluster.checker.on_revisions(0, Index{10}, {.newest = 5, .compacted = 2});
        cluster.checker.on_revisions(1, Index{20}, {.newest = 9, .compacted = 4});
        cluster.checker.on_revisions(2, applied, revisions);
        return cluster.verdict.invariant();
    };
    CHECK(verdict_on(Index{10}, {.newest = 5, .compacted = 2}).empty());
    CHECK(verdict_on(Index{15}, {.newest = 9, .compacted = 2}).empty());
    CHECK(verdict_on(Index{10}, {.newest = 4, .compacted = 2}) == "E4");
    CHECK(verdict_on(Index{15}, {.newest = 4, .compacted = 2}) == "E4");
    CHECK(verdict_on(Index{15}, {.newest = 5, .compacted = 5}) == "E4");
    CHECK(verdict_on(Index{25}, {.newest = 9, .compacted = 3}) == "E4");
}

TEST_CASE("Damage may take the newest write and nothing more", "[sim][safety]") {
    // Three entries are durable, and then in one write two more; or a vote.
    const auto verdict_on = [](bool newest_is_vote, const auto& damage) {
        Cluster cluster;
        if (newest_is_vote) {
            cluster.append(0, 2);
            cluster.elect(1);
        } else {
            cluster.elect(1);
            cluster.append(0, 2);
        }
        cluster.checker.on_crash(0);
        raft::Recovered found = cluster.recovered[0];
        damage(found);
        cluster.checker.check_damage(0, found);
        return cluster.verdict.invariant();
    };
    const raft::HardState before = Cluster().recovered[0].hard_state;
    const auto cut = [](std::size_t left) {
        return [left](raft::Recovered& found) { found.entries.resize(left); };
    };
    CHECK(verdict_on(false, cut(5)).empty());
    CHECK(verdict_on(false, cut(3)).empty());
    CHECK(verdict_on(false, cut(2)) == "D5");
    CHECK(verdict_on(true, cut(4)) == "D5");
    // Term and vote go back as far as the newest write has them from, and no further.
    const auto state_is = [](const raft::HardState& state) {
        return [state](raft::Recovered& found) { found.hard_state = state; };
    };
    CHECK(verdict_on(true, state_is(before)).empty());
    CHECK(verdict_on(false, state_is(before)) == "D5");
    CHECK(verdict_on(false, [](raft::Recovered& found) { found.hard_state.vote = {}; }) == "D5");
    CHECK(verdict_on(true, [](raft::Recovered& found) { found.hard_state.vote = {}; }) == "D5");
    CHECK(verdict_on(true, [](raft::Recovered& found) { ++found.hard_state.term.value; }) == "D5");
    CHECK(verdict_on(false, [](raft::Recovered& found) {
              found.entries[1].payload = Bytes::copy_of("x");
          }) == "D5");
}

}  // namespace
}  // namespace cairn::sim
