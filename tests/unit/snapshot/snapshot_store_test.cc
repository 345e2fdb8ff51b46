#include "storage/snapshot_store.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "sim_fs/sim_fs.h"
#include "storage/mem_engine.h"
#include "store_harness.h"

namespace cairn::storage::test {
namespace {

constexpr const char* kDir = "data";

// An empty data directory on a simulated disk.
struct Disk {
    Disk() {
        REQUIRE(files.make_dirs(kDir).has_value());
        REQUIRE(files.sync_dir("/").has_value());
    }
    [[nodiscard]] std::set<std::string> names(const std::string& dir = kDir) {
        const auto listed = files.list(dir).value();
        return {listed.begin(), listed.end()};
    }
    void crash(std::uint64_t seed, std::uint64_t variant) {
        Prng prng(seed);
        SimCrash how;
        if (variant < 4) {
            how.writes = variant % 2 == 0 ? SimWriteLoss::kAll : SimWriteLoss::kNone;
            how.dirs = variant / 2 == 0 ? SimDirLoss::kAll : SimDirLoss::kNone;
        }
        files.crash(prng, how);
    }

    SimFs files;
    MemKind kind{files};
};

// What the others receive from: 40 keys, on a disk of its own.
struct Source {
    Source() {
        fill(member, "new", 40);
        built = member.store().build(Index{41}).value();
    }
    Disk disk;
    Member member{disk.files, disk.kind, kDir};
    std::shared_ptr<const BuiltSnapshot> built;
};

// A member that is behind, its state flushed.
void fill_behind(Member& member) {
    fill(member, "old", 5);
    REQUIRE(member.machine().flush().has_value());
}

// Counts what is read of a disk.
struct Reads {
    explicit Reads(SimFs& files) {
        files.set_hook([this](const SimOp& op) -> std::optional<Error> {
            bytes += op.kind == SimOpKind::kRead ? op.bytes : 0;
            return std::nullopt;
        });
    }
    std::uint64_t bytes = 0;
};

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

TEST_CASE("a new member's first snapshot may be all it has", "[snapshot][install]") {
    raft::Recovered recovered;
    recovered.hard_state = *raft::joining_batch().hard_state;
    const auto batch = follow_install(kSnapshot, kSnapshot.last, recovered).value();
    REQUIRE(batch.has_value());
    CHECK(batch->floor == kSnapshot);
    CHECK(recovered == raft::Recovered{{Term{3}, NodeId{}, Index{77}}, kSnapshot, {}});
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

TEST_CASE("a snapshot is of now, unflushed writes included, and is used again while it will do",
          "[snapshot][build]") {
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill(member, "k", 9);
    const auto first = member.store().build(Index{10}).value();
    CHECK(first->manifest.meta.last == raft::EntryId{Term{2}, Index{10}});
    CHECK(first->manifest.meta.conf.voters == std::vector<NodeId>{NodeId{1}});
    CHECK(first->manifest.revision == 10);
    REQUIRE(verify_snapshot(disk.files, first->dir, first->manifest).has_value());
    CHECK(read_manifest(disk.files, first->dir).value() == first->manifest);
    member.put("k", "more");
    CHECK(member.store().build(Index{10}).value() == first);
    const auto second = member.store().build(Index{11}).value();
    CHECK(second->manifest.meta.last.index == Index{11});
    CHECK(second->dir != first->dir);
}

TEST_CASE("snapshots go when nobody reads them, and there are never many", "[snapshot][build]") {
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill(member, "k", 1);
    std::vector<std::shared_ptr<const BuiltSnapshot>> held;
    for (std::uint64_t i = 0; i < SnapshotStore::kBuiltMax; ++i) {
        held.push_back(member.store().build(Index{2 + i}).value());
        member.put("k", "more");
    }
    const Index newest{2 + SnapshotStore::kBuiltMax};
    CHECK(member.store().build(newest).error().code == Errc::kTooManyRequests);
    CHECK(member.store().build(Index{3}).value() == held.back());
    REQUIRE(member.store().tidy().has_value());
    CHECK(disk.names("data/snap").size() == SnapshotStore::kBuiltMax);
    held.erase(held.begin());
    CHECK(member.store().build(newest).value()->manifest.meta.last.index == newest);
    CHECK(disk.names("data/snap").size() == SnapshotStore::kBuiltMax);
    held.clear();
    // The newest is for the next that wants one, until nobody will.
    REQUIRE(member.store().tidy().has_value());
    CHECK(disk.names("data/snap").size() == 1);
    auto given_up = member.store().build(newest).value();  // as bad: built anew, though it is read
    REQUIRE(member.store().drop_built().has_value());
    auto anew = member.store().build(newest).value();
    CHECK(anew != given_up);
    REQUIRE(member.store().drop_built().has_value());
    given_up = anew = nullptr;  // nobody says again that they are to go
    CHECK((member.store().tidy().has_value() && disk.names("data/snap").empty()));
}

TEST_CASE("a snapshot is built in steps, once for all who want it", "[snapshot][build]") {
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill(member, "k", 40);
    constexpr std::uint64_t kStep = 100;
    CHECK(member.store().build_step(Index{41}, kStep).value() == nullptr);
    member.put("meanwhile", "1");
    std::uint64_t steps = 1;
    Reads read(disk.files);
    std::shared_ptr<const BuiltSnapshot> built;
    for (; built == nullptr; ++steps) {
        read.bytes = 0;
        built = member.store().build_step(Index{steps % 2 == 0 ? 41U : 1U}, kStep).value();
        CHECK(read.bytes <= kStep);
        REQUIRE(steps < 1000);
    }
    CHECK(steps > built->manifest.bytes() / kStep);
    CHECK(built->manifest.meta.last.index == Index{41});
    REQUIRE(verify_snapshot(disk.files, built->dir, built->manifest).has_value());
    CHECK(member.store().build_step(Index{41}, kStep).value() == built);
    // Who needs no newer one does not wait for it.
    CHECK(member.store().build_step(Index{42}, kStep).value() == nullptr);
    CHECK(member.store().build(Index{41}).value() == built);
    CHECK(member.store().build(Index{42}).value()->manifest.meta.last.index == Index{42});
}

TEST_CASE("a half built snapshot goes when nobody wants it any more", "[snapshot][build]") {
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill(member, "k", 40);
    CHECK(member.store().build_step(Index{41}, 1).value() == nullptr);
    CHECK(member.store().build_step(Index{41}, 1).value() == nullptr);
    REQUIRE(member.store().tidy().has_value());
    CHECK(disk.names("data/snap").size() == 1);
    SECTION("by the next start") { REQUIRE(member.open().has_value()); }
    SECTION("by those who say so") { REQUIRE(member.store().drop_built().has_value()); }
    SECTION("by one that arrives") {
        Source source;
        REQUIRE(member.store().receive(source.built->manifest).has_value());
        CHECK(disk.names("data/snap") == std::set<std::string>{"incoming"});
        REQUIRE(member.store().drop_received().has_value());
    }
    CHECK(disk.names("data/snap").empty());
}

TEST_CASE("what has arrived is verified in steps, while there is room for the rest",
          "[snapshot][receive][disk]") {
    Source source;
    Disk disk;
    constexpr std::uint64_t kFreeMin = 100'000;
    Member member(disk.files, disk.kind, kDir, {.free_bytes_min = kFreeMin});
    fill_behind(member);
    REQUIRE(member.transfer(source.disk.files, *source.built).has_value());
    constexpr std::uint64_t kStep = 100;
    std::uint64_t steps = 0;
    Reads read(disk.files);
    SECTION("there is") {
        std::optional<raft::SnapshotMeta> finished;
        for (; !finished; ++steps) {
            read.bytes = 0;
            finished = member.store().finish_step(kStep).value();
            CHECK(read.bytes <= kStep);
            REQUIRE(steps < 1000);
        }
        CHECK(steps >= source.built->manifest.bytes() / kStep);
        CHECK(member.store().install(*finished).has_value());
    }
    SECTION("others have taken it: nothing is begun that could not end") {
        CHECK_FALSE(member.store().finish_step(kStep).value().has_value());
        disk.files.set_capacity(disk.files.bytes_used() + kFreeMin / 2);
        CHECK(member.store().finish().error().code == Errc::kNoSpace);
        CHECK(disk.names("data/snap").empty());
    }
}

TEST_CASE("a store in which nothing was applied has no snapshot", "[snapshot][build]") {
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    REQUIRE(member.open().has_value());
    CHECK(member.store().build(Index{0}).error().code == Errc::kInternal);
    CHECK(disk.names("data/snap").empty());
}

TEST_CASE("an error at any file operation of a build leaves nothing half", "[snapshot][build]") {
    for (const Errc code : {Errc::kIo, Errc::kNoSpace}) {
        for (std::uint64_t at = 1;; ++at) {
            INFO("operation " << at);
            Disk disk;
            Member member(disk.files, disk.kind, kDir);
            fill(member, "k", 5);
            const std::uint64_t before = disk.files.ops();
            disk.files.fail_at(before + at, code);
            const auto built = member.store().build(Index{6});
            if (built.has_value() && disk.files.ops() < before + at) {
                REQUIRE(at > 10);
                break;
            }
            if (built.has_error()) {
                CHECK(built.error().code == code);
                const auto left = disk.files.exists("data/snap").value() ? disk.names("data/snap")
                                                                         : std::set<std::string>{};
                CHECK(left.empty());
            }
            const auto again = member.store().build(Index{6}).value();
            REQUIRE(verify_snapshot(disk.files, again->dir, again->manifest).has_value());
        }
    }
}

TEST_CASE("an installed snapshot is the member's state, over a start, too", "[snapshot][install]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill_behind(member);
    const auto view = member.machine().view();
    REQUIRE(member.take(source.disk.files, *source.built).has_value());
    CHECK(member.picture() == source.member.picture());
    CHECK(view->revision() == 6);
    CHECK(disk.names() == std::set<std::string>{"INSTALLED", "db-0000000000000029", "snap", "wal"});
    CHECK(disk.names("data/snap").empty());
    disk.crash(1, 0);
    REQUIRE(member.open().has_value());
    CHECK(member.picture() == source.member.picture());
    member.check_log();
    // And it goes on from there, with a second one as with the first.
    member.put("after", "1");
    source.member.put("after", "1");
    CHECK(member.picture() == source.member.picture());
    source.member.put("later", "2");
    const auto second = source.member.store().build(Index{43}).value();
    REQUIRE(member.take(source.disk.files, *second).has_value());
    CHECK(member.picture() == source.member.picture());
    CHECK(disk.names() == std::set<std::string>{"INSTALLED", "db-000000000000002b", "snap", "wal"});
}

TEST_CASE("the former engine's files stay while somebody has it", "[snapshot][install]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill_behind(member);
    auto engine = member.machine().engine();
    REQUIRE(member.take(source.disk.files, *source.built).has_value());
    CHECK(disk.names().contains("db"));
    REQUIRE(engine->flush().has_value());
    engine.reset();
    REQUIRE(member.store().tidy().has_value());
    CHECK_FALSE(disk.names().contains("db"));
}

namespace {

// A start after a crash: it is what it was or what the snapshot made it, and can become that.
void check_after_crash(Disk& disk, Member& member, const Picture& before, Source& source,
                       bool acknowledged) {
    const auto opened = member.open();
    INFO((opened.has_error() ? to_string(opened.error()) : std::string("opened")));
    REQUIRE(opened.has_value());
    member.check_log();
    const bool is_new = member.picture() == source.member.picture();
    REQUIRE((is_new || member.picture() == before));
    REQUIRE((is_new || !acknowledged));
    if (!is_new) {
        const auto taken = member.take(source.disk.files, *source.built);
        INFO((taken.has_error() ? to_string(taken.error()) : std::string("taken")));
        REQUIRE(taken.has_value());
    }
    REQUIRE(member.store().tidy().has_value());
    CHECK(disk.names() == std::set<std::string>{"INSTALLED", "db-0000000000000029", "snap", "wal"});
    CHECK(disk.names("data/snap").empty());
    member.close();
    disk.crash(1, 0);
    REQUIRE(member.open().has_value());
    REQUIRE(member.picture() == source.member.picture());
    member.check_log();
}

}  // namespace

TEST_CASE("a crash between any two file operations of an install leaves one engine or the other",
          "[snapshot][install][crash]") {
    Source source;
    std::set<bool> outcomes;
    bool completed = false;
    for (std::uint64_t at = 1; !completed; ++at) {
        for (std::uint64_t variant = 0; variant < 8 && !completed; ++variant) {
            INFO("operation " << at << ", variant " << variant);
            Disk disk;
            Member member(disk.files, disk.kind, kDir);
            fill_behind(member);
            const Picture before = member.picture();
            disk.files.crash_at(disk.files.ops() + at);
            completed = member.take(source.disk.files, *source.built, 900).has_value();
            const bool acknowledged = member.picture() == source.member.picture();
            outcomes.insert(acknowledged);
            member.close();
            disk.crash(at * 100 + variant, variant);
            check_after_crash(disk, member, before, source, acknowledged);
        }
        REQUIRE((!completed || at > 40));
    }
    CHECK(outcomes.size() == 2);
}

TEST_CASE("a crash at any operation of the start after such a crash changes nothing",
          "[snapshot][install][crash]") {
    Source source;
    bool completed = false;
    for (std::uint64_t at = 1; !completed; at += 2) {
        bool started = false;
        for (std::uint64_t then = 1; !started; ++then) {
            INFO("operation " << at << ", then " << then);
            Disk disk;
            Member member(disk.files, disk.kind, kDir);
            fill_behind(member);
            const Picture before = member.picture();
            disk.files.crash_at(disk.files.ops() + at);
            completed = member.take(source.disk.files, *source.built, 2000).has_value();
            const bool acknowledged = member.picture() == source.member.picture();
            member.close();
            then % 2 == 0 ? disk.files.kill_process() : disk.crash(at * 100 + then, 4);
            disk.files.crash_at(disk.files.ops() + then);
            started = member.open().has_value();
            member.close();
            disk.crash(at * 100 + then + 50, 4);
            check_after_crash(disk, member, before, source, acknowledged);
        }
    }
}

TEST_CASE("a transfer goes on after a start where it was cut off", "[snapshot][receive]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill_behind(member);
    SnapshotReader reader(source.disk.files, source.built->dir, source.built->manifest);
    const SnapshotPlace begin = member.store().receive(source.built->manifest).value();
    CHECK(begin == SnapshotPlace{0, 0});
    const SnapshotPlace next = member.store().write(begin, reader.read(begin, 500).value()).value();
    CHECK(next == SnapshotPlace{0, 500});
    CHECK(member.store().receive(source.built->manifest).value() == next);
    member.close();
    disk.files.kill_process();
    REQUIRE(member.open().has_value());
    CHECK_FALSE(member.store().received_to().has_value());
    CHECK(member.store().receive(source.built->manifest).value() == next);
    CHECK(member.store().received_to() == next);
    // Another snapshot begins anew.
    source.member.put("more", "1");
    const auto other = source.member.store().build(Index{42}).value();
    CHECK(member.store().receive(other->manifest).value() == begin);
    REQUIRE(member.take(source.disk.files, *other).has_value());
    CHECK(member.picture() == source.member.picture());
}

TEST_CASE("what a start finds of a transfer that brings nothing goes", "[snapshot][receive]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill(member, "ahead", 60);
    REQUIRE(member.machine().flush().has_value());
    REQUIRE(member.store().receive(source.built->manifest).has_value());
    CHECK(disk.names("data/snap") == std::set<std::string>{"incoming"});
    REQUIRE(member.open().has_value());
    CHECK(disk.names("data/snap").empty());
}

TEST_CASE("pieces out of place are refused, and change nothing", "[snapshot][receive][hostile]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill_behind(member);
    SnapshotStore& store = member.store();
    const std::uint64_t bytes = source.built->manifest.files[0].bytes;
    CHECK(store.write({0, 0}, "x").error().code == Errc::kMalformed);
    CHECK(store.finish().error().code == Errc::kMalformed);
    CHECK(store.install(source.built->manifest.meta).error().code == Errc::kMalformed);
    SnapshotManifest senseless = source.built->manifest;
    senseless.meta.conf.voters.clear();
    CHECK(store.receive(senseless).error().code == Errc::kMalformed);
    REQUIRE(store.receive(source.built->manifest).has_value());
    for (const SnapshotPlace place :
         {SnapshotPlace{0, 1}, SnapshotPlace{1, 0}, SnapshotPlace{7, 7}}) {
        CHECK(store.write(place, "x").error().code == Errc::kMalformed);
    }
    CHECK(store.write({0, 0}, std::string(bytes + 1, 'x')).error().code == Errc::kMalformed);
    CHECK(store.write({0, 0}, "").error().code == Errc::kMalformed);
    CHECK(store.finish().error().code == Errc::kMalformed);
    CHECK(store.write({0, 0}, std::string(bytes, 'x')).error().code == Errc::kCorrupt);
    CHECK(store.received_to() == SnapshotPlace{0, 0});
    REQUIRE(member.transfer(source.disk.files, *source.built).has_value());
    CHECK(store.write({1, 0}, "x").error().code == Errc::kMalformed);
    REQUIRE(store.finish().has_value());
    CHECK(store.receive(source.built->manifest).error().code == Errc::kTooManyRequests);
    raft::SnapshotMeta other = source.built->manifest.meta;
    other.last.index = Index{42};
    CHECK(store.install(other).error().code == Errc::kMalformed);
    REQUIRE(store.drop_received().has_value());
    CHECK(disk.names("data/snap").empty());
    REQUIRE(member.take(source.disk.files, *source.built).has_value());
    CHECK(member.picture() == source.member.picture());
}

TEST_CASE("a snapshot that rots on the way or lies is never installed", "[snapshot][install]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill_behind(member);
    const Picture before = member.picture();
    BuiltSnapshot built = *source.built;
    SECTION("rot after it was received") {
        REQUIRE(member.transfer(source.disk.files, built).has_value());
        REQUIRE(member.store().finish().has_value());
        disk.files.flip_bit("data/snap/incoming/mem.image", 100, 3);
    }
    SECTION("rot before it was whole") {
        REQUIRE(member.transfer(source.disk.files, built).has_value());
        disk.files.flip_bit("data/snap/incoming/mem.image", 100, 3);
        CHECK(member.store().finish().error().code == Errc::kIo);
        CHECK(disk.names("data/snap").empty());
    }
    SECTION("a file is gone") {
        REQUIRE(member.transfer(source.disk.files, built).has_value());
        REQUIRE(member.store().finish().has_value());
        REQUIRE(disk.files.remove("data/snap/incoming/mem.image").has_value());
    }
    SECTION("the manifest says another index") {
        built.manifest.meta.last.index = Index{50};
        REQUIRE(member.transfer(source.disk.files, built).has_value());
        REQUIRE(member.store().finish().has_value());
    }
    SECTION("the manifest says another configuration") {
        built.manifest.meta.conf.voters.push_back(NodeId{7});
        REQUIRE(member.transfer(source.disk.files, built).has_value());
        REQUIRE(member.store().finish().has_value());
    }
    CHECK(member.store().install(built.manifest.meta).has_error());
    REQUIRE(member.open().has_value());
    CHECK(member.picture() == before);
    CHECK(disk.names() == std::set<std::string>{"db", "snap", "wal"});
    REQUIRE(member.take(source.disk.files, *source.built).has_value());
    CHECK(member.picture() == source.member.picture());
}

TEST_CASE("a start that cannot tell which engine is the member's removes nothing",
          "[snapshot][install]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir);
    fill_behind(member);
    REQUIRE(member.take(source.disk.files, *source.built).has_value());
    member.close();
    const std::string installed = *disk.files.content("data/INSTALLED");
    SECTION("the file is damaged") {
        for (std::uint64_t at = 0; at < installed.size(); ++at) {
            disk.files.flip_bit("data/INSTALLED", at, 0);
            CHECK(member.open().has_error());
            disk.files.flip_bit("data/INSTALLED", at, 0);
        }
    }
    SECTION("the file is cut short") {
        disk.files.put_file("data/INSTALLED", ByteView(installed).substr(0, 20));
        CHECK(member.open().error().code == Errc::kCorrupt);
    }
    SECTION("the file is gone") {
        REQUIRE(disk.files.remove("data/INSTALLED").has_value());
        CHECK(member.open().error().code == Errc::kCorrupt);
    }
    SECTION("the engine is gone") {
        REQUIRE(disk.files.rename("data/db-0000000000000029", "data/elsewhere").has_value());
        CHECK(member.open().error().code == Errc::kCorrupt);
        REQUIRE(disk.files.rename("data/elsewhere", "data/db-0000000000000029").has_value());
    }
    disk.files.put_file("data/INSTALLED", installed);
    REQUIRE(member.open().has_value());
    CHECK(member.picture() == source.member.picture());
}

TEST_CASE("a disk that is full leaves nothing of a transfer, and the member as it was",
          "[snapshot][disk]") {
    Source source;
    const std::uint64_t bytes = source.built->manifest.bytes();
    bool taken = false;
    for (std::uint64_t room = 0; !taken; room += bytes / 16) {
        INFO("room " << room);
        Disk disk;
        Member member(disk.files, disk.kind, kDir);
        fill_behind(member);
        const Picture before = member.picture();
        disk.files.set_capacity(disk.files.bytes_used() + room);
        const auto done = member.transfer(source.disk.files, *source.built);
        taken = done.has_value();
        if (!taken) {
            CHECK(done.error().code == Errc::kNoSpace);
            CHECK_FALSE(member.store().received_to().has_value());
            CHECK(disk.names("data/snap").empty());
            CHECK(member.picture() == before);
        }
        REQUIRE(room < 4 * bytes);
    }
}

TEST_CASE("a build or a transfer that would fill the disk is not begun", "[snapshot][disk]") {
    Source source;
    Disk disk;
    Member member(disk.files, disk.kind, kDir, {.free_bytes_min = 1'000'000});
    fill_behind(member);
    disk.files.set_capacity(disk.files.bytes_used() + 1'000'100);
    CHECK(member.store().build(Index{1}).error().code == Errc::kNoSpace);
    CHECK(member.store().receive(source.built->manifest).error().code == Errc::kNoSpace);
    CHECK(disk.names("data/snap").empty());
    disk.files.set_capacity(disk.files.bytes_used() + 1'100'000);
    REQUIRE(member.take(source.disk.files, *source.built).has_value());
    CHECK(member.store().build(Index{41}).has_value());
}

}  // namespace cairn::storage::test
