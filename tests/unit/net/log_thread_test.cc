// The thread that writes the log, on a simulated disk.
#include "server/net/log_thread.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "catch.h"

#include "tests/sim_fs/sim_fs.h"

namespace cairn::server::net {
namespace {

constexpr std::uint64_t kMiB = 1024U * 1024U;
constexpr std::uint64_t kBatches = 7;

raft::PersistBatch batch_of(std::uint64_t number, std::uint64_t bytes) {
    raft::PersistBatch batch;
    batch.seq = PersistSeq{number};
    batch.entries.push_back({.id = {Term{1}, Index{number}},
                             .kind = raft::EntryKind::kCommand,
                             .payload = Bytes::copy_of(std::string(bytes, 'x'))});
    return batch;
}

}  // namespace

TEST_CASE("a backlog of the log is told part by part", "[net][log_thread]") {
    storage::SimFs files;
    REQUIRE(files.make_dirs("/data").has_value());
    auto opened = storage::LogStore::open(files, "/data/wal", {});
    REQUIRE(opened.has_value());
    std::mutex mutex;
    std::condition_variable changed;
    bool all_queued = false;
    std::vector<std::uint64_t> told;
    LogThread thread(*opened.value().log, [&](const LogWrite& done) {
        std::unique_lock lock(mutex);
        CHECK_FALSE(done.error.has_value());
        told.push_back(done.seq.value);
        changed.notify_all();
        // The first is held up until the others wait behind it.
        changed.wait_for(lock, std::chrono::minutes(1), [&] { return all_queued; });
    });
    thread.submit(batch_of(1, 10));
    {
        std::unique_lock lock(mutex);
        REQUIRE(changed.wait_for(lock, std::chrono::minutes(1), [&] { return !told.empty(); }));
    }
    for (std::uint64_t number = 2; number <= kBatches; ++number) {
        thread.submit(batch_of(number, 3 * kMiB));
    }
    {
        const std::unique_lock lock(mutex);
        all_queued = true;
    }
    changed.notify_all();
    thread.stop();
    CHECK(told == std::vector<std::uint64_t>{1, 4, 7});
}

}  // namespace cairn::server::net
