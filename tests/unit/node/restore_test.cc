#include "server/restore.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"

#include "base/prng.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "raft/conf_change.h"
#include "server/bootstrap.h"
#include "server/recovery.h"
#include "storage/command.h"
#include "storage/mem_engine.h"
#include "storage/snapshot_store.h"
#include "storage/state_machine.h"
#include "tests/sim_fs/sim_fs.h"

namespace cairn::server {
namespace {

using storage::SimDirLoss;
using storage::SimFs;
using storage::SimWriteLoss;

constexpr storage::LogOptions kLog{.segment_bytes = 64U * 1024U, .recycle_max = 1};
constexpr const char* kSaved = "/backup.snap";
constexpr const char* kData = "/data";
constexpr std::uint64_t kOldMember = 0xabc;

raft::Entry command_entry(std::uint64_t index, command::CommandKind kind,
                          const google::protobuf::Message& request) {
    storage::Command command;
    command.kind = kind;
    command.id = {NodeId{kOldMember}, 1, index};
    command.request = Bytes::copy_of(request.SerializeAsString());
    return {{Term{4}, Index{index}}, raft::EntryKind::kCommand, storage::encode_command(command)};
}

raft::Entry put_entry(std::uint64_t index, const std::string& key, const std::string& value) {
    etcdserverpb::PutRequest put;
    put.set_key(key);
    put.set_value(value);
    return command_entry(index, command::PUT, put);
}

// An old cluster of one member, with 20 puts of 10 keys, an alarm, and a member that was removed.
struct OldCluster {
    static std::vector<raft::Entry> entries() {
        std::vector<raft::Entry> all;
        const auto config = [&all](raft::ConfChange change) {
            all.push_back({{Term{4}, Index{all.size() + 1}},
                           raft::EntryKind::kConfig,
                           raft::encode_conf_change(change)});
        };
        command::MemberInfo info;
        info.set_id(kOldMember);
        info.add_peer_urls("http://old:1");
        config({raft::ConfChangeKind::kBootstrapVoter, NodeId{kOldMember},
                Bytes::copy_of(info.SerializeAsString())});
        for (int i = 0; i < 20; ++i) {
            all.push_back(put_entry(all.size() + 1, "k" + std::to_string(i % 10),
                                    "value " + std::to_string(i)));
        }
        etcdserverpb::AlarmRequest alarm;
        alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
        alarm.set_alarm(etcdserverpb::NOSPACE);
        alarm.set_memberid(kOldMember);
        all.push_back(command_entry(all.size() + 1, command::ALARM, alarm));
        return all;
    }
};

constexpr std::int64_t kOldRevision = 21;

// A file system with a saved snapshot of the old cluster.
class World {
  public:
    using Change = std::function<void(storage::SnapshotManifest&)>;

    // `lie`: what is changed of the manifest, whose checksum and digest are right all the same.
    explicit World(const Change& lie = [](storage::SnapshotManifest&) {}) {
        REQUIRE(files.make_dirs("/old").has_value());
        REQUIRE(files.sync_dir("/").has_value());
        auto opened = storage::SnapshotStore::open(files, kind, "/old", {.free_bytes_min = 0});
        REQUIRE(opened.has_value());
        auto machine =
            storage::StateMachine::open(opened.value().engine, {NodeId{kOldMember}, 1}).value();
        const auto entries = OldCluster::entries();
        REQUIRE(machine->apply(entries).has_value());
        hash = machine->view()->hash_kv(0).value().hash;
        const auto built = opened.value().store->build(Index{entries.size()}).value();
        auto told = std::make_shared<storage::BuiltSnapshot>(*built);
        lie(told->manifest);
        storage::SavedSnapshotSource source(files, std::move(told));
        std::string bytes = source.next(1U << 24U).value();
        REQUIRE(source.bytes_left() == 0);
        saved = bytes + source.digest();
        files.put_file(kSaved, saved);
    }

    static ServerConfig config(const std::string& name = "a", const std::string& token = "t") {
        const std::string port = name == "a" ? "1" : name == "b" ? "2" : "3";
        const std::vector<std::string> arguments{
            "--name=" + name, std::string("--data-dir=") + kData,
            "--initial-advertise-peer-urls=http://h:" + port, "--initial-cluster-token=" + token,
            "--initial-cluster=a=http://h:1,b=http://h:2,c=http://h:3"};
        return build_config(parse_command_line(arguments, {}).value()).value();
    }
    Result<RestoredMember> restore(const ServerConfig& with, std::int64_t bump = 0) {
        RestoreOptions options;
        options.snapshot_path = kSaved;
        options.bump_revision = bump;
        return restore_member(files, kind, with, options, kLog);
    }

