// `cairn snapshot save`: what it keeps of what a server sends.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

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
    // `prepare` makes what is at `path` before; `last` is what the server says then.
    Save(
        std::string_view bytes, std::string_view version,
        const std::function<void(const std::string& path)>& prepare = [](const std::string&) {},
        const wire::GrpcStatus& last = {}) {
        constexpr std::size_t kPieceBytes = 100'000;
        storage::Sha256 sum;
        sum.add(bytes);
        FakeReply reply;
        for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
            const std::string_view piece = bytes.substr(at, kPieceBytes);
            reply.stream.push_back(message_of(piece, bytes.size() - at - piece.size(), version));
        }
        reply.stream.push_back(message_of(sum.value(), 0, version));
        reply.status = last;
        FakeServer server([&](const FakeRequest&) {
            ++asked;
            return reply;
        });
        prepare(path);
        std::istringstream in;
        std::ostringstream out;
        std::ostringstream errors;
        code = run({"--endpoints", server.endpoint(), "snapshot", "save", path}, {},
                   {in, out, errors});
        error = errors.str();
        std::error_code unreadable;
        if (std::filesystem::is_regular_file(path, unreadable)) {
            std::ifstream file(path, std::ios::binary);
            saved.assign(std::istreambuf_iterator<char>(file), {});
        }
        const std::filesystem::directory_iterator folder(dir.path());
        files = static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
    }

    const storage::TempDir dir;
    const std::string path = dir.path() + "/backup.snap";
    int code = 0;
    std::string error;
    std::string saved;      // empty: there is no such file
    std::size_t files = 0;  // in the folder
    std::atomic<int> asked{0};
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

TEST_CASE("snapshot save: a server that takes it back says why", "[client][snapshot]") {
    const Save save(snapshot_of_empty_files(1), "cairn 1", [](const std::string&) {},
                    {wire::GrpcCode::kCancelled, "the proxy has had enough"});
    CHECK(save.code != kExitOk);
    CHECK(save.error.find("the proxy has had enough") != std::string::npos);
    CHECK(save.files == 0);
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

TEST_CASE("snapshot save: what is no file is left alone, and nothing is asked for",
          "[client][snapshot]") {
    const auto refused = [](const std::string& what,
                            const std::function<void(const std::string&)>& prepare) {
        INFO(what);
        const Save save(snapshot_of_empty_files(1), "cairn 1", prepare);
        CHECK(save.code == kExitInterrupted);
        CHECK(save.error == "Error: " + save.path + " is " + what +
                                ", not a regular file: a snapshot cannot be saved there\n");
        CHECK(save.asked == 0);
        CHECK(std::filesystem::exists(save.path));
        CHECK_FALSE(std::filesystem::is_regular_file(save.path));
        return save.files;
    };
    const auto make_pipe = [](const std::string& at) { REQUIRE(::mkfifo(at.c_str(), 0600) == 0); };
    CHECK(refused("a pipe", make_pipe) == 1);
    CHECK(refused("a directory",
                  [](const std::string& path) { std::filesystem::create_directory(path); }) == 1);
    CHECK(refused("a pipe", [&](const std::string& path) {
              make_pipe(path + ".pipe");
              std::filesystem::create_symlink("backup.snap.pipe", path);
          }) == 2);
}

TEST_CASE("snapshot save: a link stays, and the file that it names is replaced",
          "[client][snapshot]") {
    const bool was_there = GENERATE(true, false);
    INFO(was_there);
    const std::string bytes = snapshot_of_empty_files(1);
    const Save save(bytes, "cairn 1", [&](const std::string& path) {
        const std::filesystem::path folder = std::filesystem::path(path).parent_path() / "folder";
        std::filesystem::create_directory(folder);
        // The second is relative to where it lies.
        std::filesystem::create_symlink("folder/link", path);
        std::filesystem::create_symlink("file", folder / "link");
        if (was_there) {
            std::ofstream(folder / "file") << "before";
        }
    });
    CHECK(save.error.empty());
    CHECK(save.code == kExitOk);
    CHECK(save.saved.starts_with(bytes));
    CHECK(save.files == 2);
    const std::filesystem::path folder = save.dir.path() + "/folder";
    CHECK(std::filesystem::is_symlink(save.path));
    CHECK(std::filesystem::is_symlink(folder / "link"));
    CHECK(std::filesystem::file_size(folder / "file") == save.saved.size());
    const std::filesystem::directory_iterator inside(folder);
    CHECK(std::distance(begin(inside), end(inside)) == 2);
}

TEST_CASE("snapshot save: links that go in a circle", "[client][snapshot]") {
    const Save save(snapshot_of_empty_files(1), "cairn 1", [](const std::string& path) {
        std::filesystem::create_symlink("backup.snap", path);
    });
    CHECK(save.code == kExitInterrupted);
    CHECK(save.error.find("Too many levels of symbolic links") != std::string::npos);
    CHECK(save.asked == 0);
    CHECK(save.files == 1);
}

}  // namespace cairn::client::ctl
