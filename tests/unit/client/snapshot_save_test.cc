// `cairn snapshot save`: what it keeps of what a server sends.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

#include "catch.h"

#include "base/checksum.h"
#include "client/ctl/command.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "server/restore.h"
#include "storage/saved_snapshot.h"
#include "storage/sha256.h"
#include "storage/snapshot.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/log/temp_dir.h"

namespace cairn::client::ctl {
namespace {

std::string message_of(std::string_view blob, std::size_t remaining, std::string_view version) {
    etcdserverpb::SnapshotResponse message;
    message.set_blob(std::string(blob));
    message.set_remaining_bytes(remaining);
    message.set_version(std::string(version));
    return message.SerializeAsString();
}

// Without the digest.
std::string snapshot_of_empty_files(std::size_t count) {
    storage::SnapshotManifest manifest;
    for (std::size_t number = 0; number < count; ++number) {
        manifest.files.push_back({std::to_string(number), 0, Xxh3Stream().value()});
    }
    std::string bytes = storage::encode_manifest(manifest);
    bytes.resize(storage::saved_snapshot_bytes(manifest), '\0');
    return bytes;
}

// A save from a server that sends these bytes, and the digest that fits them.
struct Save {
    Save(std::string_view bytes, std::string_view version) {
        constexpr std::size_t kPieceBytes = 100'000;
        storage::Sha256 sum;
        sum.add(bytes);
        FakeReply reply;
        for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
            const std::string_view piece = bytes.substr(at, kPieceBytes);
            reply.stream.push_back(message_of(piece, bytes.size() - at - piece.size(), version));
        }
        reply.stream.push_back(message_of(sum.value(), 0, version));
        FakeServer server([&reply](const FakeRequest&) { return reply; });
        std::istringstream in;
        std::ostringstream out;
        std::ostringstream errors;
        code = run({"--endpoints", server.endpoint(), "snapshot", "save", path}, {},
                   {in, out, errors});
        error = errors.str();
        std::ifstream file(path, std::ios::binary);
        saved.assign(std::istreambuf_iterator<char>(file), {});
        const std::filesystem::directory_iterator folder(dir.path());
        files = static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
    }

    const storage::TempDir dir;
    const std::string path = dir.path() + "/backup.snap";
    int code = 0;
    std::string error;
    std::string saved;      // empty: there is no such file
    std::size_t files = 0;  // in the folder
};

}  // namespace

TEST_CASE("snapshot save: keeps what can be restored", "[client][snapshot]") {
    const std::string bytes = snapshot_of_empty_files(storage::kSnapshotFilesMax);
    const Save save(bytes, "cairn 1");
    CHECK(save.error.empty());
    CHECK(save.code == kExitOk);
    CHECK(save.saved.size() == bytes.size() + storage::kSha256Bytes);
    CHECK(save.saved.starts_with(bytes));
    CHECK(save.files == 1);
}

TEST_CASE("snapshot save: keeps nothing that cannot be restored", "[client][snapshot]") {
    SECTION("of too many files") {
        const Save save(snapshot_of_empty_files(storage::kSnapshotFilesMax + 1), "cairn 1");
        CHECK(save.code == kExitInterrupted);
        CHECK(save.error.find("a snapshot of 100001 files, at most 100000 can be used") !=
              std::string::npos);
        CHECK(save.files == 0);
    }
    SECTION("no snapshot") {
        const Save save("hello, this is some text", "cairn 1");
        CHECK(save.code == kExitInterrupted);
        CHECK(save.error.find("not a snapshot of cairn") != std::string::npos);
        CHECK(save.files == 0);
    }
}

TEST_CASE("snapshot save: a newer format is kept", "[client][snapshot]") {
    std::string bytes = snapshot_of_empty_files(1);
    const std::size_t version = bytes.find("cairn snapshot 1");
    REQUIRE(version != std::string::npos);
    bytes[version + std::string_view("cairn snapshot ").size()] = '2';
    const Save save(bytes, "cairn 9");
    CHECK(save.error.empty());
    CHECK(save.code == kExitOk);
    CHECK(save.saved.starts_with(bytes));
}

TEST_CASE("snapshot save: another system's snapshot is kept as it is", "[client][snapshot]") {
    const std::string bytes(8192, 'b');
    const Save save(bytes, "3.5.30");
    CHECK(save.error.empty());
    CHECK(save.code == kExitOk);
    CHECK(save.saved.starts_with(bytes));
    CHECK(save.files == 1);
}

}  // namespace cairn::client::ctl
