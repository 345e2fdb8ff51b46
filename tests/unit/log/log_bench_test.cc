// Not run by default: log_tests "[.benchmark]" prints what an append costs on this machine's disk.

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "catch.h"

#include "log_model.h"
#include "storage/log_store.h"
#include "storage/posix_fs.h"
#include "temp_dir.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kAppends = 2000;

double cpu_us() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

void measure(std::uint64_t entries) {
    TempDir temp;
    PosixFs files;
    auto opened = LogStore::open(files, temp.path(), {});
    LogStore& log = *opened.value().log;
    std::vector<std::vector<raft::PersistBatch>> batches;
    for (std::size_t i = 0; i < kAppends; ++i) {
        batches.push_back({entries_batch(1, 1 + i * entries, entries, 200)});
    }
    std::vector<double> times;
    const double cpu = cpu_us();
    for (const auto& batch : batches) {
        const auto begin = std::chrono::steady_clock::now();
        REQUIRE(log.append(batch).has_value());
        const std::chrono::duration<double, std::micro> took =
            std::chrono::steady_clock::now() - begin;
        times.push_back(took.count());
    }
    const double cpu_an_entry = (cpu_us() - cpu) / static_cast<double>(kAppends * entries);
    std::sort(times.begin(), times.end());
    std::printf(
        "append of %3llu entries of 200 bytes: p50 %.0f us, p99 %.0f us, CPU %.2f us an entry\n",
        static_cast<unsigned long long>(entries), times[times.size() / 2],
        times[times.size() * 99 / 100], cpu_an_entry);
}

}  // namespace

TEST_CASE("the cost of an append", "[.benchmark]") {
    for (const std::uint64_t entries : {1U, 64U, 512U}) {
        measure(entries);
    }
}

}  // namespace cairn::storage
