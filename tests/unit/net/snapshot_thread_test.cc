// Snapshots for clients on the snapshot thread: who waits for one shares it.
#include "server/net/snapshot_thread.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "raft/conf_change.h"
#include "storage/mem_engine.h"
#include "storage/state_machine.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::server::net {
namespace {

using Built = Result<std::shared_ptr<const storage::BuiltSnapshot>>;

// Tells of each snapshot that is begun, on the thread that builds: what is applied from then on is
// not in it any more.
class WatchedKind final : public storage::EngineKind {
  public:
    explicit WatchedKind(storage::FileSystem& files) : kind_(files) {}

    Result<std::shared_ptr<storage::KvEngine>> open(const std::string& dir) override {
        return kind_.open(dir);
    }
    Result<std::shared_ptr<const storage::EngineReader>> open_to_read(
        const std::string& dir) override {
        on_begun(++begun);
        return kind_.open_to_read(dir);
    }
    Result<void> check_file(const std::string& path) override { return kind_.check_file(path); }

    int begun = 0;
    std::function<void(int)> on_begun = [](int) {};

  private:
    storage::MemKind kind_;
};

struct Fixture {
    explicit Fixture(std::uint64_t rate_bytes = 0) {
        REQUIRE(files.make_dirs("/data").has_value());
        auto opened =
            storage::SnapshotStore::open(files, kind, "/data", {.free_bytes_min = 0}).value();
        machine = storage::StateMachine::open(std::move(opened.engine), {NodeId{1}, 1}).value();
        apply(raft::EntryKind::kConfig,
              raft::encode_conf_change({raft::ConfChangeKind::kBootstrapVoter, NodeId{1}, {}}));
        thread = std::make_unique<SnapshotThread>(
            files, std::move(opened.store), rate_bytes,
            SnapshotThread::Hooks{[this](const SnapshotResult&) {
                                      const std::lock_guard lock(mutex);
                                      ++answers;
                                      changed.notify_all();
                                  },
                                  [](const auto&, const auto&) {}});
    }

    void apply(raft::EntryKind kind_of_entry = raft::EntryKind::kNoop, Bytes payload = {}) {
        const std::vector<raft::Entry> entries{
            {{Term{1}, Index{++index}}, kind_of_entry, std::move(payload)}};
        REQUIRE(machine->apply(entries).has_value());
    }
    // For whoever comes now.
    void ask(const SnapshotThread::Wanted& wanted = std::make_shared<std::atomic<bool>>(true)) {
        thread->build_for_client(Index{index}, wanted, [this, asked = index](const Built& built) {
            const std::lock_guard lock(mutex);
            CHECK(built.has_value());
            given[asked] = built.has_value() ? built.value() : nullptr;
            changed.notify_all();
        });
    }
    void wait_until_given(std::size_t count) {
        std::unique_lock lock(mutex);
        // Not within an assertion: the thread has its own meanwhile.
        const bool in_time =
            changed.wait_for(lock, std::chrono::minutes(1), [&] { return given.size() == count; });
        REQUIRE(in_time);
    }
    void wait_until_answered(int count) {
        std::unique_lock lock(mutex);
        const bool in_time =
            changed.wait_for(lock, std::chrono::minutes(1), [&] { return answers >= count; });
        REQUIRE(in_time);
    }
    // A snapshot for a member, and the answers until it is there.
    int build(NodeId to) {
        constexpr int kSteps = 3;  // begin, read all, give
        for (int i = 0; i < kSteps; ++i) {
            thread->submit(BuildSnapshot{to, Index{1}, std::uint64_t{1} << 20U});
        }
        wait_until_answered(kSteps);
        return kSteps;
    }
    // Until the thread has come to what is put behind all that is in its queue now.
    void wait_until_reached() {
        thread->submit(OpenIncoming{});  // of nothing that makes sense
        std::unique_lock lock(mutex);
        const int before = answers_seen++;
        const bool in_time =
            changed.wait_for(lock, std::chrono::minutes(1), [&] { return answers > before; });
        REQUIRE(in_time);
    }
    [[nodiscard]] std::uint64_t index_given(std::uint64_t asked) const {
        return given.at(asked)->manifest.meta.last.index.value;
    }

    storage::SimFs files;
    WatchedKind kind{files};
    std::unique_ptr<storage::StateMachine> machine;
    std::uint64_t index = 0;
    std::mutex mutex;
    std::condition_variable changed;
    int answers = 0;
    int answers_seen = 0;
    std::map<std::uint64_t, std::shared_ptr<const storage::BuiltSnapshot>> given;  // by who asked
    std::unique_ptr<SnapshotThread> thread;                                        // ends first
};

}  // namespace

