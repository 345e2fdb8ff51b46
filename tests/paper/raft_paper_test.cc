// One test for each claim of the Raft paper (Ongaro, Ousterhout: In Search of an Understandable
// Consensus Algorithm, extended version), §5.1 to §5.4, §5.6 and §8. Quotations are its sentences,
// shortened.
#include <set>
#include <tuple>

#include "unit/raft/fixture.h"

namespace cairn::raft::testing {
namespace {

// Pre-votes and leases are not in the paper.
Config paper_config(std::uint64_t id) {
    Config config = test_config(id);
    config.pre_vote = false;
    config.check_quorum = false;
    return config;
}

TestNode paper_node(std::uint64_t voters, std::uint64_t term = 0, std::vector<Entry> log = {}) {
    return TestNode(paper_config(1), recovered(voters, term, std::move(log)));
}

Append append_of(EntryId prev, std::vector<Entry> entries, std::uint64_t commit = 0) {
    return {.prev = prev, .commit = Index{commit}, .entries = std::move(entries)};
}

EntryId id(std::uint64_t term, std::uint64_t index) { return {Term{term}, Index{index}}; }

std::vector<std::uint64_t> terms_of(const Raft& raft) {
    std::vector<std::uint64_t> terms;
    for (Index i{1}; i <= raft.last_index(); ++i) {
        terms.push_back(raft.entry(i).id.term.value);
    }
    return terms;
}

// Ticks until it stops being a follower; how many that took.
std::uint64_t ticks_until_campaign(TestNode& node) {
    for (std::uint64_t count = 1; count < 100; ++count) {
        node.tick(1);
        if (node.raft->role() != Role::kFollower) {
            return count;
        }
    }
    return 0;
}

TestNode elected(std::uint64_t voters) {
    TestNode node = paper_node(voters);
    node.step(Campaign{});
    node.settle();
    for (std::uint64_t from = 2; from <= voters / 2 + 1; ++from) {
        node.receive(from, node.raft->term().value, VoteReply{.granted = true});
    }
    REQUIRE(node.raft->role() == Role::kLeader);
    return node;
}

ProposalId proposal(std::uint64_t sequence) { return {NodeId{1}, 1, sequence}; }

}  // namespace

// §5.1 "If one server's current term is smaller than the other's, then it updates its current term
// to the larger value. If a candidate or leader discovers that its term is out of date, it
// immediately reverts to follower state."
TEST_CASE("5.1 a later term turns any role into a follower of that term", "[raft][paper]") {
    const auto role = GENERATE(Role::kFollower, Role::kCandidate, Role::kLeader);
    TestNode node = role == Role::kLeader ? elected(3) : paper_node(3);
    if (role == Role::kCandidate) {
        node.step(Campaign{});
    }
    REQUIRE(node.raft->role() == role);
    node.receive(2, 9, append_of({}, {}));
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE(node.raft->term() == Term{9});
    REQUIRE(node.raft->leader() == NodeId{2});
}

// §5.1 "If a server receives a request with a stale term number, it rejects the request."
TEST_CASE("5.1 a request of a stale term is rejected", "[raft][paper]") {
    TestNode node = paper_node(3, 5, log_of({5}));
    node.receive(2, 4, append_of(id(5, 1), {command(4, 2)}));
    node.receive(3, 4, Vote{.last = id(9, 9)});
    const Ready ready = node.take();
    REQUIRE(ready.messages == std::vector<Message>{message(1, 2, 5, AppendReply{}),
                                                   message(1, 3, 5, VoteReply{.granted = false})});
    REQUIRE(node.raft->last_index() == Index{1});
    REQUIRE_FALSE(ready.persist);
}

// §5.1 "Current terms are exchanged whenever servers communicate."
TEST_CASE("5.1 every message but a pre-vote carries the sender's term", "[raft][paper]") {
    TestNode node = elected(3);
    node.step(Propose{proposal(1), Bytes::copy_of("a")});
    node.tick(1);
    const auto sent = node.settle();
    REQUIRE(sent.size() >= 4);
    for (const Message& message : sent) {
        REQUIRE(message.term == node.raft->term());
    }
}

// §5.2 "When servers start up, they begin as followers."
TEST_CASE("5.2 a server starts as a follower", "[raft][paper]") {
    REQUIRE(paper_node(3).raft->role() == Role::kFollower);
    // Even one whose own vote made it leader of its term before.
    Recovered found = recovered(3, 4, log_of({4}));
    found.hard_state.vote = NodeId{1};
    TestNode node(paper_config(1), found);
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE_FALSE(node.raft->leader());
}

// §5.2 "Leaders send periodic heartbeats to all followers in order to maintain their authority."
TEST_CASE("5.2 a leader sends heartbeats to all others", "[raft][paper]") {
    TestNode node = elected(3);
    node.settle();
    node.tick(1);
    const auto sent = of_kind(node.take().messages, MessageKind::kHeartbeat);
    REQUIRE(sent ==
            std::vector<Message>{message(1, 2, 1, Heartbeat{}), message(1, 3, 1, Heartbeat{})});
}

// §5.2 "A server remains in follower state as long as it receives valid RPCs from a leader or
// candidate."
TEST_CASE("5.2 a follower that hears from its leader stays one", "[raft][paper]") {
    TestNode node = paper_node(3);
    for (int i = 0; i < 50; ++i) {
        node.receive(2, 1, Heartbeat{});
        node.tick(9);
        REQUIRE(node.raft->role() == Role::kFollower);
    }
}

// §5.2 "If a follower receives no communication over a period of time called the election timeout,
// then it begins an election": "a follower increments its current term and transitions to
// candidate state. It then votes for itself and issues RequestVote RPCs in parallel to each of the
// other servers."
TEST_CASE("5.2 a follower that hears nothing starts an election", "[raft][paper]") {
    TestNode node = paper_node(3, 2, log_of({1, 2}));
    REQUIRE(ticks_until_campaign(node) >= 10);
    REQUIRE(node.raft->role() == Role::kCandidate);
    REQUIRE(node.raft->term() == Term{3});
    REQUIRE(node.raft->hard_state().vote == NodeId{1});
    // The requests wait until term and vote are durable (figure 2: before responding to RPCs).
    const Ready before = node.take();
    REQUIRE(before.messages.empty());
    REQUIRE(before.persist->hard_state == HardState{Term{3}, NodeId{1}, Index{}});
    const Vote request{.last = id(2, 2), .transfer = false};
    REQUIRE(node.persist().messages ==
            std::vector<Message>{message(1, 2, 3, request), message(1, 3, 3, request)});
}

// §5.2 "A candidate wins an election if it receives votes from a majority of the servers in the
// full cluster for the same term."
TEST_CASE("5.2 a majority of votes makes a leader", "[raft][paper]") {
    const auto size = GENERATE(1U, 2U, 3U, 4U, 5U, 7U);
    TestNode node = paper_node(size);
    node.step(Campaign{});
    node.settle();
    for (std::uint64_t votes = 1; votes <= size; ++votes) {
        if (votes > 1 && node.raft->role() == Role::kCandidate) {
            node.receive(votes, 1, VoteReply{.granted = true});
        }
        REQUIRE(node.raft->role() == (votes >= size / 2 + 1 ? Role::kLeader : Role::kCandidate));
    }
}

// §5.2 "Each server will vote for at most one candidate in a given term, on a
// first-come-first-served basis."
TEST_CASE("5.2 one vote in a term, for who asks first", "[raft][paper]") {
    TestNode node = paper_node(3);
    node.receive(2, 1, Vote{.last = {}});
    node.receive(3, 1, Vote{.last = {}});
    node.receive(2, 1, Vote{.last = {}});
    const auto sent = node.settle();
    const auto yes = message(1, 2, 1, VoteReply{.granted = true});
    const auto no = message(1, 3, 1, VoteReply{.granted = false});
    REQUIRE(std::count(sent.begin(), sent.end(), yes) == 2);
    REQUIRE(std::count(sent.begin(), sent.end(), no) == 1);
    REQUIRE(sent.size() == 3);
    // Nor after a restart.
    node.start(Index{});
    node.receive(3, 1, Vote{.last = {}});
    REQUIRE(node.settle() == std::vector<Message>{no});
}

// §5.2 "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages to
// all of the other servers to establish its authority and prevent new elections."
TEST_CASE("5.2 a new leader speaks to everybody at once", "[raft][paper]") {
    TestNode node = elected(3);
    const Append first{.prev = {}, .commit = {}, .entries = {noop(1, 1)}};
    REQUIRE(of_kind(node.take().messages, MessageKind::kAppend) ==
            std::vector<Message>{message(1, 2, 1, first), message(1, 3, 1, first)});
}

// §5.2 "If the leader's term is at least as large as the candidate's current term, then the
// candidate recognizes the leader as legitimate and returns to follower state. If the term is
// smaller, the candidate rejects the RPC and continues in candidate state."
TEST_CASE("5.2 a candidate yields to a leader of its term, not to a stale one", "[raft][paper]") {
    TestNode node = paper_node(3, 3);
    node.step(Campaign{});
    node.settle();
    node.receive(2, 3, append_of({}, {}));
    REQUIRE(node.raft->role() == Role::kCandidate);
    REQUIRE(node.take().messages == std::vector<Message>{message(1, 2, 4, AppendReply{})});
    node.receive(2, 4, append_of({}, {}));
    REQUIRE(node.raft->role() == Role::kFollower);
    REQUIRE(node.raft->leader() == NodeId{2});
}

// §5.2 "Each candidate will time out and start a new election by incrementing its term."
TEST_CASE("5.2 a candidate without a result starts anew", "[raft][paper]") {
    TestNode node = paper_node(3);
    node.step(Campaign{});
    node.settle();
    REQUIRE(node.raft->term() == Term{1});
    node.tick(20);
    REQUIRE(node.raft->role() == Role::kCandidate);
    REQUIRE(node.raft->term() == Term{2});
}

// §5.2 "Raft uses randomized election timeouts ... chosen randomly from a fixed interval."
TEST_CASE("5.2 election timeouts are spread over the interval", "[raft][paper]") {
    std::set<std::uint64_t> seen;
    std::set<std::uint64_t> first_of_seed;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Config config = paper_config(1);
        config.seed = seed;
        TestNode node(config, recovered(3));
        for (int round = 0; round < 20; ++round) {
            const std::uint64_t ticks = ticks_until_campaign(node);
            REQUIRE(ticks >= 10);
            REQUIRE(ticks < 20);
            seen.insert(ticks);
            if (round == 0) {
                first_of_seed.insert(ticks);
            }
            node.settle();
            node.receive(2, node.raft->term().value, Heartbeat{});
            node.settle();
        }
    }
    REQUIRE(seen.size() == 10);
    REQUIRE(first_of_seed.size() >= 5);
}

