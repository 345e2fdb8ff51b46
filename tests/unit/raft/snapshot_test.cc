// What an arrived snapshot does to the core: when it is of no use, and what waits for it.
#include "unit/raft/core_fixture.h"

namespace cairn::raft::testing {
namespace {

InstallSnapshot snapshot_at(std::uint64_t term, std::uint64_t index) {
    InstallSnapshot install;
    install.snapshot.last = id(term, index);
    install.snapshot.conf.voters = node_ids(3);
    return install;
}

// Follows member 2 in term 1 with entries up to 4, of which the first is committed.
TestNode follower_with_log() {
    TestNode node = follower_of();
    node.receive(2, 1,
                 Append{.prev = id(1, 1),
                        .commit = Index{1},
                        .entries = {command(1, 2), command(1, 3), command(1, 4)}});
    node.settle();
    return node;
}

}  // namespace

// Raft paper figure 13, rule 6.
TEST_CASE("a snapshot whose last entry is in the log takes nothing from it", "[raft][snapshot]") {
    TestNode node = follower_with_log();
    node.receive(2, 1, snapshot_at(1, 3));
    const Ready ready = node.take();
    CHECK_FALSE(ready.install);
    CHECK(node.raft->commit() == Index{3});
    CHECK(node.raft->last_index() == Index{4});
}

TEST_CASE("who does not need a snapshot says how far it is", "[raft][snapshot]") {
    TestNode node = follower_with_log();
    node.receive(2, 1, snapshot_at(1, 1));
    const auto replies = of_kind(node.take().messages, MessageKind::kAppendReply);
    REQUIRE(replies.size() == 1);
    CHECK(std::get<AppendReply>(replies[0].body) == acked(1));
}

TEST_CASE("nothing is handed out to be applied while a snapshot is installed", "[raft][snapshot]") {
    TestNode node = follower_with_log();
    // Both in one turn: what is committed now and the snapshot behind it.
    node.receive(2, 1, Append{.prev = id(1, 4), .commit = Index{3}, .entries = {}});
    node.receive(2, 1, snapshot_at(1, 9));
    const Ready ready = node.take();
    REQUIRE(ready.install);
    CHECK(ready.committed.empty());
}

}  // namespace cairn::raft::testing
