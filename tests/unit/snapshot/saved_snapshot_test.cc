#include "storage/saved_snapshot.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "sim_fs/sim_fs.h"
#include "storage/mem_engine.h"
#include "storage/snapshot_status.h"
#include "store_harness.h"

namespace cairn::storage::test {
namespace {

constexpr const char* kSaved = "saved";
constexpr const char* kOut = "out";

// A file system with a directory `data`.
struct Disk {
    Disk() {
        REQUIRE(files.make_dirs("data").has_value());
        REQUIRE(files.sync_dir("/").has_value());
    }
    SimFs files;
    MemKind kind{files};
};

// A snapshot made by hand, of files with these contents.
std::shared_ptr<const BuiltSnapshot> built_of(SimFs& files,
                                              const std::vector<std::string>& contents) {
    REQUIRE(files.make_dirs("built").has_value());
    for (std::size_t i = 0; i < contents.size(); ++i) {
        files.put_file("built/" + std::to_string(i), contents[i]);
    }
    auto built = std::make_shared<BuiltSnapshot>();
    built->dir = "built";
    built->manifest.meta = {{Term{3}, Index{77}},
                            {.voters = {NodeId{1}, NodeId{2}},
                             .voters_outgoing = {},
                             .learners = {},
                             .learners_next = {},
                             .auto_leave = false}};
    built->manifest.revision = 50;
    built->manifest.files = list_snapshot_files(files, "built").value();
    return built;
}

// All of it, in pieces of this size.
std::string saved_of(SimFs& files, const std::shared_ptr<const BuiltSnapshot>& built,
                     std::size_t piece_bytes) {
    SavedSnapshotSource source(files, built);
    const std::uint64_t total = source.bytes_left();
    std::string bytes;
    while (source.bytes_left() > 0) {
        const auto piece = source.next(piece_bytes);
        REQUIRE(piece.has_value());
        CHECK(piece.value().size() == std::min<std::uint64_t>(piece_bytes, total - bytes.size()));
        bytes += piece.value();
        CHECK(source.bytes_left() == total - bytes.size());
    }
    CHECK(total == saved_snapshot_bytes(built->manifest));
    return bytes + source.digest();
}

Result<std::shared_ptr<const BuiltSnapshot>> build_for_client(Member& member,
                                                              std::uint64_t at_least) {
    while (true) {
        CAIRN_TRY(auto built,
                  member.store().build_step(Index{at_least}, 1000, SnapshotUse::kClient));
        if (built != nullptr) {
            return built;
        }
    }
}

Error error_of(SimFs& files, const std::string& bytes, DigestCheck check) {
    files.put_file(kSaved, bytes);
    const auto unpacked = unpack_saved_snapshot(files, kSaved, kOut, check);
    REQUIRE(unpacked.has_error());
    CHECK_FALSE(files.exists(kOut).value());
    return unpacked.error();
}

}  // namespace

TEST_CASE("SHA-256 is SHA-256", "[snapshot][saved]") {
    Sha256 sum;
    CHECK(sum.value().substr(0, 4) == "\xe3\xb0\xc4\x42");
    sum.add("a");
    sum.add("bc");
    const std::string expected(
        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
        32);
    CHECK(sum.value() == expected);
    CHECK(sum.value() == expected);  // it goes on
}

TEST_CASE("a saved snapshot gives its files back, however it is cut", "[snapshot][saved]") {
    Prng prng(7);
    const std::vector<std::vector<std::string>> shapes = {
        {},
        {""},
        {"", "x", ""},
        {std::string(511, 'a'), "", std::string(513, 'b')},
        {std::string(3000, 'c'), std::string(1, 'd'), std::string(70'000, 'e')},
    };
    for (const auto& contents : shapes) {
        SimFs files;
        const auto built = built_of(files, contents);
        const std::string whole = saved_of(files, built, 1U << 20U);
        CHECK(whole.size() % kSavedSnapshotAlign == kSha256Bytes);  // as etcd's tools want it
        for (const std::size_t piece : {std::size_t{1 + prng.below(100)}, std::size_t{4096}}) {
            CHECK(saved_of(files, built, piece) == whole);
        }
        files.put_file(kSaved, whole);
        CHECK(read_saved_manifest(files, kSaved).value() == built->manifest);
        const auto unpacked = unpack_saved_snapshot(files, kSaved, kOut, DigestCheck::kRequired);
        REQUIRE(unpacked.has_value());
        CHECK(unpacked.value() == built->manifest);
        CHECK(verify_snapshot(files, kOut, built->manifest).has_value());
        // Never into what is there already, which stays.
        CHECK(unpack_saved_snapshot(files, kSaved, kOut, DigestCheck::kRequired).error().code ==
              Errc::kInvalidConfig);
        CHECK(verify_snapshot(files, kOut, built->manifest).has_value());
    }
}

TEST_CASE("a member's saved snapshot tells what is in it", "[snapshot][saved]") {
    Disk disk;
    Member member(disk.files, disk.kind, "data");
    fill(member, "k", 40);
    member.put("k1", "again");
    const auto built = member.store().build(Index{42}).value();
    disk.files.put_file(kSaved, saved_of(disk.files, built, 1000));
    REQUIRE(unpack_saved_snapshot(disk.files, kSaved, kOut, DigestCheck::kRequired).has_value());
    const auto facts = read_snapshot_facts(disk.kind, kOut);
    REQUIRE(facts.has_value());
    CHECK(facts.value().revision == 42);
    CHECK(facts.value().keys == 40);
    CHECK(facts.value().hash == member.picture().hash);
}

TEST_CASE("a saved snapshot that was cut anywhere is refused", "[snapshot][saved]") {
    SimFs files;
    const auto built = built_of(files, {"one", std::string(600, 'x'), ""});
    const std::string whole = saved_of(files, built, 1U << 20U);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        INFO(size << " of " << whole.size() << " bytes");
        const Error error = error_of(files, whole.substr(0, size), DigestCheck::kRequired);
        CHECK(error.code == Errc::kCorrupt);
        CHECK(error.detail.starts_with("saved: "));
        // Without its digest it will do for those who say so, and nothing less.
        if (size == whole.size() - kSha256Bytes) {
            CHECK(
                error.detail.ends_with("only the digest is missing: --skip-hash-check does "
                                       "without)"));
            CHECK(unpack_saved_snapshot(files, kSaved, kOut, DigestCheck::kSkipped).has_value());
            REQUIRE(files.remove_all(kOut).has_value());
        } else {
            error_of(files, whole.substr(0, size), DigestCheck::kSkipped);
        }
    }
    CHECK(error_of(files, whole + "x", DigestCheck::kRequired)
              .detail.starts_with("saved: longer than it was"));
    CHECK(error_of(files, whole + "x", DigestCheck::kSkipped).code == Errc::kCorrupt);
}

TEST_CASE("a saved snapshot in which any bit has changed is refused", "[snapshot][saved]") {
    SimFs files;
    const auto built = built_of(files, {"one", std::string(600, 'x')});
    const std::string whole = saved_of(files, built, 1U << 20U);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ (1U << at % 8));
        INFO("byte " << at);
        const Error error = error_of(files, damaged, DigestCheck::kRequired);
        CHECK((error.code == Errc::kCorrupt || error.code == Errc::kUnsupportedVersion));
    }
    std::string damaged = whole;
    damaged.back() = static_cast<char>(damaged.back() + 1);
    CHECK(error_of(files, damaged, DigestCheck::kRequired).detail ==
          "saved: damaged: its SHA-256 does not match");
    damaged = whole;
    damaged[whole.find("xxx")] = 'y';
    CHECK(error_of(files, damaged, DigestCheck::kSkipped).detail ==
          "saved: damaged: the checksum of its file 1 does not match");
}

