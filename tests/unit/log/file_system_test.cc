// What every FileSystem promises, on real files and on simulated ones; and what each does besides.

#include "storage/file_system.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "catch.h"

#include "seed.h"
#include "storage/posix_fs.h"
#include "temp_dir.h"
#include "tests/power_cut/power_cut_fs.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::storage {
namespace {

using Names = std::vector<std::string>;

void check_content(FileSystem& files, const std::string& root) {
    const std::string path = root + "/file";
    REQUIRE(files.open(path, OpenMode::kRead).error().code == Errc::kNotFound);
    REQUIRE(files.open(path, OpenMode::kReadWrite).error().code == Errc::kNotFound);
    auto file = files.open(path, OpenMode::kCreate).value();
    REQUIRE(files.open(path, OpenMode::kCreate).error().code == Errc::kIo);
    REQUIRE(file->size().value() == 0);
    REQUIRE(file->read_at(0, 10).value().empty());
    REQUIRE(file->write_at(3, "abc").has_value());
    REQUIRE(file->size().value() == 6);
    REQUIRE(file->read_at(0, 100).value() == std::string("\0\0\0abc", 6));
    REQUIRE(file->write_at(4, "XYZ").has_value());
    REQUIRE(file->read_at(3, 3).value() == "aXY");
    REQUIRE(file->read_at(7, 3).value().empty());
    REQUIRE(file->preallocate(5).has_value());
    REQUIRE(file->size().value() == 7);
    REQUIRE(file->preallocate(3'000'000).has_value());
    REQUIRE(file->size().value() == 3'000'000);
    REQUIRE(file->read_at(6, 2).value() == std::string("Z\0", 2));
    REQUIRE(file->read_at(2'999'999, 9).value() == std::string(1, '\0'));
    REQUIRE(file->sync().has_value());
    REQUIRE(file->truncate(5).has_value());
    REQUIRE(file->size().value() == 5);
    REQUIRE(file->truncate(6).has_value());
    REQUIRE(file->read_at(4, 9).value() == std::string("X\0", 2));
    auto reader = files.open(path, OpenMode::kRead).value();
    REQUIRE(reader->read_at(3, 2).value() == "aX");
    REQUIRE(reader->write_at(0, "no").error().code == Errc::kIo);
    auto writer = files.open(path, OpenMode::kReadWrite).value();
    REQUIRE(writer->write_at(0, "yes").has_value());
    REQUIRE(reader->read_at(0, 3).value() == "yes");
}

void check_names(FileSystem& files, const std::string& root) {
    const std::string dir = root + "/a/b";
    REQUIRE(files.list(dir).error().code == Errc::kNotFound);
    REQUIRE(files.sync_dir(dir).error().code == Errc::kNotFound);
    REQUIRE(files.open(dir + "/x", OpenMode::kCreate).error().code == Errc::kNotFound);
    REQUIRE(files.make_dirs(dir).has_value());
    REQUIRE(files.make_dirs(dir).has_value());
    REQUIRE(files.open(dir, OpenMode::kRead).error().code == Errc::kIo);
    auto y = files.open(dir + "/y", OpenMode::kCreate).value();
    REQUIRE(y->write_at(0, "why").has_value());
    REQUIRE(files.open(dir + "/x", OpenMode::kCreate).has_value());
    REQUIRE(files.list(dir).value() == Names{"x", "y"});
    REQUIRE(files.make_dirs(dir + "/x").error().code == Errc::kIo);
    REQUIRE(files.rename(dir + "/y", dir + "/x").has_value());
    REQUIRE(files.list(dir).value() == Names{"x"});
    REQUIRE(y->read_at(0, 9).value() == "why");
    REQUIRE(files.rename(dir + "/x", root + "/x").has_value());
    REQUIRE(files.exists(root + "/x").value());
    REQUIRE_FALSE(files.exists(dir + "/x").value());
    REQUIRE(files.rename(dir + "/x", dir + "/z").error().code == Errc::kNotFound);
    REQUIRE(files.sync_dir(dir).has_value());
    REQUIRE(files.remove(dir + "/x").error().code == Errc::kNotFound);
    REQUIRE(files.remove(dir).error().code == Errc::kIo);
    REQUIRE(files.remove(root + "/x").has_value());
    REQUIRE(y->read_at(0, 9).value() == "why");  // an open file outlives its name
    REQUIRE(files.open(dir + "/again", OpenMode::kCreate).has_value());
    REQUIRE(files.remove_all(root + "/a").has_value());
    REQUIRE(files.remove_all(root + "/a").has_value());
    REQUIRE(files.list(root).value().empty());
}

void check_locks(FileSystem& files, const std::string& root) {
    const std::string path = root + "/lock";
    auto held = files.lock(path).value();
    REQUIRE(files.exists(path).value());
    REQUIRE(files.lock(path).error().code == Errc::kLocked);
    REQUIRE(files.lock(root + "/other").has_value());
    held.reset();
    held = files.lock(path).value();
    REQUIRE(files.lock(path).error().code == Errc::kLocked);
}

unsigned mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 0777U;
}

}  // namespace

