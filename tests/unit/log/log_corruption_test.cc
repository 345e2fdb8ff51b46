// Tears are dropped, rot is refused: the rule of docs/formats/wal.md, place by place.

#include <string>
#include <vector>

#include "catch.h"

#include "log_harness.h"
#include "seed.h"
#include "storage/wal_format.h"

namespace cairn::storage {
namespace {

const std::string kFirstSegment = std::string(kLogDir) + "/0000000000000001.seg";
const std::string kSecondSegment = std::string(kLogDir) + "/0000000000000002.seg";
constexpr std::uint64_t kBlock = wal::kBlockBytes;

// A disk whose log holds these steps, all synced.
std::unique_ptr<SimFs> disk_with(const std::vector<LogStep>& steps) {
    auto files = new_disk();
    const LogRun run = run_steps(*files, steps);
    REQUIRE(run.completed);
    files->kill_process();
    return files;
}

raft::Recovered model_of(const std::vector<LogStep>& steps) {
    LogModel model;
    for (const LogStep& step : steps) {
        for (const raft::PersistBatch& batch : step.batches) {
            model.apply(batch);
        }
    }
    return model.recovered();
}

std::vector<LogStep> three_steps() {
    return {{{entries_batch(1, 1, 2)}}, {{entries_batch(1, 3, 2)}}, {{entries_batch(1, 5, 2)}}};
}

void check_refused(SimFs& files, const std::string& path, std::uint64_t offset,
                   std::uint64_t first_missing) {
    const auto opened = LogStore::open(files, kLogDir, kTinyLog);
    REQUIRE(opened.has_error());
    const Error& error = opened.error();
    INFO(to_string(error));
    REQUIRE(error.code == Errc::kCorrupt);
    REQUIRE(error.detail.find(path + " at " + std::to_string(offset) + ":") == 0);
    REQUIRE(error.detail.ends_with("first index missing: " + std::to_string(first_missing)));
}

// Crashes in the write of `last` so that exactly the sectors in `mask` of the batch, which begins
// at `offset` of `path`, reach the disk.
std::unique_ptr<SimFs> torn(const std::vector<LogStep>& before, const LogStep& last,
                            const std::string& path, std::uint64_t offset, std::uint64_t mask) {
    auto files = disk_with(before);
    auto opened = LogStore::open(*files, kLogDir, kTinyLog);
    files->set_hook([&](const SimOp& op) -> std::optional<Error> {
        if (op.kind == SimOpKind::kWrite && op.path == path && op.offset == offset) {
            files->crash_at(op.number + 1);  // before the sync
        }
        return std::nullopt;
    });
    REQUIRE(opened.value().log->append(last.batches).has_error());
    files->set_hook(nullptr);
    Prng prng(1);
    files->crash(prng, {.choose_sector = [&](const std::string& touched, std::uint64_t sector,
                                             std::size_t versions) -> std::size_t {
                     REQUIRE(touched == path);
                     const std::uint64_t in_batch = sector - offset / kSimSectorBytes;
                     return ((mask >> in_batch) & 1U) != 0 ? versions : 0;
                 }});
    return files;
}

}  // namespace

TEST_CASE("every subset of the sectors of the last batch is a tear or the batch", "[log][tear]") {
    // One block, with payload in all of its eight sectors.
    const std::vector<LogStep> start{{{entries_batch(1, 1, 2)}}, {{entries_batch(1, 3, 2)}}};
    const LogStep last{{entries_batch(2, 5, 3, 1300)}};
    std::vector<LogStep> whole = start;
    whole.push_back(last);
    for (std::uint64_t mask = 0; mask < 256; ++mask) {
        INFO("sectors " << mask);
        auto files = torn(start, last, kFirstSegment, 3 * kBlock, mask);
        auto opened = LogStore::open(*files, kLogDir, kTinyLog);
        REQUIRE(opened.has_value());
        const bool all_there = mask == 255;
        REQUIRE(opened.value().recovered == model_of(all_there ? whole : start));
        // A tear is reported with its length, as far as anything of it can be seen.
        REQUIRE((opened.value().torn_bytes > 0) == (!all_there && mask != 0));
    }
}

TEST_CASE("a batch torn at any 512-byte boundary is dropped", "[log][tear]") {
    const std::vector<LogStep> start{{{entries_batch(1, 1, 2)}}};
    const LogStep last{{entries_batch(1, 3, 1, 7000)}};  // two blocks
    std::vector<LogStep> whole = start;
    whole.push_back(last);
    for (std::uint64_t sectors = 0; sectors <= 16; ++sectors) {
        for (const bool from_front : {true, false}) {
            INFO(sectors << (from_front ? " first" : " last") << " sectors");
            const std::uint64_t first_n = (1ULL << sectors) - 1;
            const std::uint64_t mask =
                from_front ? first_n : 0xffffU & ~((1ULL << (16 - sectors)) - 1);
            auto files = torn(start, last, kFirstSegment, 2 * kBlock, mask);
            auto opened = LogStore::open(*files, kLogDir, kTinyLog);
            REQUIRE(opened.has_value());
            // The last sectors are padding: without them the batch is whole, for they were zero.
            const bool all_there = (mask | 0xc000U) == 0xffffU;
            REQUIRE(opened.value().recovered == model_of(all_there ? whole : start));
        }
    }
}

TEST_CASE("a torn first batch of a segment leaves the log before it", "[log][tear]") {
    // Three blocks of data fill the first segment; the fourth batch begins the second.
    const std::vector<LogStep> before = three_steps();
    const LogStep last{{entries_batch(2, 7, 1)}};
    for (std::uint64_t mask = 0; mask < 256; ++mask) {
        INFO("sectors " << mask);
        auto files = torn(before, last, kSecondSegment, 0, mask);
        auto opened = LogStore::open(*files, kLogDir, kTinyLog);
        REQUIRE(opened.has_value());
        REQUIRE(opened.value().recovered == model_of(before));
        REQUIRE(opened.value().log->append(last.batches).has_value());
        opened.value().log.reset();
        std::vector<LogStep> all = before;
        all.push_back(last);
        REQUIRE(LogStore::open(*files, kLogDir, kTinyLog).value().recovered == model_of(all));
    }
}

TEST_CASE("each flipped bit of an inner batch is refused", "[log][rot]") {
    auto files = disk_with(three_steps());
    // Header, first and second data batch: a later batch shows that all three were durable.
    for (std::uint64_t batch = 0; batch < 3; ++batch) {
        const std::uint64_t first_missing = batch == 2 ? 3 : 1;
        for (std::uint64_t byte = 0; byte < kBlock; ++byte) {
            // Padding bytes are all alike: each bit of the first hundred after the payload will do.
            const bool dense = byte < 300;
            for (unsigned bit = 0; bit < (dense ? 8U : 1U); ++bit) {
                const unsigned flipped = dense ? bit : static_cast<unsigned>(byte % 8);
                files->flip_bit(kFirstSegment, batch * kBlock + byte, flipped);
                check_refused(*files, kFirstSegment, batch * kBlock, first_missing);
                files->flip_bit(kFirstSegment, batch * kBlock + byte, flipped);
            }
        }
    }
    REQUIRE(LogStore::open(*files, kLogDir, kTinyLog).value().recovered == model_of(three_steps()));
}

TEST_CASE("rot in the last batch of a full segment is refused", "[log][rot]") {
    std::vector<LogStep> steps = three_steps();
    steps.push_back({{entries_batch(1, 7, 1)}});  // in the second segment
    auto files = disk_with(steps);
    files->flip_bit(kFirstSegment, 3 * kBlock + 100, 3);
    check_refused(*files, kFirstSegment, 3 * kBlock, 5);
    files->flip_bit(kFirstSegment, 3 * kBlock + 100, 3);
    // And in the first batch of that second segment, though only one batch stands behind it.
    files->flip_bit(kSecondSegment, 10, 0);
    check_refused(*files, kFirstSegment, 4 * kBlock, 7);
}

TEST_CASE("rot before a torn batch is refused", "[log][rot]") {
    // All that is left of the last batch is the sector with its header: proof enough.
    const std::vector<LogStep> start{{{entries_batch(1, 1, 2)}}, {{entries_batch(1, 3, 2)}}};
    const LogStep last{{entries_batch(1, 5, 3, 1300)}};
    auto files = torn(start, last, kFirstSegment, 3 * kBlock, 1);
    files->flip_bit(kFirstSegment, 2 * kBlock + 70, 1);
    check_refused(*files, kFirstSegment, 2 * kBlock, 3);
}

TEST_CASE("rot in the newest batch is refused once it is sealed", "[log][rot]") {
    std::vector<LogStep> steps{{{entries_batch(1, 1, 2)}}};
    SECTION("not sealed: cannot be told from a tear") {
        auto files = disk_with(steps);
        files->flip_bit(kFirstSegment, kBlock + 100, 3);
        auto opened = LogStore::open(*files, kLogDir, kTinyLog);
        REQUIRE(opened.value().recovered == raft::Recovered{});
        REQUIRE(opened.value().torn_bytes == kBlock);
    }
    SECTION("sealed") {
        steps.push_back({});
        auto files = disk_with(steps);
        files->flip_bit(kFirstSegment, kBlock + 100, 3);
        check_refused(*files, kFirstSegment, kBlock, 1);
    }
}

TEST_CASE("a missing or misplaced file is refused", "[log][rot]") {
    std::vector<LogStep> steps = three_steps();
    for (std::uint64_t index = 7; index <= 16; ++index) {
        steps.push_back({{entries_batch(1, index, 1)}});
    }
    auto files = disk_with(steps);  // five segments
    const auto path = [](int id) {
        return std::string(kLogDir) + "/000000000000000" + std::to_string(id) + ".seg";
    };
    REQUIRE(files->exists(path(5)).value());
    SECTION("one in the middle is gone") {
        REQUIRE(files->remove(path(3)).has_value());
        check_refused(*files, path(4), 0, 10);
    }
    SECTION("the oldest is gone though its entries are above the floor") {
        REQUIRE(files->remove(path(1)).has_value());
        check_refused(*files, path(5), 0, 1);
    }
    SECTION("the only one goes by another's name") {
        auto lone = disk_with({{{entries_batch(1, 1, 1)}}});
        REQUIRE(lone->rename(path(1), path(2)).has_value());
        check_refused(*lone, path(2), 0, 1);
    }
    SECTION("two change places") {
        REQUIRE(files->rename(path(2), path(9)).has_value());
        REQUIRE(files->rename(path(3), path(2)).has_value());
        REQUIRE(files->rename(path(9), path(3)).has_value());
        check_refused(*files, path(3), 0, 7);
    }
    SECTION("the newest is an older copy of another") {
        files->put_file(path(5), files->content(path(4)).value());
        auto opened = LogStore::open(*files, kLogDir, kTinyLog);
        // Nothing of segment 5 is left in it: as if it had just been made from a recycled file.
        REQUIRE(opened.value().recovered.entries.size() == 15);
    }
    SECTION("a segment stands behind one that has no first batch") {
        files->put_file(path(6), std::string(16384, '\0'));
        files->put_file(path(7), std::string(16384, '\0'));
        check_refused(*files, path(7), 0, 17);
    }
    SECTION("a misdirected write") {
        const std::string block = files->content(path(2)).value().substr(kBlock, kBlock);
        std::string content = files->content(path(2)).value();
        content.replace(2 * kBlock, kBlock, block);
        files->put_file(path(2), content);
        check_refused(*files, path(2), 2 * kBlock, 8);
    }
    SECTION("a lost write: the block is as it was before") {
        std::string content = files->content(path(2)).value();
        content.replace(2 * kBlock, kBlock, std::string(kBlock, '\0'));
        files->put_file(path(2), content);
        check_refused(*files, path(2), 2 * kBlock, 8);
    }
}

TEST_CASE("a segment of a number that no log gets to is refused, a spare left alone",
          "[log][rot]") {
    SimFs files;
    REQUIRE(files.make_dirs("/wal").has_value());
    const std::string spare = "/wal/" + wal::spare_name(UINT64_MAX);
    files.put_file(spare, "x");
    CHECK(LogStore::open(files, "/wal", {}).has_value());
    CHECK(files.exists(spare).value());
    const std::string segment = "/wal/" + wal::segment_name(UINT64_MAX);
    files.put_file(segment, "x");
    const auto opened = LogStore::open(files, "/wal", {});
    REQUIRE(opened.has_error());
    CHECK(opened.error().code == Errc::kCorrupt);
    CHECK(opened.error().detail.find(segment) != std::string::npos);
    CHECK(files.exists(segment).value());
}

TEST_CASE("stale batches of a recycled segment are not taken for new ones", "[log][recycle]") {
    auto files = new_disk();
    LogModel model;
    auto opened = LogStore::open(*files, kLogDir, kTinyLog);
    const auto append = [&](const raft::PersistBatch& batch) {
        const std::vector<raft::PersistBatch> batches{batch};
        REQUIRE(opened.value().log->append(batches).has_value());
        model.apply(batch);
    };
    std::uint64_t index = 1;
    for (; index <= 7; ++index) {
        append(entries_batch(1, index, 1));
    }
    append(floor_batch(model, 6));  // segments 1 and 2 are not needed: one is kept as a spare
    const auto spares = files->list(kLogDir).value();
    REQUIRE(spares.size() == 2);
    REQUIRE(spares[0] == "0000000000000003.seg");
    REQUIRE(spares[1] == "0000000000000004.spare");
    // The spare becomes segment 4, whose blocks behind the first hold batches of segment 1.
    append(entries_batch(1, index++, 1));
    append(entries_batch(1, index++, 1));
    opened.value().log.reset();
    const std::string path = std::string(kLogDir) + "/0000000000000004.seg";
    const std::string content = files->content(path).value();
    const auto stale = wal::decode_header(ByteView(content).substr(2 * kBlock), 2 * kBlock);
    REQUIRE(stale.has_value());
    REQUIRE(stale->segment == 1);
    opened = LogStore::open(*files, kLogDir, kTinyLog);
    REQUIRE(opened.value().recovered == model.recovered());
    REQUIRE(opened.value().torn_bytes == 0);
    // Overwriting the stale blocks one by one changes nothing in that.
    append(entries_batch(1, index++, 1));
    opened.value().log.reset();
    REQUIRE(LogStore::open(*files, kLogDir, kTinyLog).value().recovered == model.recovered());
}

TEST_CASE("whatever a segment holds, opening ends with a log or an error", "[log][rot][random]") {
    auto files = disk_with(three_steps());
    const std::string good = files->content(kFirstSegment).value();
    const raft::Recovered whole = model_of(three_steps());
    const auto [first, last] = seeds_up_to(400);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        INFO("CAIRN_SEED=" << seed);
        Prng prng(seed);
        std::string content = good;
        const std::uint64_t damages = prng.between(1, 6);
        for (std::uint64_t i = 0; i < damages; ++i) {
            const std::uint64_t at = prng.below(content.size());
            const std::uint64_t bytes = std::min(prng.below(600), content.size() - at);
            content.replace(at, bytes, std::string(bytes, static_cast<char>(prng.below(256))));
        }
        if (prng.chance(1, 5)) {
            content.resize(prng.below(content.size()));
        }
        auto fresh = new_disk();
        REQUIRE(fresh->make_dirs(kLogDir).has_value());
        fresh->put_file(kFirstSegment, content);
        const auto opened = LogStore::open(*fresh, kLogDir, kTinyLog);
        if (opened.has_error()) {
            REQUIRE(opened.error().code == Errc::kCorrupt);
            continue;
        }
        const auto& entries = opened.value().recovered.entries;
        REQUIRE(entries.size() <= whole.entries.size());
        REQUIRE(std::equal(entries.begin(), entries.end(), whole.entries.begin()));
    }
}

}  // namespace cairn::storage