TEST_CASE("snapshot thread: all who come while one is built share the next", "[net][snapshots]") {
    Fixture fixture;
    fixture.kind.on_begun = [&fixture](int times) {
        for (int late = 0; times == 1 && late < 7; ++late) {
            fixture.apply();
            fixture.ask();
        }
    };
    fixture.ask();
    fixture.wait_until_given(8);
    // The first has what was begun for it, though seven wanted more before it was ready.
    CHECK(fixture.index_given(1) == 1);
    for (std::uint64_t asked = 2; asked <= 8; ++asked) {
        CHECK(fixture.index_given(asked) == 8);
    }
    CHECK(fixture.kind.begun == 2);
}

TEST_CASE("snapshot thread: what nobody wants any more is not begun", "[net][snapshots]") {
    Fixture fixture;
    const auto wanted = std::make_shared<std::atomic<bool>>(true);
    fixture.kind.on_begun = [&fixture, &wanted](int times) {
        if (times == 1) {
            fixture.apply();
            fixture.ask(wanted);
            *wanted = false;
        }
    };
    fixture.ask();
    fixture.wait_until_given(1);
    CHECK(fixture.index_given(1) == 1);
    // Behind it in the queue.
    fixture.apply();
    fixture.ask();
    fixture.wait_until_given(2);
    CHECK(fixture.index_given(3) == 3);
    CHECK_FALSE(fixture.given.contains(2));
    CHECK(fixture.kind.begun == 2);
}

TEST_CASE("snapshot thread: who comes and leaves again does not fill its queue",
          "[net][snapshots]") {
    constexpr std::uint64_t kMore = 5;
    Fixture fixture;
    std::uint64_t refused = 0;
    const auto come = [&](std::uint64_t times) {
        const auto unwanted = std::make_shared<std::atomic<bool>>(false);
        for (std::uint64_t calls = 0; calls < times; ++calls) {
            fixture.thread->build_for_client(Index{1}, unwanted, [&refused](const Built& built) {
                REQUIRE(built.has_error());
                CHECK(built.error() == Error(Errc::kTooManyRequests));
                ++refused;
            });
        }
    };
    fixture.kind.on_begun = [&](int times) {
        if (times == 1) {
            come(SnapshotThread::kClientBuildsMax + kMore);
            fixture.thread->submit(OpenIncoming{});  // other work is never refused
        }
    };
    fixture.ask();
    fixture.wait_until_given(1);
    fixture.answers_seen = 1;  // of the work just submitted
    fixture.wait_until_reached();
    CHECK(refused == kMore);
    fixture.apply();
    fixture.ask();  // there is room again
    fixture.wait_until_given(2);
    CHECK(fixture.kind.begun == 2);
}

TEST_CASE("snapshot thread: nothing half stays when all have left", "[net][snapshots]") {
    Fixture fixture;
    const auto wanted = std::make_shared<std::atomic<bool>>(true);
    fixture.kind.on_begun = [&wanted](int) { *wanted = false; };
    fixture.ask(wanted);
    fixture.wait_until_reached();  // so the next step is in the queue
    fixture.thread->submit(TidySnapshots{});
    fixture.wait_until_reached();
    CHECK(fixture.kind.begun == 1);
    CHECK(fixture.files.list("/data/snap").value().empty());
    CHECK(fixture.given.empty());
}

TEST_CASE("snapshot thread: pieces for members come one by one, as the rate allows",
          "[net][snapshots]") {
    constexpr NodeId kTo{2};
    constexpr int kPieces = 6;
    Fixture fixture(100'000);  // of 1,000 bytes: one in 10 ms
    const int built = fixture.build(kTo);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kPieces; ++i) {
        fixture.thread->submit(ReadPiece{kTo, {}, 1000});
    }
    fixture.wait_until_answered(built + kPieces);
    // The first is due at once.
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(50));
}

TEST_CASE("snapshot thread: it ends before the pieces that it has not come to",
          "[net][snapshots]") {
    constexpr NodeId kTo{2};
    constexpr int kPieces = 1000;  // of 50 ms each
    Fixture fixture(1);
    const int built = fixture.build(kTo);
    for (int i = 0; i < kPieces; ++i) {
        fixture.thread->submit(ReadPiece{kTo, {}, 1000});
    }
    fixture.thread->stop();
    CHECK(fixture.answers < built + kPieces);
}

}  // namespace cairn::server::net
