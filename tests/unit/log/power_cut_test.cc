// The power-cut file system: SIGKILL loses exactly what was not synced, and a log above it that
// syncs honestly loses nothing acknowledged.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "catch.h"

#include "log_model.h"
#include "storage/log_store.h"
#include "storage/posix_fs.h"
#include "temp_dir.h"
#include "tests/power_cut/power_cut_fs.h"

namespace cairn::storage {
namespace {

constexpr LogOptions kSmall{.segment_bytes = 16U * 1024U, .recycle_max = 1};

// What a killed process had acknowledged, and what was found afterwards.
struct Outcome {
    std::uint64_t acknowledged{};
    std::uint64_t found{};
};

// Appends one entry after the other, telling `acks` after each, until the process is killed.
[[noreturn]] void append_for_ever(const std::string& root, PowerCutSync sync, int acks) {
    PosixFs base;
    auto files = PowerCutFs::create(base, root + "/staging", sync);
    auto opened = LogStore::open(*files.value(), root + "/data/wal", kSmall);
    for (std::uint64_t index = 1; opened.has_value(); ++index) {
        const std::vector<raft::PersistBatch> batches{entries_batch(1, index, 1, 300)};
        if (opened.value().log->append(batches).has_error() ||
            ::write(acks, &index, sizeof(index)) != sizeof(index)) {
            break;
        }
    }
    ::_exit(1);
}

Outcome kill_after(std::uint64_t appends, PowerCutSync sync) {
    TempDir temp;
    PosixFs posix;
    REQUIRE(posix.make_dirs(temp.path() + "/data").has_value());
    int acks[2] = {};
    REQUIRE(::pipe(acks) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        append_for_ever(temp.path(), sync, acks[1]);
    }
    REQUIRE(child > 0);
    ::close(acks[1]);
    Outcome outcome;
    while (outcome.acknowledged < appends) {
        REQUIRE(::read(acks[0], &outcome.acknowledged, sizeof(std::uint64_t)) ==
                sizeof(std::uint64_t));
    }
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    // Acknowledgements that were under way when the process died count too.
    while (::read(acks[0], &outcome.acknowledged, sizeof(std::uint64_t)) > 0) {
    }
    ::close(acks[0]);
    auto opened = LogStore::open(posix, temp.path() + "/data/wal", kSmall);
    REQUIRE(opened.has_value());
    outcome.found = opened.value().recovered.entries.size();
    return outcome;
}

}  // namespace

TEST_CASE("a killed process loses what it did not sync, no more", "[power_cut]") {
    TempDir temp;
    const std::string dir = temp.path() + "/data";
    PosixFs posix;
    REQUIRE(posix.make_dirs(dir).has_value());
    const pid_t child = ::fork();
    if (child == 0) {
        auto files = PowerCutFs::create(posix, temp.path() + "/staging", PowerCutSync::kHonest);
        FileSystem& cut = *files.value();
        auto kept = cut.open(dir + "/kept", OpenMode::kCreate);
        auto renamed = cut.open(dir + "/before", OpenMode::kCreate);
        bool good = kept.value()->write_at(0, "synced").has_value() &&
                    kept.value()->sync().has_value() && cut.sync_dir(dir).has_value() &&
                    kept.value()->write_at(0, "SYNCED").has_value() &&
                    cut.rename(dir + "/before", dir + "/after").has_value();
        auto unnamed = cut.open(dir + "/unnamed", OpenMode::kCreate);
        good = good && unnamed.value()->write_at(0, "x").has_value() &&
               unnamed.value()->sync().has_value() &&
               kept.value()->read_at(0, 9).value() == "SYNCED" &&
               cut.list(dir).value() == std::vector<std::string>{"after", "kept", "unnamed"};
        ::raise(good ? SIGKILL : SIGABRT);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGKILL);
    REQUIRE(posix.list(dir).value() == std::vector<std::string>{"before", "kept"});
    auto kept = posix.open(dir + "/kept", OpenMode::kRead).value();
    REQUIRE(kept->read_at(0, 9).value() == "synced");
}

TEST_CASE("the log loses nothing acknowledged in a power cut", "[power_cut]") {
    for (const std::uint64_t appends : {1U, 3U, 7U, 50U}) {
        const Outcome outcome = kill_after(appends, PowerCutSync::kHonest);
        INFO(outcome.acknowledged << " acknowledged, " << outcome.found << " found");
        REQUIRE(outcome.found >= outcome.acknowledged);
        REQUIRE(outcome.found <= outcome.acknowledged + 1);
    }
}

TEST_CASE("a log on a disk that ignores syncs is caught losing", "[power_cut]") {
    const Outcome outcome = kill_after(50, PowerCutSync::kIgnored);
    REQUIRE(outcome.found < outcome.acknowledged);
}

}  // namespace cairn::storage