TEST_CASE("a file that is no snapshot of cairn is named for what it is", "[snapshot][saved]") {
    SimFs files;
    const auto refused = [&files](const std::string& bytes) {
        return error_of(files, bytes, DigestCheck::kSkipped).detail;
    };
    CHECK(refused("") == "saved: an empty file, not a snapshot");
    CHECK(refused("hello, this is some text") == "saved: not a snapshot of cairn");
    CHECK(refused(std::string(5000, '\0')) == "saved: not a snapshot of cairn");
    std::string bolt(4096, '\0');
    bolt.replace(16, 4, "\xED\xDA\x0C\xED");
    CHECK(refused(bolt).starts_with("saved: a snapshot of etcd (a bbolt file)"));
    CHECK(refused("cairn snapshot 2\n and more than we know") ==
          "saved: a snapshot of a newer format");
    CHECK(unpack_saved_snapshot(files, "nowhere", kOut, DigestCheck::kRequired).error().code ==
          Errc::kNotFound);
}

TEST_CASE("a snapshot whose file has rotted on the server is not given out as sound",
          "[snapshot][saved]") {
    SimFs files;
    const auto built = built_of(files, {"one", std::string(600, 'x'), "two"});
    files.flip_bit("built/1", 300, 2);
    SavedSnapshotSource source(files, built);
    Result<std::string> piece = source.next(100);
    while (piece.has_value() && source.bytes_left() > 0) {
        piece = source.next(100);
    }
    REQUIRE(piece.has_error());
    CHECK(piece.error().code == Errc::kCorrupt);
}