TEST_CASE("real files keep the contract", "[fs][posix]") {
    TempDir temp;
    PosixFs files;
    SECTION("content") { check_content(files, temp.path()); }
    SECTION("names") { check_names(files, temp.path()); }
    SECTION("locks") { check_locks(files, temp.path()); }
}

TEST_CASE("power-cut files keep the contract", "[fs][power_cut]") {
    TempDir temp;
    PosixFs base;
    const std::string root = temp.path() + "/root";
    REQUIRE(base.make_dirs(root).has_value());
    for (const PowerCutSync sync : {PowerCutSync::kHonest, PowerCutSync::kIgnored}) {
        REQUIRE(base.remove_all(root).has_value());
        REQUIRE(base.make_dirs(root).has_value());
        auto files = PowerCutFs::create(base, temp.path() + "/staging", sync).value();
        check_content(*files, root);
        REQUIRE(files->remove(root + "/file").has_value());
        check_names(*files, root);
        check_locks(*files, root);
    }
}

TEST_CASE("simulated files keep the contract", "[fs][sim]") {
    SimFs files;
    REQUIRE(files.make_dirs("/tmp/t").has_value());
    SECTION("content") { check_content(files, "/tmp/t"); }
    SECTION("names") { check_names(files, "/tmp/t"); }
    SECTION("locks") { check_locks(files, "/tmp/t"); }
}

TEST_CASE("real files are for their owner alone, and blocks are real", "[fs][posix]") {
    TempDir temp;
    PosixFs files;
    const ::mode_t old = ::umask(0);
    REQUIRE(files.make_dirs(temp.path() + "/d/e").has_value());
    auto file = files.open(temp.path() + "/d/f", OpenMode::kCreate).value();
    REQUIRE(files.lock(temp.path() + "/d/lock").has_value());
    ::umask(old);
    REQUIRE(mode_of(temp.path() + "/d") == 0700);
    REQUIRE(mode_of(temp.path() + "/d/e") == 0700);
    REQUIRE(mode_of(temp.path() + "/d/f") == 0600);
    REQUIRE(mode_of(temp.path() + "/d/lock") == 0600);
    REQUIRE(file->preallocate(2'500'000).has_value());
    REQUIRE(file->sync().has_value());
    struct stat status {};
    REQUIRE(::stat((temp.path() + "/d/f").c_str(), &status) == 0);
    REQUIRE(status.st_blocks * 512 >= 2'500'000);
}

TEST_CASE("errors of real files name path, call and reason", "[fs][posix]") {
    PosixFs files;
    const auto missing = files.open("/nowhere/at/all", OpenMode::kRead);
    REQUIRE(missing.error() ==
            Error{Errc::kNotFound, "/nowhere/at/all: open: No such file or directory"});
    auto full = files.open("/dev/full", OpenMode::kReadWrite);
    REQUIRE(full.error() == Error{Errc::kIo, "/dev/full: open: not a regular file"});
}

