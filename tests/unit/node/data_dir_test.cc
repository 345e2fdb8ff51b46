#include "server/data_dir.h"

#include <string>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::server {
namespace {

using storage::SimDirLoss;
using storage::SimFs;
using storage::SimWriteLoss;

constexpr DataDirIdentity kIdentity{ClusterId{0x1122334455667788}, NodeId{0xab}};
constexpr const char* kPath = "/data";
// docs/formats/data_dir.md shows it.
constexpr const char* kGolden =
    "cairn data directory, format 1\n"
    "cluster 1122334455667788\n"
    "member 00000000000000ab\n"
    "check 8ab6eb4c59049c43\n";

Result<std::optional<DataDirIdentity>> read_identity(SimFs& files) {
    auto dir = DataDir::open(files, kPath);
    REQUIRE(dir.has_value());
    return dir.value().read_identity();
}

}  // namespace

TEST_CASE("the identity file has its golden text", "[node][data_dir][golden]") {
    CHECK(encode_identity(kIdentity) == kGolden);
    CHECK(decode_identity(kGolden, "IDENTITY").value() == kIdentity);
}

TEST_CASE("a damaged identity file is refused with its name", "[node][data_dir]") {
    const std::string good = encode_identity(kIdentity);
    for (std::size_t size = 0; size < good.size(); ++size) {
        const auto cut = decode_identity(ByteView(good).substr(0, size), "/data/IDENTITY");
        REQUIRE(cut.has_error());
        CHECK(cut.error().code == Errc::kCorrupt);
        CHECK(cut.error().detail.find("/data/IDENTITY: ") == 0);
    }
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string flipped = good;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        const auto decoded = decode_identity(flipped, "IDENTITY");
        // A letter of the check in upper case is the same number.
        CHECK((decoded.has_error() || decoded.value() == kIdentity));
    }
}

TEST_CASE("an identity file of another format is refused by number", "[node][data_dir]") {
    std::string newer = encode_identity(kIdentity);
    newer.replace(newer.find("format 1"), 8, "format 2");
    const auto decoded = decode_identity(newer, "IDENTITY");
    REQUIRE(decoded.has_error());
    CHECK(decoded.error().code == Errc::kUnsupportedVersion);
    CHECK(decoded.error().detail.find("format 2") != std::string::npos);
}

TEST_CASE("one process at a time has the directory", "[node][data_dir]") {
    SimFs files;
    {
        const auto first = DataDir::open(files, kPath);
        REQUIRE(first.has_value());
        CHECK(DataDir::open(files, kPath).error().code == Errc::kLocked);
    }
    CHECK(DataDir::open(files, kPath).has_value());
}

TEST_CASE("etcd's directory is refused, and left as it is", "[node][data_dir]") {
    SimFs files;
    REQUIRE(files.make_dirs("/data/member/snap").has_value());
    const auto refused = DataDir::open(files, kPath);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == Errc::kInvalidConfig);
    CHECK(refused.error().detail.starts_with("/data: this is etcd's data (member/)"));
    CHECK(files.list(kPath).value() == std::vector<std::string>{"member"});
    // A member's, whatever else somebody has put there.
    files.put_file("/data/IDENTITY", kGolden);
    CHECK(DataDir::open(files, kPath).has_value());
}

TEST_CASE("the identity is there as a whole or not at all after a crash", "[node][data_dir]") {
    const auto how = GENERATE(SimDirLoss::kAll, SimDirLoss::kNone, SimDirLoss::kSubset);
    bool finished = false;
    for (std::uint64_t crash_at = 1; !finished; ++crash_at) {
        SimFs files;
        files.make_dirs(kPath).value();
        files.sync_dir("/").value();
        {
            auto dir = DataDir::open(files, kPath);
            REQUIRE(dir.has_value());
            files.crash_at(files.ops() + crash_at);
            const auto written = dir.value().write_identity(kIdentity);
            finished = !files.halted();
            CHECK(written.has_value() == finished);
        }
        Prng prng(crash_at);
        INFO("crash before call " << crash_at);
        files.crash(prng, {SimWriteLoss::kSubset, how, nullptr});
        const auto found = read_identity(files);
        REQUIRE(found.has_value());
        if (finished) {
            REQUIRE(found.value().has_value());
        }
        CHECK((!found.value().has_value() || *found.value() == kIdentity));
        // What the crash left is in nobody's way.
        auto dir = DataDir::open(files, kPath);
        REQUIRE(dir.value().write_identity(kIdentity).has_value());
        CHECK(dir.value().read_identity().value() == kIdentity);
    }
}

}  // namespace cairn::server