TEST_CASE("no room for an unpacked snapshot leaves nothing of it", "[snapshot][saved]") {
    SimFs files;
    const auto built = built_of(files, {std::string(5000, 'x'), std::string(5000, 'y')});
    const std::string whole = saved_of(files, built, 1U << 20U);
    files.put_file(kSaved, whole);
    files.set_capacity(files.bytes_used() + 7000);
    const auto unpacked = unpack_saved_snapshot(files, kSaved, kOut, DigestCheck::kRequired);
    REQUIRE(unpacked.has_error());
    CHECK(unpacked.error().code == Errc::kNoSpace);
    CHECK_FALSE(files.exists(kOut).value());
}

TEST_CASE("a snapshot that every receiver would refuse is not built", "[snapshot][build]") {
    const auto build = [](Disk& disk, std::size_t files_max) {
        Member member(disk.files, disk.kind, "data", {.free_bytes_min = 0, .files_max = files_max});
        fill(member, "k", 1);
        return member.store().build(Index{2});
    };
    Disk disk;
    const std::size_t files = build(disk, 1000).value()->manifest.files.size();
    Disk fits;
    CHECK(build(fits, files).has_value());
    Disk beyond;
    CHECK(build(beyond, files - 1).error().code == Errc::kTooLarge);
    CHECK(beyond.files.list("data/snap").value().empty());
}

TEST_CASE("clients that read slowly leave a snapshot for the members", "[snapshot][saved]") {
    Disk disk;
    Member member(disk.files, disk.kind, "data");
    fill(member, "k", 1);
    std::vector<std::shared_ptr<const BuiltSnapshot>> held;
    for (std::uint64_t i = 0; i < SnapshotStore::kBuiltForClientsMax; ++i) {
        held.push_back(build_for_client(member, 2 + i).value());
        member.put("k", "more");
    }
    const Index newest{2 + SnapshotStore::kBuiltForClientsMax};
    CHECK(build_for_client(member, newest.value).error().code == Errc::kTooManyRequests);
    auto built = member.store().build(newest);
    REQUIRE(built.has_value());
    // That one will do for a client, too.
    CHECK(build_for_client(member, newest.value).value() == built.value());
    // What was for clients goes with them; the members' newest is kept for a while.
    held.clear();
    built = Errc::kCanceled;
    REQUIRE(member.store().tidy().has_value());
    CHECK(disk.files.list("data/snap").value().size() == 1);
    member.put("k", "more");
    REQUIRE(build_for_client(member, newest.value + 1).has_value());
    REQUIRE(member.store().tidy().has_value());
    CHECK(disk.files.list("data/snap").value().empty());
}

}  // namespace cairn::storage::test