TEST_CASE("a lock of another process conflicts and dies with it", "[fs][posix]") {
    TempDir temp;
    const std::string path = temp.path() + "/lock";
    int ready[2] = {};
    int done[2] = {};
    REQUIRE(::pipe(ready) == 0);
    REQUIRE(::pipe(done) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(done[1]);
        PosixFs files;
        auto held = files.lock(path);
        char byte = held.has_value() ? 'y' : 'n';
        if (::write(ready[1], &byte, 1) == 1) {
            static_cast<void>(::read(done[0], &byte, 1));  // until the parent kills us
        }
        ::_exit(1);
    }
    REQUIRE(child > 0);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    REQUIRE(byte == 'y');
    PosixFs files;
    REQUIRE(files.lock(path).error().code == Errc::kLocked);
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(files.lock(path).has_value());
    for (const int number : {ready[0], ready[1], done[0], done[1]}) {
        ::close(number);
    }
}

TEST_CASE("a crash forgets what was not synced", "[fs][sim]") {
    SimFs files;
    Prng prng(1);
    REQUIRE(files.make_dirs("/d").has_value());
    REQUIRE(files.sync_dir("/").has_value());
    auto file = files.open("/d/f", OpenMode::kCreate).value();
    REQUIRE(file->write_at(0, "synced").has_value());
    REQUIRE(file->sync().has_value());
    SECTION("the name") {
        files.crash(prng, {.writes = SimWriteLoss::kNone, .dirs = SimDirLoss::kAll});
        REQUIRE(files.list("/d").value().empty());
    }
    SECTION("the content") {
        REQUIRE(files.sync_dir("/d").has_value());
        REQUIRE(file->write_at(0, "SYNCED and more").has_value());
        REQUIRE(files.content("/d/f") == "SYNCED and more");
        REQUIRE(files.durable_content("/d/f") == "synced");
        files.crash(prng, {.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll});
        REQUIRE(files.content("/d/f") == "synced");
        REQUIRE(file->read_at(0, 1).error().code == Errc::kIo);
    }
    SECTION("nothing, when told so") {
        REQUIRE(file->write_at(600, "x").has_value());
        files.crash(prng, {.writes = SimWriteLoss::kNone, .dirs = SimDirLoss::kNone});
        REQUIRE(files.content("/d/f") == std::string("synced") + std::string(594, '\0') + "x");
    }
    SECTION("a removal and a rename") {
        REQUIRE(files.sync_dir("/d").has_value());
        REQUIRE(files.rename("/d/f", "/d/g").has_value());
        REQUIRE(files.remove("/d/g").has_value());
        REQUIRE(files.list("/d").value().empty());
        files.crash(prng, {.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll});
        REQUIRE(files.list("/d").value() == Names{"f"});
        REQUIRE(files.content("/d/f") == "synced");
    }
}

TEST_CASE("a crash tears a write between sectors", "[fs][sim]") {
    for (unsigned mask = 0; mask < 8; ++mask) {
        SimFs files;
        Prng prng(1);
        files.put_file("/f", std::string(1536, '.'));
        auto file = files.open("/f", OpenMode::kReadWrite).value();
        REQUIRE(file->write_at(0, std::string(1536, '1')).has_value());
        files.crash(prng, {.choose_sector = [&](const std::string& path, std::uint64_t sector,
                                                std::size_t versions) -> std::size_t {
                        REQUIRE(path == "/f");
                        REQUIRE(versions == 1);
                        return (mask >> sector) & 1U;
                    }});
        std::string expected;
        for (unsigned sector = 0; sector < 3; ++sector) {
            expected += std::string(512, ((mask >> sector) & 1U) != 0 ? '1' : '.');
        }
        REQUIRE(files.content("/f") == expected);
    }
}