    SimFs files;
    storage::MemKind kind{files};
    std::string saved;
    std::uint32_t hash{};
};

// What a start would find.
struct Restored {
    std::shared_ptr<storage::KvEngine> engine;
    std::unique_ptr<storage::StateMachine> machine;
    raft::Recovered log;
    DataDirIdentity identity;
};

Restored open_restored(World& world) {
    Restored restored;
    auto dir = DataDir::open(world.files, kData);
    REQUIRE(dir.has_value());
    const auto identity = dir.value().read_identity();
    REQUIRE((identity.has_value() && identity.value().has_value()));
    restored.identity = *identity.value();
    auto opened = storage::SnapshotStore::open(world.files, world.kind, kData);
    REQUIRE(opened.has_value());
    CHECK_FALSE(opened.value().installed.has_value());
    restored.engine = opened.value().engine;
    restored.machine =
        storage::StateMachine::open(restored.engine, {restored.identity.member, 9}).value();
    auto log = storage::LogStore::open(world.files, dir.value().log_path(), kLog);
    REQUIRE(log.has_value());
    restored.log = std::move(log.value().recovered);
    return restored;
}

void check_restored(World& world, const Restored& restored) {
    const storage::AppliedState state = restored.machine->applied_state();
    CHECK(state.applied == raft::EntryId{Term{1}, Index{3}});
    CHECK(state.revision == kOldRevision);
    CHECK(restored.machine->view()->hash_kv(0).value().hash == world.hash);
    REQUIRE(state.members != nullptr);
    CHECK(state.members->removed.empty());
    REQUIRE(state.members->members.size() == 3);
    std::set<std::string> names;
    for (std::size_t i = 0; i < 3; ++i) {
        const auto& member = state.members->members[i];
        CHECK(member.id() != kOldMember);
        CHECK(state.conf->voters[i] == NodeId{member.id()});
        names.insert(member.name() + member.peer_urls(0));
    }
    CHECK(names == std::set<std::string>{"ahttp://h:1", "bhttp://h:2", "chttp://h:3"});
    CHECK(state.conf->learners.empty());
    // The log begins right behind it, in its term.
    CHECK(restored.log.floor.last == state.applied);
    CHECK(restored.log.floor.conf == *state.conf);
    CHECK(restored.log.entries.empty());
    CHECK(restored.log.hard_state == raft::HardState{Term{1}, {}, Index{3}});
}

std::string get(const storage::StateMachine& machine, const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    std::string body;
    REQUIRE(machine.view()->range(request, body).has_value());
    etcdserverpb::RangeResponse response;
    REQUIRE(response.ParseFromString(body));
    REQUIRE(response.kvs_size() == 1);
    return response.kvs(0).value();
}

std::set<std::string> names_in(SimFs& files, const std::string& dir) {
    const auto listed = files.list(dir).value();
    return {listed.begin(), listed.end()};
}

// A start would begin an empty cluster in what a restore has left.
void check_nothing_starts(World& world) {
    CHECK(names_in(world.files, kData) == std::set<std::string>{"LOCK", kRestoringName});
    const auto started = recover_node(world.files, World::config(), 1, kLog);
    REQUIRE(started.has_error());
    CHECK(started.error().detail.starts_with("/data: \"cairn snapshot restore\" was cut off here"));
}

}  // namespace

TEST_CASE("a restored member is one of a new cluster with the old data", "[node][restore]") {
    World world;
    const auto made = world.restore(World::config());
    REQUIRE(made.has_value());
    CHECK(made.value().revision == kOldRevision);
    const Restored restored = open_restored(world);
    CHECK(restored.identity == made.value().identity);
    check_restored(world, restored);
    CHECK(get(*restored.machine, "k3") == "value 13");
    // As in etcd, an alarm is there until somebody disarms it.
    const auto alarms = restored.machine->view()->alarms().value();
    REQUIRE(alarms.size() == 1);
    CHECK(alarms[0].memberid() == kOldMember);
    CHECK(names_in(world.files, kData) == std::set<std::string>{"IDENTITY", "LOCK", "db", "wal"});
    CHECK_FALSE(world.files.exists(std::string(kData) + "/db/MANIFEST.cairn").value());
}

TEST_CASE("a restored cluster goes on: it applies, and its members get along", "[node][restore]") {
    World world;
    const auto first = world.restore(World::config("a")).value();
    REQUIRE(world.files.remove_all(kData).has_value());
    const auto second = world.restore(World::config("b")).value();
    CHECK(first.identity.cluster == second.identity.cluster);
    CHECK(first.identity.member != second.identity.member);
    const Restored restored = open_restored(world);
    check_restored(world, restored);
    raft::Entry entry = put_entry(4, "k3", "new");
    entry.id.term = Term{2};
    etcdserverpb::AlarmRequest disarm;
    disarm.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
    disarm.set_alarm(etcdserverpb::NOSPACE);
    disarm.set_memberid(kOldMember);
    raft::Entry first_entry = command_entry(4, command::ALARM, disarm);
    first_entry.id.term = Term{2};
    entry.id.index = Index{5};
    REQUIRE(restored.machine->apply(std::array{first_entry, entry}).has_value());
    CHECK(restored.machine->view()->revision() == kOldRevision + 1);
    CHECK(get(*restored.machine, "k3") == "new");
}

TEST_CASE("members restored otherwise, or from something else, are strangers", "[node][restore]") {
    std::set<std::uint64_t> clusters;
    const auto add = [&clusters](World& world, const ServerConfig& config, std::int64_t bump) {
        const auto made = world.restore(config, bump);
        REQUIRE(made.has_value());
        CHECK(clusters.insert(made.value().identity.cluster.value).second);
        REQUIRE(world.files.remove_all(kData).has_value());
    };
    World world;
    add(world, World::config(), 0);
    add(world, World::config(), 100);
    add(world, World::config("a", "another token"), 0);
    // The same flags at a first start.
    CHECK(clusters.insert(plan_bootstrap(World::config()).value().cluster.value).second);
}

TEST_CASE("a bumped revision leaves nothing readable before it", "[node][restore]") {
    World world;
    const auto made = world.restore(World::config(), 1'000'000);
    REQUIRE(made.has_value());
    CHECK(made.value().revision == kOldRevision + 1'000'000);
    const Restored restored = open_restored(world);
    const auto view = restored.machine->view();
    CHECK(view->revision() == made.value().revision);
    CHECK(view->compacted() == made.value().revision);
    etcdserverpb::RangeRequest request;
    request.set_key("k3");
    std::string body;
    for (const std::int64_t revision : {std::int64_t{2}, kOldRevision, made.value().revision - 1}) {
        request.set_revision(revision);
        CHECK(view->range(request, body).error().code == Errc::kCompacted);
    }
    CHECK(get(*restored.machine, "k3") == "value 13");
    // What nobody can read any more is collected, and the newest values stay.
    while (restored.machine->has_garbage()) {
        REQUIRE(restored.machine->collect_garbage(3).has_value());
    }
    for (int i = 0; i < 10; ++i) {
        CHECK(get(*restored.machine, "k" + std::to_string(i)) == "value " + std::to_string(10 + i));
    }
    World other;
    const auto too_much = other.restore(World::config(), INT64_MAX);
    REQUIRE(too_much.has_error());
    CHECK(too_much.error().code == Errc::kInvalidConfig);
}

TEST_CASE("a directory that holds anything is left alone", "[node][restore]") {
    World world;
    REQUIRE(world.files.make_dirs(kData).has_value());
    world.files.put_file("/data/precious", "x");
    const auto refused = world.restore(World::config());
    REQUIRE(refused.has_error());
    CHECK(refused.error() ==
          Error{Errc::kInvalidConfig, "data-dir \"/data\" not empty or could not be read"});
    CHECK(names_in(world.files, kData) == std::set<std::string>{"precious"});
    // Also beside a restore's own mark.
    world.files.put_file("/data/RESTORING", "");
    CHECK(world.restore(World::config()).has_error());
    CHECK(world.files.content("/data/precious") == "x");
    // And a member's directory.
    World second;
    REQUIRE(second.restore(World::config()).has_value());
    CHECK(second.restore(World::config()).error().code == Errc::kInvalidConfig);
    check_restored(second, open_restored(second));
}

TEST_CASE("flags that contradict each other are refused in etcd's words", "[node][restore]") {
    World world;
    ServerConfig config = World::config();
    config.initial_error = Error{Errc::kInvalidConfig, "couldn't find local name"};
    CHECK(world.restore(config).error() == *config.initial_error);
    CHECK_FALSE(world.files.exists(kData).value());
}

TEST_CASE("a manifest must say what its files hold", "[node][restore]") {
    const std::vector<World::Change> lies{
        [](storage::SnapshotManifest& manifest) { ++manifest.revision; },
        [](storage::SnapshotManifest& manifest) { --manifest.meta.last.index.value; },
        [](storage::SnapshotManifest& manifest) { ++manifest.meta.last.term.value; },
        [](storage::SnapshotManifest& manifest) {
            manifest.meta.conf.voters.push_back(NodeId{0xabd});
        },
    };
    for (const World::Change& lie : lies) {
        World world(lie);
        const auto made = world.restore(World::config());
        REQUIRE(made.has_error());
        CHECK(made.error() ==
              Error{Errc::kCorrupt,
                    "/backup.snap: the snapshot does not hold what its manifest says"});
        check_nothing_starts(world);
    }
}

TEST_CASE("a snapshot of too many files is refused before anything is made", "[node][restore]") {
    World world([](storage::SnapshotManifest& manifest) {
        while (manifest.files.size() <= storage::kSnapshotFilesMax) {
            manifest.files.push_back(
                {std::to_string(manifest.files.size()), 0, Xxh3Stream().value()});
        }
    });
    const auto made = world.restore(World::config());
    REQUIRE(made.has_error());
    CHECK(made.error() == Error{Errc::kUnsupportedVersion,
                                "/backup.snap: a snapshot of 100001 files, at most 100000 can be "
                                "used"});
    CHECK_FALSE(world.files.exists(kData).value());
}

TEST_CASE("a damaged file leaves no member, and a whole one then does", "[node][restore]") {
    World world;
    std::string damaged = world.saved;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    world.files.put_file(kSaved, damaged);
    const auto refused = world.restore(World::config());
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == Errc::kCorrupt);
    check_nothing_starts(world);
    world.files.put_file(kSaved, world.saved);
    REQUIRE(world.restore(World::config()).has_value());
    check_restored(world, open_restored(world));
}