// §5.3 "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs
// in parallel to each of the other servers."
TEST_CASE("5.3 a command is appended and sent to all", "[raft][paper]") {
    TestNode node = elected(3);
    node.settle();
    node.receive(2, 1, acked(1));
    node.receive(3, 1, acked(1));
    node.settle();
    node.step(Propose{proposal(1), Bytes::copy_of("set")});
    const Ready ready = node.take();
    const Append want{.prev = id(1, 1), .commit = Index{1}, .entries = {command(1, 2, "set")}};
    REQUIRE(ready.messages == std::vector<Message>{message(1, 2, 1, want), message(1, 3, 1, want)});
    REQUIRE(ready.persist->entries == std::vector<Entry>{command(1, 2, "set")});
}

// §5.3 "A log entry is committed once the leader that created the entry has replicated it on a
// majority of the servers"; "the leader applies the entry to its state machine".
TEST_CASE("5.3 an entry is committed when a majority has it", "[raft][paper]") {
    const auto size = GENERATE(1U, 2U, 3U, 4U, 5U);
    TestNode node = elected(size);
    node.settle();
    for (std::uint64_t from = 2; from <= size; ++from) {
        node.receive(from, 1, acked(1));
    }
    node.settle();
    REQUIRE(node.raft->commit() == Index{1});
    node.step(Propose{proposal(1), Bytes::copy_of("set")});
    node.take();
    Ready ready = node.persist();
    for (std::uint64_t having = 1; having <= size; ++having) {
        if (having > 1) {
            node.receive(having, 1, acked(2));
            ready = node.take();
        }
        const std::size_t majority = size / 2 + 1;
        REQUIRE(node.raft->commit() == Index{having >= majority ? 2U : 1U});
        REQUIRE(ready.committed.size() == (having == majority ? 1 : 0));
    }
}

