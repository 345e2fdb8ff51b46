// The bytes of docs/formats/keys.md: each encoder by itself, and all of a small store.
#include <array>
#include <string>
#include <utility>

#include "catch.h"

#include "golden_bytes.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "raft/conf_change.h"
#include "storage/mvcc/record.h"
#include "storage/schema.h"
#include "tests/unit/storage/fixture.h"

namespace cairn::storage {
namespace {

using test::Fixture;

constexpr std::array<const char*, kColumnFamilyCount> kFamilyNames = {
    "keys", "latest", "history", "revlog", "leases", "auth", "members", "meta"};

// A readable name for a key: printable bytes as they are, others as \xx.
std::string readable(ByteView key) {
    std::string text;
    for (const char c : key) {
        const bool plain = c > ' ' && c <= '~' && c != '\\';
        text += plain ? std::string(1, c) : "\\" + cairn::test::hex(ByteView(&c, 1));
    }
    return text;
}

command::MemberInfo member() {
    command::MemberInfo info;
    info.set_id(test::kSelf.value);
    info.add_peer_urls("http://h:2380");
    return info;
}

// Two keys, one of them deleted and one long; a member with its attributes; an alarm; a compaction
// of which the collector has done a part.
void fill(Fixture& store) {
    const Bytes change =
        raft::encode_conf_change({raft::ConfChangeKind::kBootstrapVoter, test::kSelf,
                                  Bytes::copy_of(member().SerializeAsString())});
    store.apply({{{Term{1}, Index{1}}, raft::EntryKind::kConfig, change}});
    store.skip_index();
    command::MemberInfo attributes;
    attributes.set_id(test::kSelf.value);
    attributes.set_name("n");
    attributes.add_client_urls("http://h:2379");
    REQUIRE_FALSE(store.run(command::MEMBER_ATTRIBUTES, attributes).error.has_value());
    store.put("a", "1");                                 // revision 2
    store.put("a", std::string(257, 'v'));               // 3
    store.put(std::string("b\0c", 3), "2");              // 4
    store.del(test::delete_of(std::string("b\0c", 3)));  // 5
    etcdserverpb::AlarmRequest alarm;
    alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
    alarm.set_memberid(test::kSelf.value);
    alarm.set_alarm(etcdserverpb::NOSPACE);
    REQUIRE_FALSE(store.run(command::ALARM, alarm).error.has_value());
    REQUIRE_FALSE(store.compact(4).has_value());
    REQUIRE(store.machine().collect_garbage(2).has_value());
}

}  // namespace

TEST_CASE("keys.md: records have their golden bytes", "[golden][keys]") {
    cairn::test::GoldenBytes golden("keys.md");
    using mvcc::Revision;
    using mvcc::Version;
    const Version pair{false, 2, 3, 0x1234, "value"};
    golden.expect("history-key", schema::history_key(ByteView("a\0b", 3), {258, 1}));
    golden.expect("revlog-key", schema::revlog_key({258, 1}));
    golden.expect("key-inline", mvcc::encode_key_record({{258, 1}, true, pair}));
    golden.expect("key-in-latest",
                  mvcc::encode_key_record({{258, 1}, false, {false, 2, 3, 0x1234, {}}}));
    golden.expect("key-deleted", mvcc::encode_key_record({{258, 1}, false, {true, 0, 0, 0, {}}}));
    golden.expect("history-put", mvcc::encode_history_record(pair));
    golden.expect("history-deleted", mvcc::encode_history_record({true, 0, 0, 0, {}}));
    golden.expect("revlog-put", mvcc::encode_revlog_record({mvcc::EventKind::kPut, {}, "key"}));
    golden.expect("revlog-put-over",
                  mvcc::encode_revlog_record({mvcc::EventKind::kPut, {257, 4}, "key"}));
    golden.expect("revlog-delete",
                  mvcc::encode_revlog_record({mvcc::EventKind::kDelete, {257, 0}, "key"}));

    const auto key = schema::decode_history_key(golden.bytes("history-key")).value();
    CHECK(key.user_key == std::string("a\0b", 3));
    CHECK(key.revision == Revision{258, 1});
    CHECK(schema::decode_revlog_key(golden.bytes("revlog-key")).value() == Revision{258, 1});
    const std::string bytes = golden.bytes("key-inline");
    const auto record = mvcc::decode_key_record(bytes).value();
    CHECK(record.mod == Revision{258, 1});
    CHECK(record.newest.create == 2);
    CHECK(record.newest.version == 3);
    CHECK(record.newest.lease == 0x1234);
    CHECK(record.newest.value == "value");
    const std::string replaced = golden.bytes("revlog-delete");
    CHECK(mvcc::decode_revlog_record(replaced).value().replaced == Revision{257, 0});
}

TEST_CASE("keys.md: a small store is what the page shows", "[golden][keys]") {
    cairn::test::GoldenBytes golden("keys.md");
    Fixture store;
    fill(store);
    for (std::size_t family = 0; family < kColumnFamilyCount; ++family) {
        auto it = store.memory().iterate(static_cast<ColumnFamily>(family), {}, {});
        for (; it->valid(); it->next()) {
            const std::string name = std::string(kFamilyNames[family]) + "/" + readable(it->key());
            // A long value is shown by its beginning.
            golden.expect(name, it->value().substr(0, 40));
        }
        REQUIRE(it->status().has_value());
    }
    for (const char* record :
         {"history-key", "revlog-key", "key-inline", "key-in-latest", "key-deleted", "history-put",
          "history-deleted", "revlog-put", "revlog-put-over", "revlog-delete"}) {
        golden.bytes(record);  // the other test's
    }
    golden.expect_all_used();
}

TEST_CASE("keys.md: another format version is refused", "[golden][keys]") {
    const auto engine = std::make_shared<MemEngine>();
    WriteBatch stamp;
    stamp.put(ColumnFamily::kMeta, "format", std::string("\0\0\0\3", 4));
    REQUIRE(engine->write(stamp).has_value());
    CHECK(StateMachine::open(engine, {test::kSelf, 1}).error().code == Errc::kUnsupportedVersion);
}

}  // namespace cairn::storage