TEST_CASE("a restore that crashes anywhere leaves nothing to start from, and is made again",
          "[node][restore]") {
    const auto how = GENERATE(SimDirLoss::kAll, SimDirLoss::kNone, SimDirLoss::kSubset);
    bool finished = false;
    int half_made = 0;
    for (std::uint64_t crash_at = 1; !finished; ++crash_at) {
        INFO("crash before call " << crash_at);
        World world;
        world.files.crash_at(world.files.ops() + crash_at);
        const auto made = world.restore(World::config());
        finished = !world.files.halted();
        REQUIRE(made.has_value() == finished);
        Prng prng(crash_at);
        world.files.crash(prng, {SimWriteLoss::kSubset, how, nullptr});
        if (!world.files.exists(kData).value()) {
            continue;
        }
        // Either it is a member's, all of it, or no start takes it for one.
        const auto names = names_in(world.files, kData);
        if (names.contains("IDENTITY")) {
            check_restored(world, open_restored(world));
            continue;
        }
        CHECK_FALSE(finished);
        if (names.contains("db") || names.contains("wal")) {
            CHECK(names.contains(kRestoringName));
            ++half_made;
            const auto started = recover_node(world.files, World::config(), 1, kLog);
            REQUIRE(started.has_error());
            CHECK(started.error().detail.starts_with(
                "/data: \"cairn snapshot restore\" was cut off here"));
        }
        const auto again = world.restore(World::config());
        if (again.has_error()) {
            FAIL(to_string(again.error()));
        }
        check_restored(world, open_restored(world));
    }
    CHECK((half_made > 10 || how == SimDirLoss::kAll));
}