// §5.3 "This also commits all preceding entries in the leader's log, including entries created by
// previous leaders."
TEST_CASE("5.3 committing an entry commits those before it", "[raft][paper]") {
    const auto log = GENERATE(std::vector<std::uint64_t>{}, std::vector<std::uint64_t>{2},
                              std::vector<std::uint64_t>{1, 2}, std::vector<std::uint64_t>{1});
    TestNode node = paper_node(3, 2, log_of(log));
    node.step(Campaign{});
    node.settle();
    node.receive(2, 3, VoteReply{.granted = true});
    node.settle();
    node.receive(2, 3, acked(log.size() + 1));
    const Ready ready = node.take();
    REQUIRE(node.raft->commit() == Index{log.size() + 1});
    std::vector<Entry> want = log_of(log);
    want.push_back(noop(3, log.size() + 1));
    REQUIRE(ready.committed == want);
}

// §5.3 "The leader keeps track of the highest index it knows to be committed, and it includes that
// index in future AppendEntries RPCs so that the other servers eventually find out."
TEST_CASE("5.3 followers learn the commit index from the leader", "[raft][paper]") {
    TestNode node = elected(3);
    node.settle();
    node.receive(2, 1, acked(1));
    const auto appends = of_kind(node.take().messages, MessageKind::kAppend);
    REQUIRE(appends == std::vector<Message>{message(1, 2, 1, append_of(id(1, 1), {}, 1))});
    node.tick(1);
    const auto beats = of_kind(node.take().messages, MessageKind::kHeartbeat);
    // Never above what the receiver is known to have.
    REQUIRE(beats == std::vector<Message>{message(1, 2, 1, Heartbeat{Index{1}, 0, Index{}}),
                                          message(1, 3, 1, Heartbeat{Index{}, 0, Index{}})});
}

