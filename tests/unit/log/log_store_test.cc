// The log on real files: what is appended comes back, in every arrangement of segments.

#include "storage/log_store.h"

#include <string>
#include <vector>

#include "catch.h"

#include "log_harness.h"
#include "log_model.h"
#include "storage/posix_fs.h"
#include "temp_dir.h"

namespace cairn::storage {
namespace {

constexpr LogOptions kSmall{.segment_bytes = 16U * 1024U, .recycle_max = 2};
constexpr LogOptions kRoomy{.segment_bytes = 64U * 1024U, .recycle_max = 2};

LogStore::Opened open_ok(FileSystem& files, const std::string& dir, LogOptions options = kSmall) {
    auto opened = LogStore::open(files, dir, options);
    INFO((opened.has_error() ? to_string(opened.error()) : "opened"));
    REQUIRE(opened.has_value());
    return std::move(opened).value();
}

void append_ok(LogStore& log, LogModel& model, const std::vector<raft::PersistBatch>& batches) {
    auto result = log.append(batches);
    INFO((result.has_error() ? to_string(result.error()) : "appended"));
    REQUIRE(result.has_value());
    for (const raft::PersistBatch& batch : batches) {
        model.apply(batch);
    }
}

}  // namespace

TEST_CASE("a new log is empty and stays empty", "[log]") {
    TempDir temp;
    PosixFs files;
    for (int i = 0; i < 3; ++i) {
        const auto opened = open_ok(files, temp.path() + "/wal");
        REQUIRE(opened.recovered == raft::Recovered{});
        REQUIRE(opened.torn_bytes == 0);
        REQUIRE(opened.log->stats().segments == 1);
    }
}

TEST_CASE("a span of batches is one write and one sync", "[log]") {
    TempDir temp;
    PosixFs files;
    LogModel model;
    {
        auto opened = open_ok(files, temp.path());
        const auto before = opened.log->stats();
        append_ok(*opened.log, model,
                  {entries_batch(1, 1, 3), hard_state_batch(2, 7, 1), entries_batch(2, 4, 2)});
        const auto after = opened.log->stats();
        REQUIRE(after.syncs - before.syncs == 1);
        REQUIRE(after.appends - before.appends == 1);
        REQUIRE(after.bytes_written - before.bytes_written == 4096);
        REQUIRE(opened.log->append({}).has_value());
        REQUIRE(opened.log->append(std::vector<raft::PersistBatch>(2)).has_value());
        REQUIRE(opened.log->stats().syncs == after.syncs);
    }
    REQUIRE(open_ok(files, temp.path()).recovered == model.recovered());
}

TEST_CASE("segments end, are recycled and hold everything above the floor", "[log]") {
    TempDir temp;
    PosixFs files;
    LogModel model;
    auto opened = open_ok(files, temp.path());
    for (std::uint64_t index = 1; index <= 60; ++index) {
        append_ok(*opened.log, model, {entries_batch(1 + index / 20, index, 1)});
        if (index % 10 == 0) {
            append_ok(*opened.log, model, {floor_batch(model, index - 5)});
        }
        if (index % 7 == 0) {
            opened.log.reset();
            opened = open_ok(files, temp.path());
            REQUIRE(opened.recovered == model.recovered());
            REQUIRE(opened.torn_bytes == 0);
        }
    }
    const auto names = files.list(temp.path()).value();
    REQUIRE(names.size() <= 3 + 3);
    REQUIRE(opened.log->stats().segments <= 4);
}

TEST_CASE("a batch larger than a segment gets its own", "[log]") {
    TempDir temp;
    PosixFs files;
    LogModel model;
    {
        auto opened = open_ok(files, temp.path());
        append_ok(*opened.log, model, {entries_batch(1, 1, 1)});
        append_ok(*opened.log, model, {entries_batch(1, 2, 1, 100'000)});
        append_ok(*opened.log, model, {entries_batch(1, 3, 1)});
        REQUIRE(opened.log->stats().segments == 3);
    }
    auto opened = open_ok(files, temp.path());
    REQUIRE(opened.recovered == model.recovered());
    append_ok(*opened.log, model, {floor_batch(model, 3)});
    REQUIRE(opened.log->stats().segments == 1);
    opened.log.reset();
    REQUIRE(open_ok(files, temp.path()).recovered == model.recovered());
}

TEST_CASE("an overwritten suffix is gone after reopening", "[log]") {
    TempDir temp;
    PosixFs files;
    LogModel model;
    auto opened = open_ok(files, temp.path());
    append_ok(*opened.log, model, {entries_batch(1, 1, 30, 600)});
    append_ok(*opened.log, model, {entries_batch(2, 10, 2, 600)});
    opened.log.reset();
    opened = open_ok(files, temp.path());
    REQUIRE(opened.recovered == model.recovered());
    REQUIRE(opened.recovered.entries.size() == 11);
    // The floor may now pass segments whose later entries were all overwritten.
    append_ok(*opened.log, model, {entries_batch(3, 2, 1)});
    append_ok(*opened.log, model, {floor_batch(model, 2)});
    REQUIRE(opened.log->stats().segments == 1);
    opened.log.reset();
    opened = open_ok(files, temp.path());
    REQUIRE(opened.recovered == model.recovered());
    REQUIRE(opened.recovered.entries.empty());
}

TEST_CASE("an installed snapshot's floor leaves nothing of the log", "[log]") {
    const auto after_restart = [](std::uint64_t term, std::uint64_t index) {
        TempDir temp;
        PosixFs files;
        LogModel model;
        auto opened = open_ok(files, temp.path());
        append_ok(*opened.log, model, {entries_batch(1, 1, 30, 600)});
        append_ok(*opened.log, model, {restart_batch(term, index)});
        // Segments of the old log go, also those that end above the new floor.
        REQUIRE(opened.log->stats().segments == 1);
        append_ok(*opened.log, model, {entries_batch(term, index + 1, 2)});
        opened.log.reset();
        opened = open_ok(files, temp.path());
        REQUIRE(opened.recovered == model.recovered());
        REQUIRE(opened.recovered.floor.last == raft::EntryId{Term{term}, Index{index}});
        REQUIRE(opened.recovered.entries.size() == 2);
    };
    after_restart(3, 500);  // above the log
    after_restart(2, 20);   // inside of it, where it holds another entry
    after_restart(2, 30);
}

TEST_CASE("a seal is written once", "[log]") {
    TempDir temp;
    PosixFs files;
    LogModel model;
    auto opened = open_ok(files, temp.path(), kRoomy);
    append_ok(*opened.log, model, {entries_batch(1, 1, 1)});
    REQUIRE(opened.log->seal().has_value());
    const auto syncs = opened.log->stats().syncs;
    REQUIRE(opened.log->seal().has_value());
    REQUIRE(opened.log->stats().syncs == syncs);
    opened.log.reset();
    opened = open_ok(files, temp.path(), kRoomy);
    const auto reopened_syncs = opened.log->stats().syncs;
    REQUIRE(opened.log->seal().has_value());
    REQUIRE(opened.log->stats().syncs == reopened_syncs);
    REQUIRE(opened.recovered == model.recovered());
    append_ok(*opened.log, model, {entries_batch(1, 2, 1)});
    REQUIRE(opened.log->seal().has_value());
    REQUIRE(opened.log->stats().syncs == reopened_syncs + 2);
}

TEST_CASE("a floor beyond the log empties it", "[log]") {
    TempDir temp;
    PosixFs files;
    LogModel model;
    auto opened = open_ok(files, temp.path());
    append_ok(*opened.log, model, {entries_batch(1, 1, 3)});
    raft::PersistBatch jump;
    jump.floor = floor_at({Term{4}, Index{50}});
    append_ok(*opened.log, model, {jump});
    append_ok(*opened.log, model, {entries_batch(5, 51, 2)});
    opened.log.reset();
    opened = open_ok(files, temp.path());
    REQUIRE(opened.recovered == model.recovered());
    REQUIRE(opened.recovered.entries.size() == 2);
}

TEST_CASE("the next segment is made ready in parts while this one fills", "[log]") {
    constexpr std::uint64_t kMiB = 1024U * 1024U;
    constexpr LogOptions kOptions{.segment_bytes = 4 * kMiB, .recycle_max = 2};
    TempDir temp;
    PosixFs files;
    LogModel model;
    auto opened = open_ok(files, temp.path(), kOptions);
    const std::string spare = temp.path() + "/0000000000000002.spare";
    const auto spare_bytes = [&]() -> std::uint64_t {
        return files.exists(spare).value()
                   ? files.open(spare, OpenMode::kRead).value()->size().value()
                   : 0;
    };
    std::uint64_t before = 0;
    std::uint64_t steps = 0;
    for (std::uint64_t index = 1; opened.log->stats().segments == 1; ++index) {
        const auto syncs = opened.log->stats().syncs;
        append_ok(*opened.log, model, {entries_batch(1, index, 1, 200'000)});
        if (opened.log->stats().segments == 2) {
            // The segment's first batch and this one: the file was there.
            CHECK(opened.log->stats().syncs - syncs == 2);
            break;
        }
        CHECK(opened.log->stats().syncs - syncs == 1);
        REQUIRE(opened.log->prepare().has_value());
        const std::uint64_t now = spare_bytes();
        CHECK(now - before <= kMiB);
        steps += static_cast<std::uint64_t>(now > before);
        before = now;
    }
    CHECK(steps == 4);
    CHECK(before == 4 * kMiB);
    CHECK_FALSE(files.exists(spare).value());
    REQUIRE(opened.log->prepare().has_value());
    opened.log.reset();
    // A spare that was not finished is no spare.
    CHECK(files.list(temp.path()).value().size() == 2 + 1);
    CHECK(open_ok(files, temp.path(), kOptions).recovered == model.recovered());
    CHECK(files.list(temp.path()).value().size() == 2);
}

// What is left of the disk is for the engine, which a full one stops for good.
TEST_CASE("a spare takes no room that others may want", "[log]") {
    constexpr std::uint64_t kMiB = 1024U * 1024U;
    constexpr LogOptions kOptions{.segment_bytes = 4 * kMiB, .recycle_max = 2};
    const auto files = new_disk();
    LogModel model;
    auto opened = open_ok(*files, kLogDir, kOptions);
    const std::uint64_t used = files->bytes_used();
    files->set_capacity(used + 8 * kMiB - 1);  // for a spare, and a byte less than as much again
    std::uint64_t index = 0;
    const auto append = [&] {
        REQUIRE(++index < 1'000);
        append_ok(*opened.log, model, {entries_batch(1, index, 1, 20'000)});
        REQUIRE(opened.log->prepare().has_value());
    };
    for (int i = 0; i < 40; ++i) {
        append();
        REQUIRE(files->bytes_used() == used);
    }
    // A part that is there already goes when others take the room.
    files->set_capacity(used + 8 * kMiB);
    while (files->bytes_used() == used) {
        append();
    }
    files->set_capacity(used + 4 * kMiB);
    while (files->bytes_used() > used) {
        append();
    }
    CHECK(opened.log->stats().segments == 1);
    // When the segment ends there is no choice: with the last bytes the next one begins, and asks
    // anew from its beginning on.
    while (opened.log->stats().segments == 1) {
        append();
    }
    files->set_capacity(UINT64_MAX);
    for (int i = 0; i < 30; ++i) {
        append();
    }
    CHECK(files->bytes_used() > used + 4 * kMiB);
    opened.log.reset();
    CHECK(open_ok(*files, kLogDir, kOptions).recovered == model.recovered());
}

// Each try costs a call of the system.
TEST_CASE("a full disk is not asked for the next segment at each append", "[log]") {
    constexpr LogOptions kOptions{.segment_bytes = 4U * 1024U * 1024U, .recycle_max = 2};
    const auto files = new_disk();
    LogModel model;
    auto opened = open_ok(*files, kLogDir, kOptions);
    auto append = [&, index = std::uint64_t{1}]() mutable {
        append_ok(*opened.log, model, {entries_batch(1, index++, 1, 20'000)});
        const std::uint64_t before = files->ops();
        REQUIRE(opened.log->prepare().has_value());
        return files->ops() > before;
    };
    CHECK(append());
    files->set_capacity(0);
    int tries = 0;
    for (int i = 0; i < 150; ++i) {
        tries += static_cast<int>(append());
    }
    CHECK(tries > 2);
    CHECK(tries <= 8);
    REQUIRE(opened.log->stats().segments == 1);
    // There is room again.
    files->set_capacity(UINT64_MAX);
    while (opened.log->stats().segments < 3) {
        append();
    }
    opened.log.reset();
    CHECK(open_ok(*files, kLogDir, kOptions).recovered == model.recovered());
}

// The member halts, and starts again when there is room: for that it needs a little.
TEST_CASE("a segment that finds no room leaves none of itself", "[log]") {
    constexpr std::uint64_t kMiB = 1024U * 1024U;
    constexpr LogOptions kOptions{.segment_bytes = 4 * kMiB, .recycle_max = 2};
    const std::uint64_t entry_bytes = GENERATE(20'000U, 6'000'000U);
    const auto files = new_disk();
    LogModel model;
    auto opened = open_ok(*files, kLogDir, kOptions);
    append_ok(*opened.log, model, {entries_batch(1, 1, 1, 20'000)});
    const std::size_t names = files->list(kLogDir).value().size();
    REQUIRE(opened.log->prepare().has_value());  // a part of the next one
    const std::uint64_t capacity = files->bytes_used() + 2 * kMiB;
    files->set_capacity(capacity);
    Result<void> appended = ok();
    for (std::uint64_t index = 2; appended.has_value(); ++index) {
        const std::vector batches{entries_batch(1, index, 1, entry_bytes)};
        appended = opened.log->append(batches);
        if (appended.has_value()) {
            model.apply(batches.front());
        }
    }
    CHECK(appended.error().code == Errc::kNoSpace);
    CHECK(files->list(kLogDir).value().size() == names);
    CHECK(files->bytes_used() <= capacity - 2 * kMiB);
    files->set_capacity(UINT64_MAX);
    opened.log.reset();
    CHECK(open_ok(*files, kLogDir, kOptions).recovered == model.recovered());
}

TEST_CASE("what is not ready is written in parts too", "[log]") {
    constexpr std::uint64_t kMiB = 1024U * 1024U;
    constexpr LogOptions kOptions{.segment_bytes = 20 * kMiB, .recycle_max = 2};
    const bool is_begun = GENERATE(false, true);
    TempDir temp;
    PosixFs files;
    LogModel model;
    auto opened = open_ok(files, temp.path(), kOptions);
    // 8, 8 and 4 MiB of the first segment, and its first batch.
    CHECK(opened.log->stats().syncs == 3 + 1);
    std::uint64_t index = 1;
    append_ok(*opened.log, model, {entries_batch(1, index++, 1, 5 * kMiB)});
    if (is_begun) {
        REQUIRE(opened.log->prepare().has_value());
    }
    for (int i = 0; i < 2; ++i) {
        append_ok(*opened.log, model, {entries_batch(1, index++, 1, 5 * kMiB)});
    }
    const auto syncs = opened.log->stats().syncs;
    append_ok(*opened.log, model, {entries_batch(1, index++, 1, 6 * kMiB)});
    REQUIRE(opened.log->stats().segments == 2);
    // Of what was missing, 20 or 12 MiB, and two batches.
    CHECK(opened.log->stats().syncs - syncs == (is_begun ? 2 : 3) + 2);
    opened.log.reset();
    CHECK(open_ok(files, temp.path(), kOptions).recovered == model.recovered());
}

}  // namespace cairn::storage
