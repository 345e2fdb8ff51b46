// What an append to the Raft log costs here, beside a bare write and sync of one block.
// Usage: log_bench [DIRECTORY]; the directory must be on the disk that is meant.

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "storage/log_store.h"
#include "storage/posix_fs.h"
#include "tests/unit/log/log_model.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kAppends = 2000;

double cpu_us() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Times kAppends calls of `action(i)`, each of which writes `entries` entries.
template <class Action>
void measure(const std::string& what, std::uint64_t entries, Action action) {
    std::vector<double> times;
    const double cpu = cpu_us();
    for (std::size_t i = 0; i < kAppends; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        CAIRN_ASSERT(action(i).has_value());
        const std::chrono::duration<double, std::micro> took =
            std::chrono::steady_clock::now() - begin;
        times.push_back(took.count());
    }
    const double cpu_an_entry = (cpu_us() - cpu) / static_cast<double>(kAppends * entries);
    std::sort(times.begin(), times.end());
    std::printf("%-36s p50 %6.0f us, p99 %6.0f us, CPU %6.2f us an entry\n", what.c_str(),
                times[times.size() / 2], times[times.size() * 99 / 100], cpu_an_entry);
}

void measure_bare(FileSystem& files, const std::string& dir) {
    auto file = files.open(dir + "/bare", OpenMode::kCreate).value();
    CAIRN_ASSERT(file->preallocate(kAppends * 4096).has_value() && file->sync().has_value());
    const std::string block(4096, 'x');
    measure("bare write and sync of 4 KiB", 1, [&](std::size_t i) -> Result<void> {
        CAIRN_TRY(file->write_at(i * block.size(), block));
        return file->sync();
    });
}

void measure_log(FileSystem& files, const std::string& dir, std::uint64_t entries) {
    auto opened = LogStore::open(files, dir + "/wal" + std::to_string(entries), {});
    LogStore& log = *opened.value().log;
    std::vector<std::vector<raft::PersistBatch>> batches;
    for (std::size_t i = 0; i < kAppends; ++i) {
        batches.push_back({entries_batch(1, 1 + i * entries, entries, 200)});
    }
    measure("append of " + std::to_string(entries) + " entries of 200 bytes", entries,
            [&](std::size_t i) { return log.append(batches[i]); });
}

void run(const std::string& parent) {
    const std::string dir = parent + "/cairn_log_bench";
    PosixFs files;
    CAIRN_ASSERT(files.remove_all(dir).has_value() && files.make_dirs(dir).has_value());
    measure_bare(files, dir);
    for (const std::uint64_t entries : {1U, 64U}) {
        measure_log(files, dir, entries);
    }
    CAIRN_ASSERT(files.remove_all(dir).has_value());
}

}  // namespace
}  // namespace cairn::storage

int main(int argc, char* argv[]) {
    cairn::storage::run(argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string());
    return 0;
}
