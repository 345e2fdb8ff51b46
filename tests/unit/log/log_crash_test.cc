// Crashes and failing disks: what the log keeps and what it refuses.

#include <cstdlib>
#include <string>
#include <vector>

#include "catch.h"

#include "log_harness.h"

namespace cairn::storage {
namespace {

std::string describe(const Result<LogStore::Opened>& opened) {
    return opened.has_error() ? to_string(opened.error()) : "opened";
}

// Opens after a crash: must succeed, hold what it may, and go on working.
void check_reopens(SimFs& files, const LogRun& run) {
    auto opened = LogStore::open(files, kLogDir, kTinyLog);
    INFO("reopened: " << describe(opened) << "; before: " << to_string(run.error));
    REQUIRE(opened.has_value());
    const raft::Recovered recovered = opened.value().recovered;
    REQUIRE(is_allowed(run, recovered));
    // What was recovered counts as durable from now on: even when the power goes at once.
    Prng prng(1);
    files.crash(prng, {.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll});
    opened = LogStore::open(files, kLogDir, kTinyLog);
    REQUIRE(opened.has_value());
    REQUIRE(opened.value().recovered == recovered);
    // And the log goes on from there.
    const std::uint64_t next = recovered.entries.empty()
                                   ? recovered.floor.last.index.value + 1
                                   : recovered.entries.back().id.index.value + 1;
    const std::vector<raft::PersistBatch> more{entries_batch(99, next, 2, 5000)};
    REQUIRE(opened.value().log->append(more).has_value());
    raft::Recovered expected = recovered;
    expected.entries.insert(expected.entries.end(), more[0].entries.begin(), more[0].entries.end());
    opened.value().log.reset();
    opened = LogStore::open(files, kLogDir, kTinyLog);
    REQUIRE(opened.has_value());
    REQUIRE(opened.value().recovered == expected);
}

std::uint64_t ops_of_tour() {
    auto files = new_disk();
    const std::uint64_t before = files->ops();
    const LogRun run = run_steps(*files, grand_tour());
    REQUIRE(run.completed);
    return files->ops() - before;
}

std::uint64_t base_seed() {
    const char* text = std::getenv("CAIRN_SEED");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::uint64_t rounds(std::uint64_t usual) {
    const char* text = std::getenv("CAIRN_ROUNDS");
    return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("the grand tour comes back whole", "[log][crash]") {
    auto files = new_disk();
    const LogRun run = run_steps(*files, grand_tour());
    REQUIRE(run.completed);
    files->kill_process();
    auto opened = LogStore::open(*files, kLogDir, kTinyLog);
    REQUIRE(opened.value().recovered == run.acknowledged.recovered());
    REQUIRE(opened.value().torn_bytes == 0);
}

TEST_CASE("a crash between every two file operations loses nothing acknowledged", "[log][crash]") {
    const std::uint64_t ops = ops_of_tour();
    REQUIRE(ops > 100);
    for (std::uint64_t at = 1; at <= ops; ++at) {
        for (std::uint64_t variant = 0; variant < 8; ++variant) {
            INFO("operation " << at << ", variant " << variant);
            auto files = new_disk();
            files->crash_at(files->ops() + at);
            const LogRun run = run_steps(*files, grand_tour());
            REQUIRE_FALSE(run.completed);
            Prng prng(at * 100 + variant);
            SimCrash how;
            if (variant < 4) {
                how.writes = variant % 2 == 0 ? SimWriteLoss::kAll : SimWriteLoss::kNone;
                how.dirs = variant / 2 == 0 ? SimDirLoss::kAll : SimDirLoss::kNone;
            } else {
                how.dirs = variant % 2 == 0 ? SimDirLoss::kPrefix : SimDirLoss::kSubset;
            }
            files->crash(prng, how);
            check_reopens(*files, run);
        }
    }
}

TEST_CASE("the process dying between every two file operations loses nothing", "[log][crash]") {
    const std::uint64_t ops = ops_of_tour();
    for (std::uint64_t at = 1; at <= ops; ++at) {
        INFO("operation " << at);
        auto files = new_disk();
        files->crash_at(files->ops() + at);
        const LogRun run = run_steps(*files, grand_tour());
        files->kill_process();
        check_reopens(*files, run);
    }
}

TEST_CASE("a second crash while the log reopens loses nothing", "[log][crash]") {
    const std::uint64_t ops = ops_of_tour();
    for (std::uint64_t at = 1; at <= ops; at += 3) {
        for (std::uint64_t again = 1; again <= 40; ++again) {
            INFO("operations " << at << " and " << again);
            auto files = new_disk();
            files->crash_at(files->ops() + at);
            const LogRun run = run_steps(*files, grand_tour());
            Prng prng(at * 1000 + again);
            files->crash(prng, {});
            files->crash_at(files->ops() + again);
            const bool survived = LogStore::open(*files, kLogDir, kTinyLog).has_value();
            files->crash(prng, {});
            check_reopens(*files, run);
            if (survived) {
                break;
            }
        }
    }
}

// But for a disk that is too full for a segment in advance: that one is not needed yet.
TEST_CASE("any failing file operation is the last one", "[log][fault]") {
    const std::uint64_t ops = ops_of_tour();
    std::uint64_t survived = 0;
    for (const Errc code : {Errc::kIo, Errc::kNoSpace}) {
        for (const SimFailedSync mode : {SimFailedSync::kReadsOld, SimFailedSync::kReadsNew}) {
            for (std::uint64_t at = 1; at <= ops; ++at) {
                INFO(errc_name(code) << " at operation " << at << ", failed sync reads "
                                     << (mode == SimFailedSync::kReadsOld ? "old" : "new"));
                auto files = new_disk();
                files->set_failed_sync(mode);
                files->fail_at(files->ops() + at, code);
                const LogRun run = run_steps(*files, grand_tour());
                if (run.completed) {
                    REQUIRE(code == Errc::kNoSpace);
                    ++survived;
                } else {
                    REQUIRE(run.error.code == code);
                }
                // The process exits and is started again; the machine goes on.
                files->kill_process();
                check_reopens(*files, run);
            }
        }
    }
    REQUIRE(survived > 0);
    REQUIRE(survived < ops);
}

TEST_CASE("after an error no later call touches the disk", "[log][fault]") {
    auto files = new_disk();
    auto opened = LogStore::open(*files, kLogDir, kTinyLog);
    LogStore& log = *opened.value().log;
    const std::vector<raft::PersistBatch> first{entries_batch(1, 1, 1)};
    const std::vector<raft::PersistBatch> second{entries_batch(1, 2, 1)};
    REQUIRE(log.append(first).has_value());
    files->set_hook([](const SimOp& op) -> std::optional<Error> {
        if (op.kind == SimOpKind::kSync) {
            return Error{Errc::kIo, op.path + ": fdatasync: Input/output error"};
        }
        return std::nullopt;
    });
    const Result<void> failed = log.append(second);
    REQUIRE(failed.error().code == Errc::kIo);
    files->set_hook(nullptr);
    const std::uint64_t ops = files->ops();
    REQUIRE(log.append(second).error() == failed.error());
    REQUIRE(log.seal().error() == failed.error());
    REQUIRE(log.append({}).error() == failed.error());
    REQUIRE(files->ops() == ops);
}

TEST_CASE("a full disk stops the log and loses nothing", "[log][fault]") {
    for (std::uint64_t capacity = 0; capacity < 150'000; capacity += 4096) {
        INFO("capacity " << capacity);
        auto files = new_disk();
        files->set_capacity(capacity);
        const LogRun run = run_steps(*files, grand_tour());
        if (!run.completed) {
            REQUIRE(run.error.code == Errc::kNoSpace);
        }
        files->set_capacity(UINT64_MAX);
        Prng prng(capacity);
        files->crash(prng, {});
        check_reopens(*files, run);
    }
}

TEST_CASE("a finished run leaves nothing unsynced that matters", "[log][fault]") {
    auto files = new_disk();
    const LogRun run = run_steps(*files, grand_tour());
    Prng prng(7);
    files->crash(prng, {.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll});
    check_reopens(*files, run);
}

namespace {

// A random program: appends of all sizes, truncations, floors, seals, reopenings, faults.
class RandomProgram {
  public:
    explicit RandomProgram(std::uint64_t seed) : prng_(seed), files_(new_disk()) {}

    void run() {
        for (int life = 0; life < 6; ++life) {
            const LogRun before = live();
            if (prng_.chance(1, 4)) {
                files_->kill_process();
            } else {
                files_->crash(prng_, {});
            }
            auto opened = LogStore::open(*files_, kLogDir, kTinyLog);
            INFO(describe(opened));
            REQUIRE(opened.has_value());
            adopt(before, opened.value().recovered);
            files_->kill_process();
        }
    }

  private:
    // One life of the process, until it ends or something fails.
    LogRun live() {
        LogRun run;
        run.acknowledged = model_;
        if (prng_.chance(2, 3)) {
            files_->crash_at(files_->ops() + prng_.between(1, 120));
        } else if (prng_.chance(1, 2)) {
            files_->fail_at(files_->ops() + prng_.between(1, 120), Errc::kIo);
        }
        auto opened = LogStore::open(*files_, kLogDir, kTinyLog);
        if (opened.has_error()) {
            return run;
        }
        REQUIRE(opened.value().recovered == model_.recovered());
        LogStore& log = *opened.value().log;
        for (int step = 0; step < 25; ++step) {
            run.in_doubt = draw_step(run.acknowledged);
            const Result<void> result =
                run.in_doubt.empty() ? log.seal() : log.append(run.in_doubt);
            if (result.has_error()) {
                return run;
            }
            for (const raft::PersistBatch& batch : run.in_doubt) {
                run.acknowledged.apply(batch);
            }
            run.in_doubt.clear();
        }
        return run;
    }

    void adopt(const LogRun& run, const raft::Recovered& recovered) {
        REQUIRE(is_allowed(run, recovered));
        model_ = run.acknowledged;
        for (const raft::PersistBatch& batch : run.in_doubt) {
            if (recovered == model_.recovered()) {
                break;
            }
            model_.apply(batch);
        }
        REQUIRE(recovered == model_.recovered());
    }

    std::vector<raft::PersistBatch> draw_step(LogModel model) {
        std::vector<raft::PersistBatch> batches;
        const std::uint64_t count = prng_.below(4);  // 0: a seal
        for (std::uint64_t i = 0; i < count; ++i) {
            batches.push_back(draw_batch(model));
            model.apply(batches.back());
        }
        return batches;
    }

    raft::PersistBatch draw_batch(const LogModel& model) {
        const std::uint64_t last = model.last().value;
        const std::uint64_t floor = model.floor().value;
        raft::PersistBatch batch;
        if (prng_.chance(3, 4)) {
            const std::uint64_t back =
                prng_.chance(1, 5) ? prng_.below(last - floor + 1) : 0;  // truncates
            const std::uint64_t term =
                model.last_term().value + prng_.below(2) + (back > 0 ? 1 : 0);
            const std::size_t bytes = prng_.chance(1, 20) ? 20'000 : prng_.below(1500);
            batch = entries_batch(std::max<std::uint64_t>(term, 1), last + 1 - back,
                                  prng_.between(1, 4), bytes);
        }
        if (prng_.chance(1, 3)) {
            batch.hard_state = raft::HardState{Term{prng_.below(100)}, NodeId{prng_.below(4)},
                                               Index{prng_.below(last + 1)}};
        }
        // A floor at or below what this batch leaves untouched.
        const std::uint64_t kept =
            batch.entries.empty() ? last : batch.entries.front().id.index.value - 1;
        if (prng_.chance(1, 4) && kept > floor) {
            batch.floor = floor_batch(model, prng_.between(floor + 1, kept)).floor;
        } else if (batch.entries.empty() && prng_.chance(1, 8)) {
            const std::uint64_t term = model.last_term().value + 1;
            return restart_batch(term, prng_.between(floor + 1, last + 20));
        }
        return batch;
    }

    Prng prng_;
    std::unique_ptr<SimFs> files_;
    LogModel model_;
};

}  // namespace

TEST_CASE("random programs with crashes agree with the model", "[log][crash][random]") {
    const std::uint64_t seed = base_seed();
    for (std::uint64_t i = 0; i < rounds(300); ++i) {
        INFO("CAIRN_SEED=" << seed + i);
        RandomProgram(seed + i).run();
    }
}

// The batch of the second crash brings the one sector that the batch of the first one lacked:
// zeros, where the file was recycled and held something else.
TEST_CASE("a batch that a start has not found does not come back", "[log][crash]") {
    constexpr std::uint64_t kBlock = 4096;
    constexpr std::uint64_t kSectors = kBlock / kSimSectorBytes;
    const auto files = new_disk();
    const std::string segment = std::string(kLogDir) + "/0000000000000001.seg";
    auto log = LogStore::open(*files, kLogDir, kTinyLog).value().log;
    REQUIRE(log->append(std::vector{entries_batch(1, 1, 1, 100)}).has_value());
    log.reset();
    // The first batch of the segment, the one above, and then what the file held before.
    std::string content = files->content(segment).value();
    const std::uint64_t last = 3 * kSectors - 1;
    content[last * kSimSectorBytes] = 'x';
    files->put_file(segment, content);
    Prng prng(1);
    // Writes, and loses all but these sectors of it.
    const auto lose = [&](std::uint64_t value_bytes, auto keeps) {
        auto opened = LogStore::open(*files, kLogDir, kTinyLog);
        REQUIRE(opened.has_value());
        REQUIRE(opened.value().recovered.entries.size() == 1);
        files->crash_at(files->ops() + 2);  // the sync
        REQUIRE(opened.value()
                    .log->append(std::vector{entries_batch(1, 2, 1, value_bytes)})
                    .has_error());
        opened.value().log.reset();
        files->crash(prng, {.choose_sector = [&](const std::string&, std::uint64_t sector,
                                                 std::size_t versions) {
                         return keeps(sector) ? versions : 0;
                     }});
    };
    lose(2'000, [&](std::uint64_t sector) { return sector != last; });
    lose(20, [&](std::uint64_t sector) { return sector == last; });
    CHECK(LogStore::open(*files, kLogDir, kTinyLog).value().recovered.entries.size() == 1);
}

}  // namespace cairn::storage
