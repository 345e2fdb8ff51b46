// What must stay small or come to an end: the log, resent Appends, a dead leader's lease.
#include <algorithm>

#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {
namespace {

std::size_t appends_to(NodeId peer, const std::vector<Message>& messages) {
    return static_cast<std::size_t>(
        std::count_if(messages.begin(), messages.end(), [&](const Message& message) {
            return message.to == peer && message.kind() == MessageKind::kAppend;
        }));
}

// Puts go on with member 3 silent; how many were refused.
std::size_t write_without_third(TestNode& node, std::uint64_t count) {
    std::size_t refused = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        node.step(Propose{proposal(i + 10), Bytes::copy_of(std::string(1000, 'x'))});
        refused += node.take().refused.size();
        node.settle();
        node.receive(2, 1, acked(node.raft->last_index().value));
        node.settle();
        node.step(Compact{node.raft->commit()});
        node.tick(1);
        node.settle();
    }
    return refused;
}

}  // namespace

TEST_CASE("the log is bounded while a member is down", "[raft][limits]") {
    Config config = test_config(1);
    config.log_bytes_max = 64 * 1024;
    config.check_quorum = false;
    SECTION("by a snapshot for it later") {
        TestNode node = leader_of(3, config);
        REQUIRE(write_without_third(node, 500) == 0);
        REQUIRE(node.raft->last_index() - node.raft->floor().last.index <= 64 + 2);
    }
    SECTION("by a snapshot for it later, when its entries are small but many") {
        config.log_bytes_max = 1024 * 1024;
        config.log_entries_max = 40;
        TestNode node = leader_of(3, config);
        REQUIRE(write_without_third(node, 500) == 0);
        REQUIRE(node.raft->last_index() - node.raft->floor().last.index >= 40);
        REQUIRE(node.raft->last_index() - node.raft->floor().last.index <= 40 + 2);
    }
}

TEST_CASE("the log is not cut off under a newcomer whom it can serve", "[raft][limits]") {
    TestNode node = leader_of();
    const auto everybody_acks = [&] {
        node.settle();
        for (const std::uint64_t member : {2U, 3U}) {
            node.receive(member, 1, acked(node.raft->last_index().value));
        }
        node.settle();
    };
    for (std::uint64_t i = 0; i < 50; ++i) {
        node.step(Propose{proposal(i + 10), Bytes::copy_of("x")});
        everybody_acks();
        node.tick(1);
    }
    node.step(Propose{.id = proposal(99),
                      .payload = encode_conf_change({ConfChangeKind::kAddLearner, NodeId{4}, {}}),
                      .kind = EntryKind::kConfig});
    everybody_acks();
    const Index next = node.raft->status().peers.at(NodeId{4}).next;
    node.receive(4, 1, refused(next.value - 1, 0, 0));
    node.settle();
    node.receive(4, 1, acked(20));
    node.settle();
    // What the three had before it came is flushed only now.
    node.step(Compact{node.raft->status().applied});
    node.tick(2);
    node.step(Propose{proposal(100), Bytes::copy_of("x")});
    REQUIRE(node.take().snapshots_wanted.empty());
    REQUIRE(node.raft->floor().last.index == Index{20});
    node.receive(4, 1, acked(40));
    node.tick(2);
    REQUIRE(node.raft->floor().last.index == Index{40});
}

TEST_CASE("a long log is dropped by pieces", "[raft][limits]") {
    Config config = test_config(1);
    config.compact_entries_max = 7;
    TestNode node = leader_of(1, config);
    for (std::uint64_t i = 0; i < 50; ++i) {
        node.step(Propose{proposal(i + 10), Bytes::copy_of("x")});
        node.settle();
    }
    const Index applied = node.raft->status().applied;
    node.step(Compact{applied});
    Index floor = node.raft->floor().last.index;
    REQUIRE(floor == Index{7});
    while (floor < applied) {
        node.tick(config.heartbeat_ticks);
        node.settle();
        REQUIRE(node.raft->floor().last.index > floor);
        REQUIRE(node.raft->floor().last.index <= floor + 7);
        floor = node.raft->floor().last.index;
    }
}