// §5.3 "Once a follower learns that a log entry is committed, it applies the entry to its local
// state machine (in log order)."
TEST_CASE("5.3 a follower applies what it learns is committed, in order", "[raft][paper]") {
    const auto commit = GENERATE(1U, 2U, 3U);
    TestNode node = paper_node(3);
    const auto entries = log_of({1, 1, 1});
    node.receive(2, 1, append_of({}, entries, commit));
    REQUIRE(node.take().committed.empty());
    const Ready ready = node.persist();
    REQUIRE(ready.committed == std::vector<Entry>(entries.begin(), entries.begin() + commit));
}

// §5.3 "If the follower does not find an entry in its log with the same index and term, then it
// refuses the new entries."
TEST_CASE("5.3 a follower checks the entry before", "[raft][paper]") {
    struct Row {
        EntryId prev;
        bool taken;
        EntryId hint;
    };
    const auto row = GENERATE(Row{id(0, 0), true, {}}, Row{id(1, 1), true, {}},
                              Row{id(2, 2), true, {}}, Row{id(1, 2), false, id(1, 1)},
                              Row{id(3, 3), false, id(2, 2)}, Row{id(3, 9), false, id(2, 2)});
    TestNode node = paper_node(3, 3, log_of({1, 2}));
    node.receive(2, 4, append_of(row.prev, {}));
    const auto want =
        row.taken ? acked(row.prev.index.value)
                  : refused(row.prev.index.value, row.hint.term.value, row.hint.index.value);
    REQUIRE(node.settle() == std::vector<Message>{message(1, 2, 4, want)});
    REQUIRE(terms_of(*node.raft) == std::vector<std::uint64_t>{1, 2});
}

