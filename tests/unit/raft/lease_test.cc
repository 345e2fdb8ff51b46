// Reads by the leader's lease, and the promises of followers that it stands on.
#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {
namespace {

constexpr std::uint64_t kPromise = 1'000;
constexpr std::uint64_t kStart = 5'000;  // when members of these tests are past their own promise

Config lease_config() {
    Config config = test_config(1);
    config.lease_promise_ns = kPromise;
    return config;
}

void set_clock(TestNode& node, std::uint64_t now_ns) { node.step(ClockRead{now_ns}); }

// Past the promise of its start.
TestNode started_with(std::uint64_t voters) {
    TestNode node(lease_config(), recovered(voters));
    set_clock(node, kStart - kPromise);
    set_clock(node, kStart);
    return node;
}

TestNode started() { return started_with(3); }

// Leads term 1 of three; asked its followers at kStart, round 1.
TestNode leader() {
    TestNode node = started();
    node.elect();
    node.receive(2, 1, acked(1));
    node.receive(3, 1, acked(1));
    node.settle();
    set_clock(node, kStart);
    node.tick(1);
    const auto asked = of_kind(node.take().messages, MessageKind::kHeartbeat);
    REQUIRE(asked.size() == 2);
    REQUIRE(std::get<Heartbeat>(asked[0].body).read_round == 1);
    return node;
}

HeartbeatReply promised(std::uint64_t round) {
    return {.read_round = round, .promise_ns = kPromise};
}

// Leads, with the promise of one follower of two.
TestNode lease_holder() {
    TestNode node = leader();
    node.receive(2, 1, promised(1));
    node.settle();
    return node;
}

// Whether a read is granted without a message.
bool reads_at_once(TestNode& node, std::uint64_t request, std::uint64_t now_ns) {
    node.step(ReadIndex{request});
    set_clock(node, now_ns);
    const Ready ready = node.take();
    const bool granted = ready.reads == std::vector<ReadGrant>{{request, node.raft->commit()}};
    const bool asked = !of_kind(ready.messages, MessageKind::kHeartbeat).empty();
    REQUIRE(granted != asked);
    return granted;
}

// Follows member 2 in term 1, and answered its heartbeat at kStart.
TestNode promiser() {
    TestNode node = started();
    node.receive(2, 1, Append{.prev = {}, .commit = Index{1}, .entries = {noop(1, 1)}});
    node.settle();
    node.receive(2, 1, Heartbeat{.commit = Index{1}, .read_round = 4, .floor = {}});
    set_clock(node, kStart);
    REQUIRE(of_kind(node.settle(), MessageKind::kHeartbeatReply) ==
            std::vector<Message>{message(1, 2, 1, promised(4))});
    return node;
}

bool grants(TestNode& node, std::uint64_t from, std::uint64_t term, bool transfer = false) {
    node.receive(from, term, Vote{.last = id(9, 9), .transfer = transfer});
    const auto replies = of_kind(node.settle(), MessageKind::kVoteReply);
    return !replies.empty() && std::get<VoteReply>(replies.front().body).granted;
}

}  // namespace