TEST_CASE("what lies behind a snapshot on its way is kept, up to a limit", "[raft][limits]") {
    Config config = test_config(1);
    // 60 entries of those that are written here.
    SECTION("of bytes") {
        config.log_bytes_max = 16 * 1024;
        config.catch_up_bytes_max = 64 * 1024;
    }
    SECTION("of entries") {
        config.log_entries_max = 15;
        config.catch_up_entries_max = 62;
    }
    config.check_quorum = false;
    TestNode node = leader_of(3, config);
    write_without_third(node, 40);
    node.receive(3, 1, refused(1, 0, 0));
    node.receive(3, 1, HeartbeatReply{});
    Ready ready = node.take();
    for (std::uint64_t tries = 0; ready.snapshots_wanted.empty() && tries < 5; ++tries) {
        const Index next = node.raft->status().peers.at(NodeId{3}).next;
        node.receive(3, 1, refused(next.value - 1, 0, 0));
        ready = node.take();
    }
    REQUIRE(ready.snapshots_wanted.size() == 1);
    REQUIRE(ready.snapshots_wanted[0].to == NodeId{3});
    // One that was built before will do, but none below the log of now; and no snapshot that will
    // do may come to lie below the log while it travels.
    const Index snapshot = ready.snapshots_wanted[0].at_least;
    REQUIRE(snapshot >= node.raft->floor().last.index);
    REQUIRE(snapshot < node.raft->status().applied);
    write_without_third(node, 30);
    REQUIRE(node.raft->floor().last.index <= snapshot);
    write_without_third(node, 80);
    REQUIRE(node.raft->floor().last.index > snapshot);
    REQUIRE(node.raft->last_index() - node.raft->floor().last.index >= 60);
}

