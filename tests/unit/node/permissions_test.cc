// The data directory on a real disk: who may read it, and what may be above it.

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "catch.h"

#include "server/data_dir.h"
#include "storage/posix_fs.h"

namespace cairn::server {
namespace {

class TempDir {
  public:
    TempDir() {
        std::string pattern = std::filesystem::temp_directory_path().string() + "/cairn-dir-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        ::chmod(path_.c_str(), 0700);
        std::filesystem::remove_all(path_);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

unsigned mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777U;
}

// Root may do everything, so a test of what it may not must be somebody else for a while.
class Nobody {
  public:
    Nobody() : was_root_(::geteuid() == 0) {
        if (was_root_) {
            REQUIRE(::seteuid(kUser) == 0);
        }
    }
    Nobody(const Nobody&) = delete;
    Nobody& operator=(const Nobody&) = delete;
    ~Nobody() {
        if (was_root_) {
            static_cast<void>(!::seteuid(0));
        }
    }
    static constexpr uid_t kUser = 65534;

  private:
    bool was_root_;
};

}  // namespace

TEST_CASE("a data directory that others may read is made private", "[node][permissions]") {
    TempDir temp;
    REQUIRE(::chmod(temp.path().c_str(), 0755) == 0);
    SECTION("an empty one") {}
    SECTION("a member's") { std::ofstream(temp.path() + "/IDENTITY") << "x"; }
    CHECK(restrict_data_dir(temp.path()).empty());
    CHECK(mode_of(temp.path()) == 0700);
}

TEST_CASE("a directory that may not be ours alone is left and warned of", "[node][permissions]") {
    TempDir temp;
    REQUIRE(::chmod(temp.path().c_str(), 0755) == 0);
    std::ofstream(temp.path() + "/somebody's") << "x";
    const std::string warning = restrict_data_dir(temp.path());
    CHECK(warning.find(temp.path()) != std::string::npos);
    CHECK(warning.find("0755") != std::string::npos);
    CHECK(mode_of(temp.path()) == 0755);
    REQUIRE(::chmod(temp.path().c_str(), 0700) == 0);
    CHECK(restrict_data_dir(temp.path()).empty());
    CHECK(restrict_data_dir(temp.path() + "/missing").empty());
}

TEST_CASE("a data directory below one that may not be read is taken", "[node][permissions]") {
    TempDir temp;
    const std::string data = temp.path() + "/data";
    REQUIRE(::mkdir(data.c_str(), 0700) == 0);
    if (::geteuid() == 0) {
        REQUIRE(::chown(data.c_str(), Nobody::kUser, static_cast<gid_t>(-1)) == 0);
    }
    REQUIRE(::chmod(temp.path().c_str(), 0311) == 0);
    const Nobody nobody;
    storage::PosixFs files;
    REQUIRE(files.sync_dir(temp.path()).has_error());
    auto dir = DataDir::open(files, data);
    REQUIRE(dir.has_value());
    const DataDirIdentity identity{ClusterId{1}, NodeId{2}};
    REQUIRE(dir.value().write_identity(identity).has_value());
    CHECK(dir.value().read_identity().value() == identity);
}

}  // namespace cairn::server
