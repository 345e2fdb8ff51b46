#include "storage/snapshot_store.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

namespace cairn::storage {
namespace {

const raft::SnapshotMeta kSnapshot{.last = {Term{3}, Index{77}},
                                   .conf = {.voters = {NodeId{1}, NodeId{2}},
                                            .voters_outgoing = {},
                                            .learners = {},
                                            .learners_next = {},
                                            .auto_leave = false}};

raft::Recovered log_with(std::uint64_t floor, std::uint64_t entries) {
    raft::Recovered recovered;
    recovered.hard_state = {Term{2}, NodeId{1}, Index{floor}};
    recovered.floor.last = {Term{2}, Index{floor}};
    for (std::uint64_t i = 1; i <= entries; ++i) {
        recovered.entries.push_back({{Term{2}, Index{floor + i}}, raft::EntryKind::kNoop, {}});
    }
    return recovered;
}

}  // namespace

TEST_CASE("a log that the crash left behind the engine follows it", "[snapshot][install]") {
    raft::Recovered recovered = log_with(20, 10);
    const auto batch = follow_install(kSnapshot, kSnapshot.last, recovered).value();
    REQUIRE(batch.has_value());
    CHECK(batch->restart);
    CHECK(batch->floor == kSnapshot);
    CHECK(batch->entries.empty());
    CHECK(recovered == raft::Recovered{{Term{3}, NodeId{}, Index{77}}, kSnapshot, {}});
    CHECK(batch->hard_state == recovered.hard_state);
}

TEST_CASE("a vote of the snapshot's term or a later one is kept", "[snapshot][install]") {
    raft::Recovered recovered = log_with(20, 0);
    recovered.hard_state = {Term{3}, NodeId{2}, Index{20}};
    REQUIRE(follow_install(kSnapshot, kSnapshot.last, recovered).value().has_value());
    CHECK(recovered.hard_state == raft::HardState{Term{3}, NodeId{2}, Index{77}});
}

TEST_CASE("a log that has followed, or an engine that began empty, is left alone",
          "[snapshot][install]") {
    const raft::Recovered before = log_with(77, 5);
    raft::Recovered recovered = before;
    CHECK_FALSE(follow_install(kSnapshot, {Term{3}, Index{80}}, recovered).value().has_value());
    CHECK_FALSE(follow_install({}, {Term{3}, Index{80}}, recovered).value().has_value());
    CHECK(recovered == before);
}

TEST_CASE("an engine that went on without its log is refused", "[snapshot][install]") {
    raft::Recovered recovered = log_with(20, 100);
    CHECK(follow_install(kSnapshot, {Term{3}, Index{78}}, recovered).error().code ==
          Errc::kCorrupt);
    CHECK(follow_install(kSnapshot, {Term{3}, Index{70}}, recovered).error().code ==
          Errc::kCorrupt);
}

}  // namespace cairn::storage