TEST_CASE("a log that is not flushed takes no more, wherever it comes from", "[raft][limits]") {
    Config config = test_config(1);
    config.unflushed_bytes_max = 16 * 1024;
    const std::string value(1000, 'x');
    SECTION("from clients") {
        TestNode node = leader_of(3, config);
        const auto put = [&](std::uint64_t number) {
            node.step(Propose{proposal(number), Bytes::copy_of(value)});
            const auto refused = node.take().refused;
            REQUIRE((refused.empty() || refused[0].reason == Errc::kTooManyRequests));
            node.settle();
            node.receive(2, 1, acked(node.raft->last_index().value));
            node.settle();
            return refused.empty();
        };
        std::uint64_t taken = 0;
        while (taken < 100 && put(taken + 10)) {
            ++taken;
        }
        REQUIRE((taken == 16 || taken == 17));
        REQUIRE_FALSE(put(200));
        REQUIRE(node.raft->is_flush_behind());
        node.step(Compact{node.raft->status().applied});
        REQUIRE_FALSE(node.raft->is_flush_behind());
        REQUIRE(put(201));
    }
    SECTION("and the word of a flush counts though it comes before that of the apply") {
        TestNode node = leader_of(1, config);
        node.step(Propose{proposal(10), Bytes::copy_of(std::string(20'000, 'x'))});
        node.take();
        node.persist();
        REQUIRE(node.raft->is_flush_behind());
        node.step(Compact{node.raft->commit()});
        REQUIRE(node.raft->is_flush_behind());
        node.step(Applied{node.raft->commit()});
        REQUIRE_FALSE(node.raft->is_flush_behind());
    }
    SECTION("from the leader") {
        TestNode node = follower_of(config);
        const auto append = [&] {
            const std::uint64_t last = node.raft->last_index().value;
            node.receive(2, 1, Append{id(1, last), Index{last}, {command(1, last + 1, value)}});
            return of_kind(node.settle(), MessageKind::kAppendReply).size() == 1;
        };
        std::uint64_t taken = 0;
        while (taken < 100 && append()) {
            ++taken;
        }
        REQUIRE((taken == 16 || taken == 17));
        // It is alive, and learns what is committed.
        const Index last = node.raft->last_index();
        node.receive(2, 1, Append{id(1, last.value), last, {}});
        REQUIRE(of_kind(node.settle(), MessageKind::kAppendReply).size() == 1);
        REQUIRE(node.raft->status().applied == last);
        REQUIRE_FALSE(append());
        node.step(Compact{last});
        REQUIRE(append());
    }
}

TEST_CASE("answers to rounds of reads do not repeat Appends", "[raft][reads][limits]") {
    TestNode node = leader_of();
    node.step(Propose{proposal(1), Bytes::copy_of(std::string(1000, 'x'))});
    node.settle();
    std::size_t appends = 0;
    const auto rounds = [&](std::uint64_t from) {
        for (std::uint64_t round = from; round < from + 50; ++round) {
            node.step(ReadIndex{1000 + round});
            node.settle();
            node.receive(3, 1, HeartbeatReply{.read_round = round});
            appends += appends_to(NodeId{3}, node.settle());
        }
    };
    SECTION("while it streams") {
        rounds(1);
        REQUIRE(appends <= 1);
        node.tick(1);
        node.settle();
        rounds(51);
        REQUIRE(appends == 2);  // a lost one is found within a heartbeat interval
    }
    SECTION("while it probes") {
        node.step(PeerUnreachable{NodeId{3}});
        node.settle();
        rounds(1);
        REQUIRE(appends == 1);
    }
}

TEST_CASE("who must not campaign stands up for no dead leader", "[raft][election]") {
    // Row 15: a learner that may be a voter of a newer configuration votes when it is asked.
    Recovered found = recovered(3);
    found.floor.conf.voters = {NodeId{2}, NodeId{3}, NodeId{4}};
    found.floor.conf.learners = {NodeId{1}};
    TestNode node(test_config(1), found);
    node.receive(2, 1, Append{.prev = {}, .commit = Index{1}, .entries = {noop(1, 1)}});
    node.settle();
    node.tick(2 * node.config().election_ticks);
    REQUIRE(node.raft->leader() == NodeId{});
    for (std::uint64_t tick = 0; tick < 60; ++tick) {
        node.tick(1);
        node.receive(3, 2, PreVote{.last = id(1, 1)});
        REQUIRE(of_kind(node.settle(), MessageKind::kPreVoteReply).size() == 1);
    }
}

TEST_CASE("a leader whose log does not answer leaves office", "[raft][transfer][disk]") {
    TestNode node = leader_of();
    const std::uint32_t patience = node.config().election_ticks;
    node.step(Propose{proposal(1), Bytes::copy_of("x")});
    node.take();  // the write stays on its way
    const auto tick = [&] {
        node.tick(1);
        node.receive(2, 1, HeartbeatReply{});
        node.receive(3, 1, HeartbeatReply{});
        return node.take();
    };
    node.receive(3, 1, acked(2));
    for (std::uint32_t ticks = 1; ticks < patience; ++ticks) {
        tick();
        REQUIRE(node.raft->role() == Role::kLeader);
    }
    SECTION("in time: it stays") {
        node.step(Persisted{node.disk.complete_one()});
        REQUIRE(node.raft->commit() == Index{2});
        for (std::uint32_t ticks = 0; ticks < 2 * patience; ++ticks) {
            tick();
        }
        REQUIRE(node.raft->role() == Role::kLeader);
        REQUIRE_FALSE(node.raft->is_log_stalled());
    }
    SECTION("not: it hands over, and is no candidate before it does") {
        const Ready ready = tick();
        REQUIRE(node.raft->role() == Role::kFollower);
        REQUIRE(node.raft->is_log_stalled());
        REQUIRE(of_kind(ready.messages, MessageKind::kTimeoutNow) ==
                std::vector<Message>{message(1, 3, 1, TimeoutNow{})});
        for (std::uint32_t ticks = 0; ticks < 5 * patience; ++ticks) {
            REQUIRE(tick().messages.empty());
        }
        REQUIRE(node.raft->term() == Term{1});
        // Its successor goes on from what it had got.
        node.receive(3, 2, Append{id(1, 2), Index{2}, {noop(2, 3)}});
        REQUIRE(of_kind(node.take().messages, MessageKind::kAppendReply).empty());
        REQUIRE(node.raft->status().applied == Index{1});
        node.settle();
        REQUIRE(node.raft->status().applied == Index{2});
        REQUIRE(node.raft->stable_index() == Index{3});
        node.tick(2 * patience);
        REQUIRE(node.take().messages.size() == 2);
        REQUIRE(node.raft->role() == Role::kPreCandidate);
    }
}

TEST_CASE("a leader that is about to stop calls its successor", "[raft][transfer][disk]") {
    TestNode node = leader_of();
    node.step(Propose{proposal(1), Bytes::copy_of("x")});
    node.take();
    SECTION("the one that has most") {
        node.receive(3, 1, acked(2));
        node.take();
        node.step(LeaveOffice{});
        REQUIRE(of_kind(node.take().messages, MessageKind::kTimeoutNow) ==
                std::vector<Message>{message(1, 3, 1, TimeoutNow{})});
        REQUIRE(node.raft->role() == Role::kFollower);
    }
    SECTION("or nobody, when nobody is heard of") {
        node.tick(node.config().election_ticks - 1);
        node.receive(2, 1, PreVoteReply{});
        node.take();
        node.tick(1);
        node.step(LeaveOffice{});
        REQUIRE(of_kind(node.take().messages, MessageKind::kTimeoutNow).empty());
    }
    node.step(LeaveOffice{});
    REQUIRE(of_kind(node.take().messages, MessageKind::kTimeoutNow).empty());
}

TEST_CASE("what is not committed yet is taken, whatever waits for a flush", "[raft][bounds]") {
    Config config = test_config(1);
    config.unflushed_bytes_max = 100;
    TestNode node = follower_of(config);
    node.step(Compact{Index{1}});  // all that is committed is flushed
    node.receive(2, 1, Append{id(1, 1), Index{1}, {command(1, 2, std::string(500, 'x'))}});
    node.settle();
    REQUIRE(node.raft->stable_index() == Index{2});
    node.receive(2, 1, Append{id(1, 2), Index{1}, {command(1, 3)}});
    node.settle();
    REQUIRE(node.raft->stable_index() == Index{3});
    // Once it is committed it can be flushed, and is waited for.
    node.receive(2, 1, Append{id(1, 3), Index{3}, {}});
    node.settle();
    node.receive(2, 1, Append{id(1, 3), Index{3}, {command(1, 4)}});
    node.settle();
    REQUIRE(node.raft->stable_index() == Index{3});
}

TEST_CASE("a leader whose vote the next one would need waits for its log", "[raft][disk]") {
    TestNode node = leader_of(2);
    node.step(Propose{proposal(1), Bytes::copy_of("x")});
    node.take();
    for (std::uint32_t ticks = 0; ticks < 3 * node.config().election_ticks; ++ticks) {
        node.tick(1);
        node.receive(2, 1, HeartbeatReply{});
    }
    REQUIRE(node.raft->is_log_stalled());
    REQUIRE(node.raft->role() == Role::kLeader);
}

TEST_CASE("who could not vote now tells nobody to stand", "[raft][disk][election]") {
    TestNode node = follower_of();
    node.receive(2, 1, Append{id(1, 1), Index{1}, {command(1, 2)}});
    node.take();  // on its way to the disk
    node.tick(3 * node.config().election_ticks);
    REQUIRE(node.raft->is_log_stalled());
    node.take();
    const auto answer_to = [&] {
        node.receive(3, 2, PreVote{.last = id(1, 2)});
        const auto replies = of_kind(node.take().messages, MessageKind::kPreVoteReply);
        REQUIRE(replies.size() == 1);
        return std::get<PreVoteReply>(replies.front().body).granted;
    };
    REQUIRE_FALSE(answer_to());
    node.settle();
    REQUIRE(answer_to());
}

TEST_CASE("a leader that has nobody to hand over to waits for its log", "[raft][disk]") {
    TestNode node(test_config(1), recovered(1));
    node.elect();
    node.step(Propose{proposal(1), Bytes::copy_of("x")});
    node.take();
    node.tick(5 * node.config().election_ticks);
    REQUIRE(node.raft->is_log_stalled());
    REQUIRE(node.raft->role() == Role::kLeader);
    node.settle();
    REQUIRE(node.raft->commit() == Index{2});
}

TEST_CASE("leadership can be handed over right after the quorum was checked", "[raft][transfer]") {
    TestNode node = leader_of();
    for (std::uint32_t tick = 0; tick < node.config().election_ticks; ++tick) {
        node.tick(1);
        node.settle();
        if (tick + 1 < node.config().election_ticks) {
            node.receive(2, 1, HeartbeatReply{});
            node.settle();
        }
    }
    node.step(TransferLeader{});
    // To the one that was heard of in this term, not to the silent one.
    REQUIRE_FALSE(node.take().transfer.has_value());
    REQUIRE(node.raft->status().peers.at(NodeId{2}).active);
    REQUIRE_FALSE(node.raft->status().peers.at(NodeId{3}).active);
}

TEST_CASE("what a follower must not do without stops it", "[raft][replication]") {
    SECTION("a configuration entry of a newer build") {
        TestNode node = follower_of();
        std::string raw(encode_conf_change({ConfChangeKind::kAddVoter, NodeId{9}, {}}).view());
        raw[1] = 77;
        const Entry entry{
            .id = id(1, 2), .kind = EntryKind::kConfig, .payload = Bytes::copy_of(raw)};
        node.receive(2, 1, Append{id(1, 1), Index{1}, {entry}});
        REQUIRE(node.take().halt->code == Errc::kMalformed);
        REQUIRE(node.raft->last_index() == Index{1});
    }
    SECTION("a leader that contradicts what is committed") {
        TestNode node(test_config(1), recovered(3, 2, log_of({1, 2, 2})));
        node.receive(2, 3, Append{id(2, 3), Index{3}, {}});
        node.settle();
        REQUIRE(node.raft->commit() == Index{3});
        node.receive(2, 3, Append{id(1, 1), Index{3}, {command(3, 2)}});
        REQUIRE(node.take().halt->code == Errc::kCorrupt);
    }
    SECTION("one that contradicts the floor, with a prev below it") {
        Recovered found = recovered(3, 2);
        found.floor.last = id(2, 3);
        TestNode node(test_config(1), found, Index{3});
        node.receive(2, 3, Append{id(1, 2), Index{3}, {command(1, 3), command(3, 4)}});
        REQUIRE(node.take().halt->code == Errc::kCorrupt);
    }
}

}  // namespace cairn::raft::testing