TEST_CASE("a restore on a disk that is full leaves nothing to start from", "[node][restore]") {
    World world;
    world.files.set_capacity(2 * world.saved.size() + 4096);
    CHECK(world.restore(World::config()).error().code == Errc::kNoSpace);
    check_nothing_starts(world);
    world.files.set_capacity(UINT64_MAX);
    REQUIRE(world.restore(World::config()).has_value());
    check_restored(world, open_restored(world));
}

TEST_CASE("an error anywhere in a restore is told, and the next one succeeds", "[node][restore]") {
    for (const Errc code : {Errc::kIo, Errc::kNoSpace}) {
        for (std::uint64_t at = 1;; ++at) {
            INFO("call " << at);
            World world;
            const std::uint64_t failing = world.files.ops() + at;
            world.files.fail_at(failing, code);
            const auto made = world.restore(World::config());
            if (made.has_value() && world.files.ops() < failing) {
                break;
            }
            const auto names = world.files.exists(kData).value() ? names_in(world.files, kData)
                                                                 : std::set<std::string>{};
            if (!names.contains("IDENTITY")) {
                REQUIRE(made.has_error());
                if (world.files.exists(kData).value()) {
                    check_nothing_starts(world);
                }
                const auto again = world.restore(World::config());
                if (again.has_error()) {
                    FAIL(to_string(again.error()));
                }
            }
            check_restored(world, open_restored(world));
        }
    }
}

}  // namespace cairn::server
