#include "storage/state_machine.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fixture.h"
#include "raft/conf_change.h"
#include "storage/mvcc/key_counts.h"
#include "storage/schema.h"

namespace cairn::storage::test {
namespace {

TEST_CASE("An empty store is at revision 1, and each effective command takes one revision") {
    Fixture store;
    CHECK(store.revision() == 1);
    CHECK(store.machine().applied_state().applied == raft::EntryId{});
    store.put("a", "1");
    CHECK(store.revision() == 2);
    CHECK(store.last().results[0].revision == 2);
    store.put("a", "1");  // the same value does count
    CHECK(store.revision() == 3);
    CHECK(store.del(delete_of("missing")).deleted() == 0);
    CHECK(store.revision() == 3);
    CHECK(store.last().results[0].revision == 3);
    CHECK(store.last().events.empty());
    CHECK(store.del(delete_of("a")).deleted() == 1);
    CHECK(store.revision() == 4);
    CHECK(store.machine().applied_state().applied == raft::EntryId{Term{1}, Index{4}});
}

TEST_CASE("Entries of one apply call see each other and make one published moment") {
    Fixture store;
    const auto before = store.machine().view();
    const ApplyOutput output = store.apply({store.entry(command::PUT, put_of("a", "1")),
                                            store.entry(command::PUT, put_of("a", "2")),
                                            store.entry(command::DELETE_RANGE, delete_of("a")),
                                            store.entry(command::PUT, put_of("a", "3"))});
    REQUIRE(output.results.size() == 4);
    REQUIRE(output.events.size() == 4);
    CHECK(output.revision == 5);
    CHECK(output.applied.index == Index{4});
    CHECK(output.events[1]->events[0].prev_kv.value.view() == "1");
    CHECK(output.events[2]->events[0].kind == mvcc::EventKind::kDelete);
    CHECK(output.events[2]->events[0].prev_kv.value.view() == "2");
    CHECK(output.events[2]->events[0].kv.create_revision == 0);
    CHECK(output.events[3]->events[0].prev_kv.version == 0);
    const auto kv = store.range(range_of("a")).kvs(0);
    CHECK(kv.version() == 1);
    CHECK(kv.create_revision() == 5);
    CHECK(before->revision() == 1);
    std::string body;
    REQUIRE(before->range(range_of("a"), body).has_value());
    CHECK(body.empty());
}

// Some bytes of a command must not take as much memory as all that they delete.
TEST_CASE("A command keeps the previous values of its changes up to a bound") {
    constexpr std::size_t kValueBytes = std::size_t{4} << 20U;
    constexpr std::size_t kKeys = 24;
    Fixture store;
    for (std::size_t i = 0; i < kKeys; ++i) {
        store.put("k" + std::to_string(10 + i), std::string(kValueBytes, 'v'));
    }
    const bool wants_them = GENERATE(false, true);
    auto request = delete_of("k", "l");
    request.set_prev_kv(wants_them);
    CHECK(store.del(request).deleted() == kKeys);
    std::size_t kept = 0;
    for (const mvcc::Event& event : store.last().events.at(0)->events) {
        CHECK(event.prev_kv.version == 1);
        CHECK(event.prev_kv.value.size() == (event.prev_value_left_out ? 0 : kValueBytes));
        kept += event.prev_value_left_out ? 0 : 1;
    }
    CHECK(kept == (wants_them ? kKeys : 17));  // one more than 64 MiB
}

TEST_CASE("Only commands of this member and boot have results") {
    Fixture store;
    raft::Entry foreign = store.entry(command::PUT, put_of("a", "1"));
    Command command = decode_command(foreign.payload).value();
    command.id.boot = kBoot + 1;
    foreign.payload = encode_command(command);
    const ApplyOutput output = store.apply({foreign});
    CHECK(output.results.empty());
    CHECK(output.events.size() == 1);
    CHECK(store.show_all() == "a=1");
}

TEST_CASE("An unknown kind or version stops the member and leaves nothing behind") {
    Fixture store;
    const raft::Entry good = store.entry(command::PUT, put_of("a", "1"));
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
        std::string payload(good.payload.view());
        payload[at] = '\x63';
        raft::Entry bad = good;
        bad.id.index = Index{2};
        bad.payload = Bytes::copy_of(payload);
        const std::vector<raft::Entry> entries{good, bad};
        const auto output = store.machine().apply(entries);
        REQUIRE_FALSE(output.has_value());
        CHECK(output.error().code == Errc::kUnsupportedVersion);
        CHECK(store.revision() == 1);
        CHECK(store.show_all().empty());
    }
    raft::Entry strange = good;
    strange.kind = static_cast<raft::EntryKind>(99);
    const auto output = store.machine().apply(std::vector<raft::Entry>{strange});
    REQUIRE_FALSE(output.has_value());
    CHECK(output.error().code == Errc::kUnsupportedVersion);
}

TEST_CASE("A request that does not parse is refused and has no effect") {
    Fixture store;
    Command command;
    command.kind = command::PUT;
    command.id = {kSelf, kBoot, 1};
    command.request = Bytes::copy_of("\xff\xff\xff");
    const ApplyOutput output =
        store.apply({{{Term{1}, Index{1}}, raft::EntryKind::kCommand, encode_command(command)}});
    CHECK(output.results.at(0).error == Errc::kMalformedRequest);
    CHECK(store.revision() == 1);
    CHECK(store.machine().applied_state().applied.index == Index{1});
}

TEST_CASE("A Txn as deep as the operation limit allows is applied") {
    etcdserverpb::TxnRequest request;
    etcdserverpb::TxnRequest* level = &request;
    for (int depth = 1; depth < 128; ++depth) {
        level = level->add_success()->mutable_request_txn();
    }
    *level->add_success()->mutable_request_put() = put_of("deep", "1");
    Fixture store;
    const ApplyOutput output = store.apply({store.entry(command::TXN, request)});
    CHECK_FALSE(output.results.at(0).error.has_value());
    CHECK(output.results.at(0).revision == 2);
    CHECK(output.events.size() == 1);
}

TEST_CASE("What is not flushed is lost by a crash, applied index and data together") {
    Fixture store;
    CHECK(store.machine().flushed_applied().value() == Index{0});
    store.put("a", "1");
    CHECK(store.machine().flushed_applied().value() == Index{0});
    REQUIRE(store.memory().flush().has_value());
    CHECK(store.machine().flushed_applied().value() == Index{1});
    store.put("a", "2");
    REQUIRE(store.compact(3) == std::nullopt);
    store.collect_all();

    const auto survivor = store.memory().after_crash();
    Fixture again(survivor);
    CHECK(again.machine().applied_state().applied.index == Index{1});
    CHECK(again.revision() == 2);
    CHECK(again.machine().view()->compacted() == 0);
    CHECK(again.show_all() == "a=1");
}

TEST_CASE("Configuration entries and what members say of themselves") {
    Fixture store;
    command::MemberInfo info;
    info.set_id(9);
    info.add_peer_urls("http://a:2380");
    const raft::ConfChange change{raft::ConfChangeKind::kBootstrapVoter, NodeId{9},
                                  Bytes::copy_of(info.SerializeAsString())};
    ApplyOutput output = store.apply(
        {{{Term{1}, Index{1}}, raft::EntryKind::kConfig, raft::encode_conf_change(change)}});
    CHECK(output.members != nullptr);
    CHECK(output.results.empty());

    store.skip_index();
    info.set_name("nine");
    info.clear_peer_urls();
    info.add_client_urls("http://a:2379");
    CHECK(store.run(command::MEMBER_ATTRIBUTES, info).error == std::nullopt);
    CHECK(store.last().members != nullptr);
    const auto members = store.machine().view()->members().value();
    REQUIRE(members.size() == 1);
    CHECK(members[0].name() == "nine");
    CHECK(members[0].peer_urls(0) == "http://a:2380");
    CHECK(members[0].client_urls(0) == "http://a:2379");
    CHECK(store.revision() == 1);

    info.set_id(10);
    CHECK(store.run(command::MEMBER_ATTRIBUTES, info).error == Errc::kMemberNotFound);
    CHECK(store.machine().view()->members().value().size() == 1);
}

namespace {

command::MemberInfo member_info(std::uint64_t id, const std::string& peer_url, bool learner) {
    command::MemberInfo info;
    info.set_id(id);
    if (!peer_url.empty()) {
        info.add_peer_urls(peer_url);
    }
    info.set_is_learner(learner);
    return info;
}

// Member 1, entry 1.
void bootstrap(Fixture& store) {
    const std::string info = member_info(1, "http://one:2380", false).SerializeAsString();
    store.apply_change({raft::ConfChangeKind::kBootstrapVoter, NodeId{1}, Bytes::copy_of(info)});
}

raft::ConfState conf_of(Fixture& store) { return *store.machine().applied_state().conf; }

}  // namespace

TEST_CASE("Members are added, promoted, updated and removed by configuration entries") {
    Fixture store;
    const NodeId nine{9};
    bootstrap(store);
    // A learner; its proposer gets the answer that etcd gives.
    auto result = store.run_change(raft::ConfChangeKind::kAddLearner, nine, command::MEMBER_ADD,
                                   member_info(9, "http://a:2380", true));
    REQUIRE_FALSE(result.error.has_value());
    etcdserverpb::MemberAddResponse added;
    REQUIRE(added.ParseFromString(std::string(result.body.view())));
    CHECK(added.member().id() == 9);
    CHECK(added.member().islearner());
    REQUIRE(added.members_size() == 2);
    CHECK(added.members(1).peerurls(0) == "http://a:2380");
    CHECK(store.last().members != nullptr);
    CHECK(conf_of(store).learners == std::vector<NodeId>{nine});

    REQUIRE_FALSE(store
                      .run_change(raft::ConfChangeKind::kAddVoter, nine, command::MEMBER_PROMOTE,
                                  member_info(9, "", false))
                      .error.has_value());
    CHECK_FALSE(store.machine().view()->members().value().at(1).is_learner());
    CHECK(conf_of(store).voters == std::vector<NodeId>{NodeId{1}, nine});
    CHECK(conf_of(store).voters_outgoing == std::vector<NodeId>{NodeId{1}});
    store.apply_change({raft::ConfChangeKind::kLeaveJoint, {}, {}});
    CHECK(conf_of(store).voters_outgoing.empty());

    REQUIRE_FALSE(store
                      .run_change(raft::ConfChangeKind::kUpdate, nine, command::MEMBER_UPDATE,
                                  member_info(9, "http://b:2380", false))
                      .error.has_value());
    CHECK(store.machine().view()->members().value().at(1).peer_urls(0) == "http://b:2380");
    CHECK(store
              .run_change(raft::ConfChangeKind::kUpdate, nine, command::MEMBER_UPDATE,
                          member_info(8, "x", false))
              .error == Errc::kMemberNotFound);

    result = store.run_change(raft::ConfChangeKind::kRemove, nine, command::MEMBER_REMOVE,
                              member_info(9, "", false));
    etcdserverpb::MemberRemoveResponse removed;
    REQUIRE(removed.ParseFromString(std::string(result.body.view())));
    CHECK(removed.members_size() == 1);
    CHECK(store.machine().view()->members().value().size() == 1);
    CHECK(store.machine().view()->removed_members().value() == std::vector<NodeId>{nine});
    // Nothing of this is a change of the store.
    CHECK(store.revision() == 1);
    // What the engine says of it is what a restart finds.
    const raft::ConfState conf = conf_of(store);
    store.reopen();
    CHECK(conf_of(store) == conf);
}

TEST_CASE("A member changes with the configuration or not at all") {
    Fixture store;
    bootstrap(store);
    CHECK(store.run(command::MEMBER_ADD, member_info(9, "http://a:2380", false)).error ==
          Errc::kMalformedRequest);
    CHECK(store.run_change(raft::ConfChangeKind::kAddVoter, NodeId{9}, command::PUT, {}).error ==
          Errc::kMalformedRequest);
    CHECK(store.machine().view()->members().value().size() == 1);
    // To leave a joint configuration says nothing of members; views of them may change.
    const ApplyOutput left = store.apply_change({raft::ConfChangeKind::kLeaveJoint, {}, {}});
    CHECK(left.members != nullptr);
    CHECK(left.results.empty());
}

TEST_CASE("A configuration entry that makes no sense stops the member") {
    Fixture store;
    bootstrap(store);
    const raft::Entry entry{store.next_id(), raft::EntryKind::kConfig,
                            raft::encode_conf_change({raft::ConfChangeKind::kLeaveJoint, {}, {}})};
    CHECK(store.machine().apply(std::span(&entry, 1)).error().code == Errc::kMalformed);
}

TEST_CASE("An engine of the format before takes its configuration from the log, once") {
    const auto engine = std::make_shared<MemEngine>();
    WriteBatch batch;
    batch.put(ColumnFamily::kMeta, "format", std::string("\0\0\0\1", 4));
    batch.put(ColumnFamily::kMeta, "applied", schema::encode_applied({Term{2}, Index{8}}));
    REQUIRE(engine->write(batch).has_value());
    CHECK_FALSE(read_applied_state(*engine).value().conf.has_value());
    CHECK(StateMachine::open(engine, {kSelf, kBoot}).error().code == Errc::kCorrupt);
    raft::ConfState conf;
    conf.voters = {NodeId{1}, NodeId{2}};
    REQUIRE(StateMachine::open(engine, {kSelf, kBoot}, conf).has_value());
    CHECK(read_applied_state(*engine).value().conf == conf);
    CHECK(engine->get(ColumnFamily::kMeta, "format").value() == std::string("\0\0\0\2", 4));
    raft::ConfState other;
    other.voters = {NodeId{3}};
    REQUIRE(StateMachine::open(engine, {kSelf, kBoot}, other).has_value());
    CHECK(read_applied_state(*engine).value().conf == conf);
}

TEST_CASE("A replaced engine is the state at once, and reads of the old one go on") {
    Fixture store;
    bootstrap(store);
    store.put("a", "old");
    const auto before = store.machine().view();
    Fixture other;
    bootstrap(other);
    for (int i = 0; i < 5; ++i) {
        other.put("b", "new");
    }
    REQUIRE(store.machine().replace(other.machine().engine()).has_value());
    CHECK(store.machine().applied_state().applied.index == Index{6});
    CHECK(store.machine().view()->revision() == 6);
    CHECK(store.machine().flush().value() == Index{6});
    std::string body;
    REQUIRE(before->range(range_of("a"), body).has_value());
    CHECK(Fixture::parse<etcdserverpb::RangeResponse>(body).kvs(0).value() == "old");
    body.clear();
    REQUIRE(store.machine().view()->range(range_of("a"), body).has_value());
    CHECK(Fixture::parse<etcdserverpb::RangeResponse>(body).count() == 0);
}

etcdserverpb::AlarmRequest alarm_of(etcdserverpb::AlarmRequest::AlarmAction action,
                                    std::uint64_t member, etcdserverpb::AlarmType type) {
    etcdserverpb::AlarmRequest request;
    request.set_action(action);
    request.set_memberid(member);
    request.set_alarm(type);
    return request;
}

TEST_CASE("NOSPACE refuses puts, and Txns with a put in any branch; deletes go on") {
    using etcdserverpb::AlarmRequest;
    Fixture store;
    store.put("a", "1");
    store.run(command::ALARM, alarm_of(AlarmRequest::ACTIVATE, 5, etcdserverpb::NOSPACE));
    store.run(command::ALARM, alarm_of(AlarmRequest::ACTIVATE, 4, etcdserverpb::NOSPACE));
    store.run(command::ALARM, alarm_of(AlarmRequest::ACTIVATE, 4, etcdserverpb::NONE));
    const auto alarms = store.machine().view()->alarms().value();
    REQUIRE(alarms.size() == 2);
    CHECK(alarms[0].memberid() == 4);
    CHECK(store.run(command::PUT, put_of("a", "2")).error == Errc::kNoSpaceQuota);
    etcdserverpb::TxnRequest nested;
    *nested.add_failure()->mutable_request_txn()->add_failure()->mutable_request_put() =
        put_of("b", "1");
    CHECK(store.txn_error(nested) == Errc::kNoSpaceQuota);
    CHECK(store.del(delete_of("a")).deleted() == 1);
    store.reopen();
    CHECK(store.run(command::PUT, put_of("a", "2")).error == Errc::kNoSpaceQuota);
    store.run(command::ALARM, alarm_of(AlarmRequest::DEACTIVATE, 5, etcdserverpb::NOSPACE));
    CHECK(store.run(command::PUT, put_of("a", "2")).error == Errc::kNoSpaceQuota);
    const ApplyResult lowered =
        store.run(command::ALARM, alarm_of(AlarmRequest::DEACTIVATE, 4, etcdserverpb::NOSPACE));
    CHECK(Fixture::parse<etcdserverpb::AlarmResponse>(std::string(lowered.body.view()))
              .alarms_size() == 1);
    const ApplyResult twice =
        store.run(command::ALARM, alarm_of(AlarmRequest::DEACTIVATE, 4, etcdserverpb::NOSPACE));
    CHECK(twice.body.empty());
    store.put("a", "2");
}

TEST_CASE("CORRUPT refuses every write; reads and lowering the alarm go on") {
    using etcdserverpb::AlarmRequest;
    Fixture store;
    store.put("a", "1");
    store.run(command::ALARM, alarm_of(AlarmRequest::ACTIVATE, 5, etcdserverpb::CORRUPT));
    CHECK(store.run(command::PUT, put_of("a", "2")).error == Errc::kCorruptCluster);
    CHECK(store.run(command::DELETE_RANGE, delete_of("a")).error == Errc::kCorruptCluster);
    CHECK(store.txn_error({}) == Errc::kCorruptCluster);
    CHECK(store.compact(2) == Errc::kCorruptCluster);
    CHECK(store.show_all() == "a=1");
    const ApplyResult listed =
        store.run(command::ALARM, alarm_of(AlarmRequest::GET, 0, etcdserverpb::NONE));
    CHECK(Fixture::parse<etcdserverpb::AlarmResponse>(std::string(listed.body.view()))
              .alarms_size() == 1);
    store.run(command::ALARM, alarm_of(AlarmRequest::DEACTIVATE, 5, etcdserverpb::CORRUPT));
    CHECK(store.compact(2) == std::nullopt);
    const ApplyResult unknown =
        store.run(command::ALARM,
                  alarm_of(static_cast<AlarmRequest::AlarmAction>(9), 5, etcdserverpb::CORRUPT));
    CHECK(unknown.error == Errc::kMalformedRequest);
}

TEST_CASE("Counts of keys are recorded after so many changes, and before these are removed") {
    constexpr int kPutsInTxn = 128;
    const auto changes_to_store = static_cast<int>(mvcc::KeyCountsOptions().changes_to_store);
    const auto memory = std::make_shared<MemEngine>();
    MemEngine& engine = *memory;
    Fixture store(memory);
    const auto recorded_at = [&engine] {
        const auto record = engine.get(ColumnFamily::kMeta, schema::kMetaCounts).value();
        return record ? mvcc::KeyTally(1).decode(*record).value() : 0;
    };
    const auto count = [&store] {
        etcdserverpb::RangeRequest request = range_of(kOpenEnd, kOpenEnd);
        request.set_count_only(true);
        return store.range(request).count();
    };
    int changes = 0;
    while (changes + kPutsInTxn < changes_to_store) {
        etcdserverpb::TxnRequest txn;
        for (int i = 0; i < kPutsInTxn; ++i, ++changes) {
            *txn.add_success()->mutable_request_put() = put_of("k" + std::to_string(changes), "v");
        }
        store.txn(txn);
    }
    store.reopen();  // it counts on from where it was
    CHECK(recorded_at() == 0);
    CHECK(count() == changes);
    while (++changes < changes_to_store) {
        store.put("k0", "v");
    }
    CHECK(recorded_at() == 0);
    store.put("k0", "v");
    const std::int64_t recorded = recorded_at();
    CHECK(recorded == store.revision());
    CHECK(count() == changes_to_store - kPutsInTxn);

    store.del(delete_of("k1"));
    store.put("k0", "v");
    REQUIRE_FALSE(store.compact(recorded + 1).has_value());
    store.collect_all();
    CHECK(recorded_at() == recorded);  // all that came after it is still there
    REQUIRE_FALSE(store.compact(recorded + 2).has_value());
    store.collect_all();
    CHECK(recorded_at() == recorded + 2);
    store.reopen();
    CHECK(count() == changes_to_store - kPutsInTxn - 1);
}

TEST_CASE("A directory without a record of counts, and whose changes are gone, is counted") {
    const auto memory = std::make_shared<MemEngine>();
    MemEngine& engine = *memory;
    Fixture store(memory);
    store.put("a", "1");
    store.put("b", "1");
    store.del(delete_of("a"));
    REQUIRE_FALSE(store.compact(4).has_value());
    store.collect_all();
    WriteBatch batch;
    batch.remove(ColumnFamily::kMeta, std::string(schema::kMetaCounts));
    REQUIRE(engine.write(batch).has_value());
    store.reopen();
    etcdserverpb::RangeRequest request = range_of(kOpenEnd, kOpenEnd);
    request.set_count_only(true);
    CHECK(store.range(request).count() == 1);
    store.put("c", "1");
    CHECK(engine.get(ColumnFamily::kMeta, schema::kMetaCounts).value().has_value());
    CHECK(store.range(request).count() == 2);
}

TEST_CASE("A directory of another format is refused") {
    const auto engine = std::make_shared<MemEngine>();
    WriteBatch batch;
    batch.put(ColumnFamily::kMeta, "format", std::string("\0\0\0\x03", 4));
    REQUIRE(engine->write(batch).has_value());
    const auto opened = StateMachine::open(engine, {kSelf, kBoot});
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == Errc::kUnsupportedVersion);
}

}  // namespace
}  // namespace cairn::storage::test
