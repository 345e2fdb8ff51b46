// Replication, the floor and restore: what each input makes the core ask for, word for word.
#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {

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

TEST_CASE("an acknowledgement of an older term does not count", "[raft][replication]") {
    TestNode node(test_config(1), recovered(3, 1, log_of({1, 1})));
    node.elect();
    node.receive(2, 1, acked(3));
    node.settle();
    CHECK(node.raft->commit() == Index{});
    node.receive(2, 2, acked(3));
    node.settle();
    CHECK(node.raft->commit() == Index{3});
}

}  // namespace cairn::raft::testing