// §5.3 "The leader handles inconsistencies by forcing the followers' logs to duplicate its own":
// "delete any entries in the follower's log after that point, and send the follower all of the
// leader's entries after that point."
TEST_CASE("5.3 conflicting entries give way to the leader's", "[raft][paper]") {
    struct Row {
        EntryId prev;
        std::vector<Entry> entries;
        std::vector<std::uint64_t> want;
        std::size_t persisted;
    };
    const auto row = GENERATE(Row{id(2, 2), {command(3, 3)}, {1, 2, 3}, 1},
                              Row{id(1, 1), {command(3, 2), command(4, 3)}, {1, 3, 4}, 2},
                              // What matches already is left alone, also what lies behind it.
                              Row{id(0, 0), {command(1, 1, "e1")}, {1, 2}, 0},
                              Row{id(0, 0), {command(3, 1)}, {3}, 1});
    TestNode node = paper_node(3, 3, log_of({1, 2}));
    node.receive(2, 4, append_of(row.prev, row.entries));
    const Ready ready = node.take();
    REQUIRE(terms_of(*node.raft) == row.want);
    REQUIRE(ready.persist->entries.size() == row.persisted);
    node.persist();
    REQUIRE(node.disk.last() == Index{row.want.size()});
}

// §5.3, figure 7: whatever the followers' logs, the leader of term 8 brings them to equal its own.
TEST_CASE("5.3 figure 7: every follower's log is brought to the leader's", "[raft][paper]") {
    const std::vector<std::uint64_t> leader_log{1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    const auto follower_log =
        GENERATE(std::vector<std::uint64_t>{1, 1, 1, 4, 4, 5, 5, 6, 6},
                 std::vector<std::uint64_t>{1, 1, 1, 4},
                 std::vector<std::uint64_t>{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
                 std::vector<std::uint64_t>{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
                 std::vector<std::uint64_t>{1, 1, 1, 4, 4, 4, 4},
                 std::vector<std::uint64_t>{1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3});
    TestNode leader = paper_node(3, 7, log_of(leader_log));
    TestNode follower(paper_config(2), recovered(3, 7, log_of(follower_log)));
    leader.step(Campaign{});
    leader.settle();
    leader.receive(3, 8, VoteReply{.granted = true});
    std::size_t rounds = 0;
    for (auto sent = leader.settle(); !sent.empty() && rounds < 20; ++rounds) {
        for (const Message& each : sent) {
            if (each.to == NodeId{2}) {
                follower.receive(each);
            }
        }
        for (const Message& each : follower.settle()) {
            leader.receive(each);
        }
        sent = leader.settle();
    }
    REQUIRE(rounds < 10);
    std::vector<std::uint64_t> want = leader_log;
    want.push_back(8);
    REQUIRE(terms_of(*leader.raft) == want);
    REQUIRE(terms_of(*follower.raft) == want);
}

// §5.3 "When rejecting an AppendEntries request, the follower can include the term of the
// conflicting entry and the first index it stores for that term": one refusal a term, not an entry.
TEST_CASE("5.3 the search for the common prefix skips whole terms", "[raft][paper]") {
    std::vector<std::uint64_t> leader_log(30, 1);
    leader_log.resize(60, 4);
    std::vector<std::uint64_t> follower_log(30, 1);
    follower_log.resize(80, 2);
    TestNode leader = paper_node(3, 4, log_of(leader_log));
    TestNode follower(paper_config(2), recovered(3, 4, log_of(follower_log)));
    leader.step(Campaign{});
    leader.settle();
    leader.receive(3, 5, VoteReply{.granted = true});
    std::size_t refusals = 0;
    for (int round = 0; round < 6; ++round) {
        for (const Message& each : leader.settle()) {
            if (each.to == NodeId{2}) {
                follower.receive(each);
            }
        }
        for (const Message& each : follower.settle()) {
            const auto* reply = std::get_if<AppendReply>(&each.body);
            refusals += reply != nullptr && !reply->success ? 1U : 0U;
            leader.receive(each);
        }
    }
    REQUIRE(refusals <= 2);
    REQUIRE(follower.raft->last_index() == leader.raft->last_index());
}

// §5.3 "A leader never overwrites or deletes entries in its own log (the Leader Append-Only
// Property)."
TEST_CASE("5.3 a leader keeps its log whatever it receives", "[raft][paper]") {
    TestNode node = elected(3);
    node.settle();
    node.receive(2, 1, append_of({}, {command(1, 1, "other")}));
    node.receive(2, 1, refused(1, 0, 0));
    REQUIRE(node.raft->role() == Role::kLeader);
    REQUIRE(node.raft->entry(Index{1}) == noop(1, 1));
}

// §5.4.1 "The voter denies its vote if its own log is more up-to-date than that of the candidate":
// "the log with the later term is more up-to-date. If the logs end with the same term, then
// whichever log is longer is more up-to-date."
TEST_CASE("5.4.1 votes go to logs that are at least as up to date", "[raft][paper]") {
    struct Row {
        std::vector<std::uint64_t> own;
        EntryId candidate;
        bool granted;
    };
    const auto row =
        GENERATE(Row{{1}, id(1, 1), true}, Row{{1}, id(1, 2), true}, Row{{1, 1}, id(1, 1), false},
                 Row{{1}, id(2, 1), true}, Row{{1}, id(2, 2), true}, Row{{1, 1}, id(2, 1), true},
                 Row{{2}, id(1, 1), false}, Row{{2}, id(1, 2), false}, Row{{2, 2}, id(1, 1), false},
                 Row{{1, 1, 1}, id(0, 0), false}, Row{{}, id(0, 0), true});
    TestNode node = paper_node(3, 2, log_of(row.own));
    node.receive(2, 3, Vote{.last = row.candidate});
    REQUIRE(node.settle() ==
            std::vector<Message>{message(1, 2, 3, VoteReply{.granted = row.granted})});
}

// §5.4.2 "Raft never commits log entries from previous terms by counting replicas. Only log
// entries from the leader's current term are committed by counting replicas." (figure 8)
TEST_CASE("5.4.2 figure 8: an old term's entry is not committed by counting", "[raft][paper]") {
    // Situation (c): S1 leads term 4 and has brought its entry of term 2 to a majority of five.
    TestNode node = paper_node(5, 3, log_of({1, 2}));
    node.step(Campaign{});
    node.settle();
    node.receive(2, 4, VoteReply{.granted = true});
    node.receive(3, 4, VoteReply{.granted = true});
    node.settle();
    node.receive(2, 4, acked(2));
    node.receive(3, 4, acked(2));
    node.receive(4, 4, acked(2));
    REQUIRE(node.settle().size() > 0);
    REQUIRE(node.raft->commit() == Index{0});
    // Situation (e): with its own entry on a majority, all before are committed too.
    node.receive(2, 4, acked(3));
    REQUIRE(node.raft->commit() == Index{0});
    node.receive(3, 4, acked(3));
    REQUIRE(node.raft->commit() == Index{3});
}

// §5.4.2, figure 8 (d): the entry of term 2, on a majority, may still be overwritten by S5.
TEST_CASE("5.4.2 figure 8: such an entry may give way to a later leader's", "[raft][paper]") {
    TestNode node = paper_node(5, 4, log_of({1, 2}));
    node.receive(5, 5, append_of(id(1, 1), {command(3, 2)}));
    node.settle();
    REQUIRE(terms_of(*node.raft) == std::vector<std::uint64_t>{1, 3});
}

// §5.5 "Raft RPCs are idempotent": "if a follower receives an AppendEntries request that includes
// log entries already present in its log, it ignores those entries in the new request."
TEST_CASE("5.5 an append that comes twice changes nothing", "[raft][paper]") {
    TestNode node = paper_node(3);
    const Append append = append_of({}, log_of({1, 1}), 1);
    node.receive(2, 1, append);
    node.settle();
    node.receive(2, 1, append_of({}, {command(1, 1, "e1")}));
    node.receive(2, 1, append);
    const Ready ready = node.take();
    REQUIRE_FALSE(ready.persist);
    REQUIRE(ready.committed.empty());
    REQUIRE(ready.messages ==
            std::vector<Message>{message(1, 2, 1, acked(1)), message(1, 2, 1, acked(2))});
    REQUIRE(node.raft->last_index() == Index{2});
}

// §5.5 "If a server crashes after completing an RPC but before responding, then it will receive
// the same RPC again after it restarts."
TEST_CASE("5.5 a server takes up after a crash where its disk was", "[raft][paper]") {
    TestNode node = paper_node(3);
    node.receive(2, 1, append_of({}, log_of({1}), 1));
    node.settle();
    node.receive(2, 1, append_of(id(1, 1), {command(1, 2)}, 1));
    node.take();
    node.start(Index{1});  // the second append was never durable
    REQUIRE(node.raft->last_index() == Index{1});
    REQUIRE(node.raft->term() == Term{1});
    node.receive(2, 1, append_of(id(1, 1), {command(1, 2)}, 2));
    REQUIRE(node.settle() == std::vector<Message>{message(1, 2, 1, acked(2))});
    REQUIRE(node.raft->commit() == Index{2});
}

// §5.6 "Raft's safety must not depend on timing": however late, a message of a past term does no
// more than tell its sender the present one.
TEST_CASE("5.6 late answers from another term do nothing", "[raft][paper]") {
    TestNode node = elected(3);
    node.settle();
    node.receive(2, 9, Heartbeat{});
    node.settle();
    node.step(Campaign{});
    node.settle();
    REQUIRE(node.raft->term() == Term{10});
    node.receive(2, 1, VoteReply{.granted = true});
    node.receive(3, 9, VoteReply{.granted = true});
    node.receive(2, 1, acked(1));
    REQUIRE(node.raft->role() == Role::kCandidate);
    REQUIRE(node.raft->commit() == Index{0});
}

// §8 "Raft handles this by having each leader commit a blank no-op entry into the log at the start
// of its term."
TEST_CASE("8 a new leader appends a no-op", "[raft][paper]") {
    TestNode node = elected(3);
    const Ready ready = node.take();
    REQUIRE(ready.persist->entries == std::vector<Entry>{noop(1, 1)});
}

// §8 "A leader must check whether it has been deposed before processing a read-only request. Raft
// handles this by having the leader exchange heartbeat messages with a majority of the cluster
// before responding."
TEST_CASE("8 a read is answered after a round of heartbeats", "[raft][paper]") {
    TestNode node = elected(5);
    node.settle();
    node.receive(2, 1, acked(1));
    node.receive(3, 1, acked(1));
    node.settle();
    node.step(ReadIndex{77});
    const Ready asked = node.take();
    REQUIRE(asked.reads.empty());
    REQUIRE(of_kind(asked.messages, MessageKind::kHeartbeat).size() == 4);
    node.receive(2, 1, HeartbeatReply{.read_round = 1});
    REQUIRE(node.take().reads.empty());
    node.receive(4, 1, HeartbeatReply{.read_round = 1});
    REQUIRE(node.take().reads == std::vector<ReadGrant>{{77, Index{1}}});
}

// §8 "A leader must have the latest information on which entries are committed": no read before
// its no-op is.
TEST_CASE("8 a read waits for the no-op of the leader's term", "[raft][paper]") {
    TestNode node = elected(3);
    node.settle();
    node.step(ReadIndex{5});
    node.tick(1);
    node.receive(2, 1, HeartbeatReply{.read_round = 0});
    REQUIRE(node.take().reads.empty());
    node.receive(2, 1, acked(1));
    const auto beats = of_kind(node.take().messages, MessageKind::kHeartbeat);
    REQUIRE(beats.size() == 2);
    REQUIRE(std::get<Heartbeat>(beats[0].body).read_round == 1);
    node.receive(3, 1, HeartbeatReply{.read_round = 1});
    REQUIRE(node.take().reads == std::vector<ReadGrant>{{5, Index{1}}});
}

}  // namespace cairn::raft::testing
