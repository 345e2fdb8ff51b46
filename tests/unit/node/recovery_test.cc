#include "server/recovery.h"

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "server/bootstrap.h"
#include "storage/command.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::server {
namespace {

using storage::SimDirLoss;
using storage::SimFs;
using storage::SimWriteLoss;

constexpr std::uint64_t kBoot = 70;
constexpr storage::LogOptions kLog{.segment_bytes = 64U * 1024U};

// In memory where there is such a place: nothing here is about the real disk.
std::string temp_root() {
    return std::filesystem::exists("/dev/shm") ? "/dev/shm"
                                               : std::filesystem::temp_directory_path().string();
}

// A member of three. Its log and identity are on the simulated disk, its engine under the same
// path on the real one.
class Member {
  public:
    Member() {
        std::string pattern = temp_root() + "/cairn-node-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        root_ = pattern;
        std::filesystem::create_directory(path());
        files_.make_dirs(root_).value();
        for (std::string dir = root_; dir != "/";) {
            dir = std::filesystem::path(dir).parent_path().string();
            files_.sync_dir(dir).value();
        }
    }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    ~Member() { std::filesystem::remove_all(root_); }

    [[nodiscard]] std::string path() const { return root_ + "/data"; }
    SimFs& files() { return files_; }

    [[nodiscard]] ServerConfig config(std::vector<std::string> more = {}) const {
        std::vector<std::string> arguments{
            "--name=a", "--data-dir=" + path(), "--initial-advertise-peer-urls=http://127.0.0.1:1",
            // Nobody is there: a first start asks the others whether it is one.
            "--initial-cluster=a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const auto line = parse_command_line(arguments, {});
        REQUIRE(line.has_value());
        auto config = build_config(line.value());
        REQUIRE(config.has_value());
        return std::move(config).value();
    }
    Result<RecoveredNode> start(const std::vector<std::string>& more = {}) {
        return recover_node(files_, config(more), kBoot, kLog);
    }

  private:
    std::string root_;
    SimFs files_;
};

// Whom it would reach.
std::vector<command::MemberInfo> members_of(const RecoveredNode& node) {
    Effects effects;
    node.replica->take_effects(effects);
    REQUIRE(effects.peers != nullptr);
    return effects.peers->members;
}

void check_new_member(const Member& member, const RecoveredNode& node) {
    const auto plan = plan_bootstrap(member.config());
    REQUIRE(plan.has_value());
    CHECK(node.identity == DataDirIdentity{plan.value().cluster, plan.value().self});
    CHECK(node.log_entries == 3);
    const auto members = members_of(node);
    REQUIRE(members.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(members[i].id() == plan.value().members[i].id.value);
    }
    CHECK(node.replica->view().term == Term{1});
}

raft::PersistBatch put_batch(std::uint64_t index, std::size_t value_bytes = 0) {
    etcdserverpb::PutRequest put;
    put.set_key("k");
    put.set_value(std::string(value_bytes, 'v'));
    storage::Command command;
    command.kind = command::PUT;
    command.id = {NodeId{7}, kBoot, index};
    command.request = Bytes::copy_of(put.SerializeAsString());
    raft::PersistBatch batch;
    batch.hard_state = raft::HardState{Term{2}, NodeId{}, Index{index}};
    batch.entries.push_back(
        {{Term{2}, Index{index}}, raft::EntryKind::kCommand, storage::encode_command(command)});
    return batch;
}

}  // namespace

TEST_CASE("a first start that crashes anywhere starts over", "[node][recovery]") {
    const auto how = GENERATE(SimDirLoss::kAll, SimDirLoss::kSubset);
    bool finished = false;
    std::uint64_t crash_at = 1;
    for (; !finished; ++crash_at) {
        INFO("crash before call " << crash_at);
        Member member;
        {
            member.files().crash_at(member.files().ops() + crash_at);
            const auto node = member.start();
            finished = !member.files().halted();
            REQUIRE(node.has_value() == finished);
        }
        Prng prng(crash_at);
        member.files().crash(prng, {SimWriteLoss::kSubset, how, nullptr});
        const auto node = member.start();
        if (node.has_error()) {
            FAIL(to_string(node.error()));
        }
        check_new_member(member, node.value());
        // A member that was up keeps its identity: it may have voted since.
        CHECK((!finished || !node.value().first_start));
    }
    CHECK(crash_at > 10);
}

TEST_CASE("what the log acknowledged is there after a power cut", "[node][recovery]") {
    Member member;
    {
        auto node = member.start();
        REQUIRE(node.has_value());
        CHECK(node.value().first_start);
        const std::array batch{put_batch(4)};
        REQUIRE(node.value().log->append(batch).has_value());
    }
    Prng prng(1);
    member.files().crash(prng, {SimWriteLoss::kAll, SimDirLoss::kAll, nullptr});
    const auto node = member.start();
    REQUIRE(node.has_value());
    CHECK_FALSE(node.value().first_start);
    CHECK(node.value().log_entries == 4);
    CHECK(node.value().replica->view().term == Term{2});
    CHECK(members_of(node.value()).size() == 3);
}

TEST_CASE("a restart looks at the data and not at the flags of the first start",
          "[node][recovery]") {
    Member member;
    { REQUIRE(member.start().has_value()); }
    const auto node =
        member.start({"--initial-cluster=a=http://127.0.0.1:1", "--initial-cluster-token=another",
                      "--initial-cluster-state=existing"});
    REQUIRE(node.has_value());
    check_new_member(member, node.value());
}

TEST_CASE("a member that nobody tells of the cluster does not join it", "[node][recovery]") {
    Member member;
    // The discard port of this machine: nobody is there.
    const auto node =
        member.start({"--initial-cluster-state=existing", "--name=a",
                      "--initial-cluster=a=http://127.0.0.1:2380,b=http://127.0.0.1:9"});
    REQUIRE(node.has_error());
    CHECK(node.error().code == Errc::kInvalidConfig);
    CHECK(node.error().detail ==
          "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
          "the given URLs");
    CHECK_FALSE(member.files().exists(member.path() + "/IDENTITY").value());
}

// Before its first entry, and before its first snapshot, there is a term in it.
TEST_CASE("a member that joins may restart with an empty log", "[node][recovery]") {
    Member member;
    { REQUIRE(member.start().has_value()); }  // for an identity
    const std::string wal = member.path() + "/wal";
    REQUIRE(member.files().remove_all(wal).has_value());
    std::filesystem::remove_all(member.path() + "/db");
    {
        auto log = storage::LogStore::open(member.files(), wal, kLog);
        REQUIRE(log.has_value());
        REQUIRE(log.value().log->append(std::array{raft::joining_batch()}).has_value());
    }
    const auto node = member.start();
    if (node.has_error()) {
        FAIL(to_string(node.error()));
    }
    CHECK(node.value().log_entries == 0);
    CHECK(node.value().replica->view().term == Term{1});
    CHECK(members_of(node.value()).empty());
}

TEST_CASE("a second process is refused, and has changed nothing", "[node][recovery]") {
    Member member;
    const auto first = member.start();
    REQUIRE(first.has_value());
    CHECK(member.start().error().code == Errc::kLocked);
}

TEST_CASE("a damaged directory is refused", "[node][recovery]") {
    Member member;
    { REQUIRE(member.start().has_value()); }
    const std::string identity = member.path() + "/IDENTITY";
    const std::string good = member.files().content(identity).value();

    SECTION("a flipped bit in the identity") {
        member.files().flip_bit(identity, good.find("member") + 10, 0);
        const auto node = member.start();
        REQUIRE(node.has_error());
        CHECK(node.error().code == Errc::kCorrupt);
        CHECK(node.error().detail.find(identity) != std::string::npos);
    }
    SECTION("a newer format") {
        std::string newer = good;
        newer.replace(newer.find("format 1"), 8, "format 9");
        member.files().put_file(identity, newer);
        CHECK(member.start().error().code == Errc::kUnsupportedVersion);
    }
    SECTION("a flipped bit in the log, behind it a batch that was durable") {
        {
            auto node = member.start();
            REQUIRE(node.has_value());
            for (std::uint64_t index = 4; index < 7; ++index) {
                const std::array batch{put_batch(index)};
                REQUIRE(node.value().log->append(batch).has_value());
            }
        }
        member.files().flip_bit(member.path() + "/wal/0000000000000001.seg", 2 * 4096 + 100, 3);
        const auto node = member.start();
        REQUIRE(node.has_error());
        CHECK(node.error().code == Errc::kCorrupt);
        CHECK(node.error().detail.find("0000000000000001.seg") != std::string::npos);
    }
    SECTION("a log that is gone") {
        REQUIRE(member.files().remove_all(member.path() + "/wal").has_value());
        const auto node = member.start();
        REQUIRE(node.has_error());
        CHECK(node.error().code == Errc::kCorrupt);
    }
}

TEST_CASE("a log without its engine is applied anew", "[node][recovery]") {
    Member member;
    { REQUIRE(member.start().has_value()); }
    std::filesystem::remove_all(member.path() + "/db");
    const auto node = member.start();
    REQUIRE(node.has_value());
    check_new_member(member, node.value());
    CHECK(node.value().machine->applied_state().applied.index == Index{0});
}

TEST_CASE("data that lost its identity is refused, and nothing is removed", "[node][recovery]") {
    Member member;
    { REQUIRE(member.start().has_value()); }
    SimFs& files = member.files();
    const std::string wal = member.path() + "/wal";
    const std::string segment = wal + "/0000000000000001.seg";
    REQUIRE(files.remove(member.path() + "/IDENTITY").has_value());

    SECTION("an engine") {
        // The simulated disk has no engine by itself.
        REQUIRE(files.make_dirs(member.path() + "/db").has_value());
        files.put_file(member.path() + "/db/CURRENT", "MANIFEST-000001");
    }
    SECTION("a log with a command") {
        auto log = storage::LogStore::open(files, wal, kLog);
        raft::PersistBatch batch = put_batch(4);
        batch.hard_state.reset();
        REQUIRE(log.value().log->append(std::array{batch}).has_value());
    }
    SECTION("a log with a vote") {
        auto log = storage::LogStore::open(files, wal, kLog);
        raft::PersistBatch batch;
        batch.hard_state = raft::HardState{Term{1}, NodeId{5}, Index{3}};
        REQUIRE(log.value().log->append(std::array{batch}).has_value());
    }
    SECTION("a log of a later term") {
        auto log = storage::LogStore::open(files, wal, kLog);
        raft::PersistBatch batch;
        batch.hard_state = raft::HardState{Term{2}, NodeId{}, Index{3}};
        REQUIRE(log.value().log->append(std::array{batch}).has_value());
    }
    SECTION("a file that is not the log's") { files.put_file(wal + "/0.wal", "another program's"); }
    const std::string before = files.content(segment).value();
    const auto names = files.list(wal).value();
    const auto node = member.start();
    REQUIRE(node.has_error());
    CHECK(node.error().code == Errc::kCorrupt);
    CHECK(node.error().detail.find(member.path() + ": ") == 0);
    CHECK(node.error().detail.find("IDENTITY") != std::string::npos);
    CHECK(files.list(wal).value() == names);
    CHECK(files.content(segment).value() == before);
}

TEST_CASE("a first start without its identity starts over with other flags", "[node][recovery]") {
    Member member;
    { REQUIRE(member.start().has_value()); }
    REQUIRE(member.files().remove(member.path() + "/IDENTITY").has_value());
    const auto node =
        member.start({"--initial-cluster=a=http://127.0.0.1:1", "--initial-cluster-token=another"});
    REQUIRE(node.has_value());
    CHECK(node.value().first_start);
    CHECK(node.value().log_entries == 1);
    CHECK(members_of(node.value()).size() == 1);
}

TEST_CASE("a member on a full disk does not start", "[node][recovery]") {
    Member member;
    {
        auto node = member.start();
        REQUIRE(node.has_value());
        const std::array batch{put_batch(4, 2U * 1024U * 1024U)};
        REQUIRE(node.value().log->append(batch).has_value());
    }
    SimFs& files = member.files();
    const std::uint64_t used = files.bytes_used();
    files.set_capacity(used + 64U * 1024U);
    const auto node = member.start();
    REQUIRE(node.has_error());
    CHECK(node.error().code == Errc::kNoSpace);
    CHECK(node.error().detail.find(member.path()) != std::string::npos);
    // What the attempt took is given back.
    CHECK(files.bytes_used() == used);
    // Room to open the engine, and none for what it does not have yet.
    files.set_capacity(used + 1024U * 1024U + 64U * 1024U);
    const auto replay = member.start();
    REQUIRE(replay.has_error());
    CHECK(replay.error().code == Errc::kNoSpace);
    CHECK(files.bytes_used() == used);
    files.set_capacity(used + 4U * 1024U * 1024U);
    const auto again = member.start();
    REQUIRE(again.has_value());
    CHECK(again.value().log_entries == 4);
    CHECK(files.bytes_used() == used);
}

}  // namespace cairn::server