TEST_CASE("a random crash leaves each sector in one of its versions", "[fs][sim]") {
    const auto [first, last] = seeds_up_to(50);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        INFO("CAIRN_SEED=" << seed);
        SimFs files;
        Prng prng(seed);
        files.put_file("/f", std::string(1024, '0'));
        auto file = files.open("/f", OpenMode::kReadWrite).value();
        REQUIRE(file->write_at(0, std::string(1024, '1')).has_value());
        REQUIRE(file->write_at(512, std::string(512, '2')).has_value());
        files.crash(prng, {});
        const std::string content = files.content("/f").value();
        REQUIRE(content.size() == 1024);
        for (std::size_t sector = 0; sector < 2; ++sector) {
            const std::string bytes = content.substr(sector * 512, 512);
            REQUIRE(bytes == std::string(512, bytes[0]));
            REQUIRE((bytes[0] == '0' || bytes[0] == '1' || (sector == 1 && bytes[0] == '2')));
        }
    }
}

TEST_CASE("a failed sync drops the pages, and the next one saves nothing", "[fs][sim]") {
    for (const SimFailedSync mode : {SimFailedSync::kReadsOld, SimFailedSync::kReadsNew}) {
        SimFs files;
        Prng prng(1);
        files.put_file("/f", "old");
        files.set_failed_sync(mode);
        auto file = files.open("/f", OpenMode::kReadWrite).value();
        REQUIRE(file->write_at(0, "new").has_value());
        files.fail_at(files.ops() + 1, Errc::kIo);
        REQUIRE(file->sync().error().code == Errc::kIo);
        REQUIRE(file->sync().has_value());
        REQUIRE(files.content("/f") == (mode == SimFailedSync::kReadsOld ? "old" : "new"));
        files.crash(prng, {.writes = SimWriteLoss::kNone, .dirs = SimDirLoss::kNone});
        REQUIRE(files.content("/f") == "old");
    }
}

TEST_CASE("calls fail on command", "[fs][sim]") {
    SimFs files;
    Prng prng(1);
    files.put_file("/f", "12345678");
    auto file = files.open("/f", OpenMode::kReadWrite).value();
    SECTION("one by number, a failed write halfway") {
        files.fail_at(files.ops() + 1, Errc::kNoSpace);
        REQUIRE(file->write_at(0, "abcd").error().code == Errc::kNoSpace);
        REQUIRE(file->read_at(0, 8).value() == "ab345678");
    }
    SECTION("all from a number on, until the reboot") {
        files.crash_at(files.ops() + 2);
        REQUIRE(file->write_at(0, "a").has_value());
        REQUIRE(file->sync().error().code == Errc::kIo);
        REQUIRE(files.halted());
        REQUIRE(files.list("/").error().code == Errc::kIo);
        files.crash(prng, {.writes = SimWriteLoss::kAll, .dirs = SimDirLoss::kAll});
        REQUIRE(files.content("/f") == "12345678");
        REQUIRE(files.list("/").has_value());
    }
    SECTION("by a hook that sees them all") {
        std::vector<SimOpKind> seen;
        files.set_hook([&](const SimOp& op) -> std::optional<Error> {
            seen.push_back(op.kind);
            if (op.kind == SimOpKind::kRead && op.offset == 4) {
                return Error{Errc::kIo, "bad sector"};
            }
            return std::nullopt;
        });
        REQUIRE(file->read_at(0, 2).value() == "12");
        REQUIRE(file->read_at(4, 2).error() == Error{Errc::kIo, "bad sector"});
        REQUIRE(seen == std::vector{SimOpKind::kRead, SimOpKind::kRead});
    }
    SECTION("when the disk is full") {
        files.set_capacity(10);
        REQUIRE(file->write_at(6, "abcd").has_value());
        REQUIRE(file->write_at(10, "e").error().code == Errc::kNoSpace);
        REQUIRE(file->preallocate(11).error().code == Errc::kNoSpace);
        REQUIRE(files.bytes_used() == 10);
    }
    SECTION("locks and files die with the process, content does not") {
        auto lock = files.lock("/lock").value();
        REQUIRE(file->write_at(0, "a").has_value());
        files.kill_process();
        REQUIRE(files.lock("/lock").has_value());
        lock.reset();
        REQUIRE(file->size().error().code == Errc::kIo);
        REQUIRE(files.content("/f") == "a2345678");
    }
}

}  // namespace cairn::storage
