// Every call of the client, blocking and async: the same method, the same request, its answer.
#include <boost/asio/use_future.hpp>

#include "client/async.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "tests/unit/client/test_client.h"

namespace cairn::client {
namespace {

namespace pb = etcdserverpb;
using boost::asio::use_future;

// A server that answers everything with `answer` and remembers what it was asked.
class Recorder {
  public:
    Client client() { return client_for({server_.endpoint()}); }

    void answer(const google::protobuf::Message& message) { answer_ = message.SerializeAsString(); }

    // What was asked since the last look: all alike, as text of this message.
    template <class Request>
    std::string asked(const std::string& path) {
        REQUIRE(asked_.size() == 2);
        Request first;
        for (const FakeRequest& request : asked_) {
            CHECK(request.path == path);
            CHECK(request.message == asked_.front().message);
        }
        REQUIRE(first.ParseFromString(asked_.front().message));
        asked_.clear();
        return first.ShortDebugString();
    }

  private:
    std::string answer_;
    std::vector<FakeRequest> asked_;
    FakeServer server_{[this](const FakeRequest& request) {
        asked_.push_back(request);
        return FakeReply{FakeReply::Kind::kAnswer, {}, answer_, {}};
    }};
};

}  // namespace

TEST_CASE("calls: KV", "[client][calls]") {
    Recorder recorder;
    Client client = recorder.client();
    GetOptions options;
    options.limit = 3;
    CHECK(client.get("k", options));
    CHECK(client.async_get("k", options, use_future).get());
    CHECK(recorder.asked<pb::RangeRequest>("/etcdserverpb.KV/Range") == "key: \"k\" limit: 3");
    CHECK(client.get("k"));
    CHECK(client.async_get("k", use_future).get());
    CHECK(recorder.asked<pb::RangeRequest>("/etcdserverpb.KV/Range") == "key: \"k\"");
    CHECK(client.put("k", "v", {.prev_kv = true}));
    CHECK(client.async_put("k", "v", {.prev_kv = true}, use_future).get());
    CHECK(recorder.asked<pb::PutRequest>("/etcdserverpb.KV/Put") ==
          "key: \"k\" value: \"v\" prev_kv: true");
    CHECK(client.put("k", "v"));
    CHECK(client.async_put("k", "v", use_future).get());
    CHECK(recorder.asked<pb::PutRequest>("/etcdserverpb.KV/Put") == "key: \"k\" value: \"v\"");
    CHECK(client.del("k", {.range_end = "z", .prev_kv = false}));
    CHECK(client.async_del("k", {.range_end = "z", .prev_kv = false}, use_future).get());
    CHECK(recorder.asked<pb::DeleteRangeRequest>("/etcdserverpb.KV/DeleteRange") ==
          "key: \"k\" range_end: \"z\"");
    CHECK(client.del("k"));
    CHECK(client.async_del("k", use_future).get());
    CHECK(recorder.asked<pb::DeleteRangeRequest>("/etcdserverpb.KV/DeleteRange") == "key: \"k\"");
    CHECK(client.compact(5, true));
    CHECK(client.async_compact(5, true, use_future).get());
    CHECK(recorder.asked<pb::CompactionRequest>("/etcdserverpb.KV/Compact") ==
          "revision: 5 physical: true");
    CHECK(client.compact(5));
    CHECK(client.async_compact(5, use_future).get());
    CHECK(recorder.asked<pb::CompactionRequest>("/etcdserverpb.KV/Compact") == "revision: 5");
}

TEST_CASE("calls: a transaction as a sentence", "[client][calls][txn]") {
    Recorder recorder;
    Client client = recorder.client();
    TxnBuilder txn = client.txn();
    txn.when(cmp::mod("a") == 3, cmp::version("b") > 1, cmp::create("c") < 2)
        .when(cmp::value("d") != "x", cmp::lease("e").until("f") == 9)
        .when(cmp::exists("g"), cmp::missing("h"), cmp::value("i").until("j") > "y")
        .then(op::put("k", "v", {.lease = 4}), op::get("l"))
        .then(op::txn(client.txn().otherwise(op::del("m", {.range_end = "n"})).request()))
        .otherwise(op::get("o"));
    CHECK(txn.commit());
    CHECK(txn.async_commit(use_future).get());
    CHECK(recorder.asked<pb::TxnRequest>("/etcdserverpb.KV/Txn") ==
          "compare { target: MOD key: \"a\" mod_revision: 3 } "
          "compare { result: GREATER key: \"b\" version: 1 } "
          "compare { result: LESS target: CREATE key: \"c\" create_revision: 2 } "
          "compare { result: NOT_EQUAL target: VALUE key: \"d\" value: \"x\" } "
          "compare { target: LEASE key: \"e\" lease: 9 range_end: \"f\" } "
          "compare { result: GREATER key: \"g\" version: 0 } "
          "compare { key: \"h\" version: 0 } "
          "compare { result: GREATER target: VALUE key: \"i\" value: \"y\" range_end: \"j\" } "
          "success { request_put { key: \"k\" value: \"v\" lease: 4 } } "
          "success { request_range { key: \"l\" } } "
          "success { request_txn { failure { request_delete_range { key: \"m\" range_end: \"n\" } "
          "} } } "
          "failure { request_range { key: \"o\" } }");
    const TxnRequest same = txn.request();
    CHECK(client.txn(same));
    CHECK(client.async_txn(same, use_future).get());
    CHECK(recorder.asked<pb::TxnRequest>("/etcdserverpb.KV/Txn").size() > 0);
}

TEST_CASE("calls: members", "[client][calls]") {
    Recorder recorder;
    Client client = recorder.client();
    pb::MemberAddResponse added;
    added.mutable_header()->set_cluster_id(1);
    added.mutable_member()->set_id(3);
    added.mutable_member()->set_islearner(true);
    added.add_members()->set_name("n1");
    *added.add_members() = added.member();
    recorder.answer(added);
    const MemberAddRequest add{{"http://a:1", "http://b:2"}, true};
    for (const auto& result :
         {client.member_add(add), client.async_member_add(add, use_future).get()}) {
        REQUIRE(result);
        CHECK(result->header.cluster_id == 1);
        CHECK(result->member.id == 3);
        CHECK(result->member.is_learner);
        REQUIRE(result->members.size() == 2);
        CHECK(result->members[0].name == "n1");
    }
    CHECK(recorder.asked<pb::MemberAddRequest>("/etcdserverpb.Cluster/MemberAdd") ==
          "peerURLs: \"http://a:1\" peerURLs: \"http://b:2\" isLearner: true");

    pb::MemberListResponse left;
    left.add_members()->add_clienturls("http://c:3");
    recorder.answer(left);
    CHECK(client.member_list()->members.at(0).client_urls.at(0) == "http://c:3");
    CHECK(client.async_member_list(use_future).get()->members.size() == 1);
    CHECK(recorder.asked<pb::MemberListRequest>("/etcdserverpb.Cluster/MemberList") ==
          "linearizable: true");
    CHECK(client.member_list(false));
    CHECK(client.async_member_list(false, use_future).get());
    CHECK(recorder.asked<pb::MemberListRequest>("/etcdserverpb.Cluster/MemberList").empty());
    CHECK(client.member_remove(7)->members.size() == 1);
    CHECK(client.async_member_remove(7, use_future).get()->members.size() == 1);
    CHECK(recorder.asked<pb::MemberRemoveRequest>("/etcdserverpb.Cluster/MemberRemove") == "ID: 7");
    CHECK(client.member_update({8, {"http://d:4"}})->members.size() == 1);
    CHECK(client.async_member_update({8, {"http://d:4"}}, use_future).get()->members.size() == 1);
    CHECK(recorder.asked<pb::MemberUpdateRequest>("/etcdserverpb.Cluster/MemberUpdate") ==
          "ID: 8 peerURLs: \"http://d:4\"");
    CHECK(client.member_promote(9)->members.size() == 1);
    CHECK(client.async_member_promote(9, use_future).get()->members.size() == 1);
    CHECK(recorder.asked<pb::MemberPromoteRequest>("/etcdserverpb.Cluster/MemberPromote") ==
          "ID: 9");
}

TEST_CASE("calls: maintenance", "[client][calls]") {
    Recorder recorder;
    Client client = recorder.client();
    CHECK(client.status());
    CHECK(client.async_status(use_future).get());
    CHECK(recorder.asked<pb::StatusRequest>("/etcdserverpb.Maintenance/Status").empty());
    CHECK(client.hash_kv(6));
    CHECK(client.async_hash_kv(6, use_future).get());
    CHECK(recorder.asked<pb::HashKVRequest>("/etcdserverpb.Maintenance/HashKV") == "revision: 6");
    CHECK(client.hash_kv());
    CHECK(client.async_hash_kv(use_future).get());
    CHECK(recorder.asked<pb::HashKVRequest>("/etcdserverpb.Maintenance/HashKV").empty());
    pb::HashResponse hash;
    hash.set_hash(11);
    recorder.answer(hash);
    CHECK(client.hash()->hash == 11);
    CHECK(client.async_hash(use_future).get()->hash == 11);
    CHECK(recorder.asked<pb::HashRequest>("/etcdserverpb.Maintenance/Hash").empty());
    recorder.answer(pb::DefragmentResponse());
    CHECK(client.defragment());
    CHECK(client.async_defragment(use_future).get());
    CHECK(recorder.asked<pb::DefragmentRequest>("/etcdserverpb.Maintenance/Defragment").empty());
    CHECK(client.move_leader(12));
    CHECK(client.async_move_leader(12, use_future).get());
    CHECK(recorder.asked<pb::MoveLeaderRequest>("/etcdserverpb.Maintenance/MoveLeader") ==
          "targetID: 12");
    pb::DowngradeResponse downgrade;
    downgrade.set_version("3.5.0");
    recorder.answer(downgrade);
    CHECK(client.downgrade(DowngradeAction::kEnable, "3.4")->version == "3.5.0");
    CHECK(client.async_downgrade(DowngradeAction::kEnable, "3.4", use_future).get()->version ==
          "3.5.0");
    CHECK(recorder.asked<pb::DowngradeRequest>("/etcdserverpb.Maintenance/Downgrade") ==
          "action: ENABLE version: \"3.4\"");
}

TEST_CASE("calls: alarms", "[client][calls]") {
    Recorder recorder;
    Client client = recorder.client();
    pb::AlarmResponse alarms;
    alarms.add_alarms()->set_alarm(pb::CORRUPT);
    recorder.answer(alarms);
    CHECK(client.alarm_list()->alarms.at(0).type == AlarmType::kCorrupt);
    CHECK(client.async_alarm_list(use_future).get()->alarms.size() == 1);
    CHECK(recorder.asked<pb::AlarmRequest>("/etcdserverpb.Maintenance/Alarm").empty());
    CHECK(client.alarm_disarm({5, AlarmType::kNoSpace})->alarms.size() == 1);
    CHECK(client.async_alarm_disarm({5, AlarmType::kNoSpace}, use_future).get()->alarms.size() ==
          1);
    CHECK(recorder.asked<pb::AlarmRequest>("/etcdserverpb.Maintenance/Alarm") ==
          "action: DEACTIVATE memberID: 5 alarm: NOSPACE");
}

}  // namespace cairn::client