TEST_CASE("a lease lasts nine tenths of the promise from the question on", "[raft][lease]") {
    TestNode node = leader();
    set_clock(node, kStart + 300);
    node.receive(2, 1, promised(1));
    node.settle();
    CHECK(reads_at_once(node, 1, kStart + 899));
    CHECK(node.raft->lease_reads() == 1);
    CHECK_FALSE(reads_at_once(node, 2, kStart + 900));
    // The answer to that question, round 4, renews it.
    node.receive(3, 1, promised(4));
    CHECK(node.take().reads == std::vector<ReadGrant>{{2, Index{1}}});
    CHECK(reads_at_once(node, 3, kStart + 1'799));
    CHECK_FALSE(reads_at_once(node, 4, kStart + 1'800));
    CHECK(node.raft->lease_reads() == 2);
}

TEST_CASE("a read of another member is granted by the lease, too", "[raft][lease]") {
    TestNode node = lease_holder();
    node.receive(3, 1, ReadIndexRequest{8});
    set_clock(node, kStart + 10);
    CHECK(without_trace(node.take()) ==
          only_messages({message(1, 3, 1, ReadIndexReply{8, true, Index{1}})}));
}

TEST_CASE("no lease without a clock that was read after the read came", "[raft][lease]") {
    TestNode node = lease_holder();
    set_clock(node, kStart + 10);
    node.step(ReadIndex{1});
    const Ready ready = node.take();
    CHECK(ready.reads.empty());
    CHECK(of_kind(ready.messages, MessageKind::kHeartbeat).size() == 2);
}

TEST_CASE("no lease without the promises of a quorum", "[raft][lease]") {
    TestNode node = leader();
    node.receive(2, 1, HeartbeatReply{.read_round = 1});
    node.receive(3, 1, HeartbeatReply{.read_round = 1, .promise_ns = kPromise - 1});
    node.settle();
    CHECK_FALSE(reads_at_once(node, 1, kStart + 10));
}

TEST_CASE("a new term begins without the lease of the last", "[raft][lease]") {
    TestNode node = lease_holder();
    node.receive(3, 2, AppendReply{.success = false, .match = {}, .rejected = {}, .hint = {}});
    node.settle();
    REQUIRE(node.raft->role() == Role::kFollower);
    set_clock(node, kStart + 10);
    node.elect();
    node.receive(2, 3, acked(2));
    node.settle();
    REQUIRE(node.raft->commit() == Index{2});
    CHECK_FALSE(reads_at_once(node, 1, kStart + 20));
}

// The single voter that is left may elect itself at any time.
TEST_CASE("a leader that leaves asks for each read", "[raft][lease]") {
    TestNode node = started_with(2);
    node.elect();
    node.receive(2, 1, acked(1));
    node.settle();
    node.step(Propose{
        proposal(1),
        encode_conf_change({.kind = ConfChangeKind::kRemove, .node = NodeId{1}, .context = {}}),
        EntryKind::kConfig});
    node.settle();
    node.receive(2, 1, acked(2));  // the joint configuration is committed, the next is on its way
    node.settle();
    REQUIRE(node.raft->role() == Role::kLeader);
    REQUIRE(node.raft->conf().voters == std::vector{NodeId{2}});
    set_clock(node, kStart + 10);
    node.tick(1);
    const auto asked = of_kind(node.take().messages, MessageKind::kHeartbeat);
    REQUIRE(asked.size() == 1);
    node.receive(2, 1, promised(std::get<Heartbeat>(asked[0].body).read_round));
    node.settle();
    CHECK_FALSE(reads_at_once(node, 1, kStart + 20));
}

TEST_CASE("an old answer does not renew a lease", "[raft][lease]") {
    TestNode node = lease_holder();
    set_clock(node, kStart + 800);
    node.tick(1);
    CHECK(of_kind(node.take().messages, MessageKind::kHeartbeat).size() == 2);
    node.receive(3, 1, promised(1));
    node.settle();
    CHECK_FALSE(reads_at_once(node, 1, kStart + 900));
}

TEST_CASE("who called the next leader has no lease in that term", "[raft][lease]") {
    TestNode node = lease_holder();
    node.step(TransferLeader{NodeId{2}});
    CHECK(of_kind(node.settle(), MessageKind::kTimeoutNow).size() == 1);
    CHECK_FALSE(reads_at_once(node, 1, kStart + 10));
    node.tick(node.config().election_ticks);  // the transfer is given up, but may still happen
    node.receive(2, 1, promised(2));
    node.receive(2, 1, promised(3));
    node.settle();
    CHECK_FALSE(reads_at_once(node, 2, kStart + 20));
}

TEST_CASE("a new configuration begins without a lease", "[raft][lease]") {
    TestNode node = lease_holder();
    node.step(Propose{
        proposal(1),
        encode_conf_change({.kind = ConfChangeKind::kAddLearner, .node = NodeId{4}, .context = {}}),
        EntryKind::kConfig});
    CHECK_FALSE(reads_at_once(node, 1, kStart + 10));
}

TEST_CASE("who promised votes for nobody else", "[raft][lease]") {
    TestNode node = promiser();
    SECTION("not until it is over") {
        set_clock(node, kStart + kPromise - 1);
        node.tick(node.config().election_ticks * 10);  // they came late, all at once
        CHECK_FALSE(grants(node, 3, 2));
        set_clock(node, kStart + kPromise);
        CHECK(grants(node, 3, 2));
    }
    SECTION("nor for itself") {
        node.tick(node.config().election_ticks * 10);
        CHECK(node.raft->role() == Role::kFollower);
        set_clock(node, kStart + kPromise);
        node.tick(node.config().election_ticks * 2);
        CHECK(node.raft->role() == Role::kPreCandidate);
    }
    SECTION("nor in a term that came without a vote") {
        node.receive(3, 2, AppendReply{.success = false, .match = {}, .rejected = {}, .hint = {}});
        node.settle();
        REQUIRE(node.raft->term() == Term{2});
        CHECK_FALSE(grants(node, 3, 2));
        set_clock(node, kStart + kPromise);
        CHECK(grants(node, 3, 2));
    }
    SECTION("but for whom the leader itself asked for") { CHECK(grants(node, 3, 2, true)); }
    SECTION("until the next clock a heartbeat counts as just taken") {
        set_clock(node, kStart + kPromise);
        node.receive(2, 1, Heartbeat{.commit = Index{1}, .read_round = 5, .floor = {}});
        node.tick(node.config().election_ticks * 10);
        CHECK_FALSE(grants(node, 3, 2));
        set_clock(node, kStart + 2 * kPromise);
        CHECK_FALSE(grants(node, 3, 2));
        set_clock(node, kStart + 3 * kPromise);
        CHECK(grants(node, 3, 2));
    }
}

TEST_CASE("a member that starts keeps the promise it may have given before", "[raft][lease]") {
    TestNode node(lease_config(), recovered(3));
    CHECK_FALSE(grants(node, 3, 1));
    set_clock(node, kStart);
    CHECK_FALSE(grants(node, 3, 1));
    set_clock(node, kStart + kPromise);
    CHECK(grants(node, 3, 1));
}

TEST_CASE("a single voter promises nobody", "[raft][lease]") {
    TestNode node(lease_config(), recovered(1));
    node.step(Campaign{});
    node.settle();
    CHECK(node.raft->role() == Role::kLeader);
}

}  // namespace cairn::raft::testing
