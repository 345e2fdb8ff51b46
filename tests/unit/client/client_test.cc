#include "client/client.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "catch.h"

#include "client/channel.h"
#include "client/retry.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/test_client.h"

namespace cairn::client {
namespace {

using Kind = FakeReply::Kind;

}  // namespace

TEST_CASE("client: every option of a get is in the request", "[client]") {
    etcdserverpb::RangeRequest seen;
    std::string path;
    FakeServer server([&](const FakeRequest& request) {
        path = request.path;
        CHECK(request.timeout_ns.value_or(0) > 0);
        CHECK(request.timeout_ns.value_or(0) <= 5'000'000'000);
        CHECK(seen.ParseFromString(request.message));
        etcdserverpb::RangeResponse response;
        response.mutable_header()->set_cluster_id(1);
        response.mutable_header()->set_member_id(2);
        response.mutable_header()->set_revision(3);
        response.mutable_header()->set_raft_term(4);
        mvccpb::KeyValue* kv = response.add_kvs();
        kv->set_key(std::string("k\0", 2));
        kv->set_value("v");
        kv->set_create_revision(5);
        kv->set_mod_revision(6);
        kv->set_version(7);
        kv->set_lease(8);
        response.set_more(true);
        response.set_count(9);
        return FakeReply{Kind::kAnswer, {}, response.SerializeAsString(), {}};
    });
    Client client = client_for({server.endpoint()});
    GetOptions options;
    options.range_end = "z";
    options.limit = 1;
    options.revision = 2;
    options.sort_order = SortOrder::kDescend;
    options.sort_target = SortTarget::kMod;
    options.serializable = true;
    options.keys_only = true;
    options.count_only = true;
    options.min_mod_revision = 3;
    options.max_mod_revision = 4;
    options.min_create_revision = 5;
    options.max_create_revision = 6;
    const Result<GetResponse> response = client.get("a", options);
    REQUIRE(response);
    CHECK(path == "/etcdserverpb.KV/Range");
    CHECK(seen.ShortDebugString() ==
          "key: \"a\" range_end: \"z\" limit: 1 revision: 2 sort_order: DESCEND sort_target: MOD "
          "serializable: true keys_only: true count_only: true min_mod_revision: 3 "
          "max_mod_revision: 4 min_create_revision: 5 max_create_revision: 6");
    CHECK(response->header.cluster_id == 1);
    CHECK(response->header.member_id == 2);
    CHECK(response->header.revision == 3);
    CHECK(response->header.raft_term == 4);
    REQUIRE(response->kvs.size() == 1);
    CHECK(response->kvs[0].key == std::string("k\0", 2));
    CHECK(response->kvs[0].value == "v");
    CHECK(response->kvs[0].create_revision == 5);
    CHECK(response->kvs[0].mod_revision == 6);
    CHECK(response->kvs[0].version == 7);
    CHECK(response->kvs[0].lease == 8);
    CHECK(response->more);
    CHECK(response->count == 9);
}

TEST_CASE("client: a nested transaction there and back", "[client]") {
    etcdserverpb::TxnRequest seen;
    FakeServer server([&](const FakeRequest& request) {
        CHECK(seen.ParseFromString(request.message));
        etcdserverpb::TxnResponse response;
        response.set_succeeded(true);
        response.add_responses()->mutable_response_put()->mutable_prev_kv()->set_key("old");
        response.add_responses()->mutable_response_delete_range()->set_deleted(2);
        response.add_responses()
            ->mutable_response_txn()
            ->add_responses()
            ->mutable_response_range()
            ->set_count(5);
        return FakeReply{Kind::kAnswer, {}, response.SerializeAsString(), {}};
    });
    Client client = client_for({server.endpoint()});
    auto nested = std::make_shared<TxnRequest>();
    nested->success.push_back(GetOp{"g", {}});
    TxnRequest txn;
    txn.compares = {{"k", "", CompareTarget::kMod, CompareResult::kGreater, 7, ""},
                    {"k", "z", CompareTarget::kValue, CompareResult::kNotEqual, 0, "x"}};
    txn.success = {PutOp{"a", "b", {.lease = 1, .prev_kv = true}}, DeleteOp{"d", {}}, nested};
    txn.failure = {GetOp{"f", {}}};
    const Result<TxnResponse> response = client.txn(txn);
    REQUIRE(response);
    CHECK(seen.ShortDebugString() ==
          "compare { result: GREATER target: MOD key: \"k\" mod_revision: 7 } "
          "compare { result: NOT_EQUAL target: VALUE key: \"k\" value: \"x\" range_end: \"z\" } "
          "success { request_put { key: \"a\" value: \"b\" lease: 1 prev_kv: true } } "
          "success { request_delete_range { key: \"d\" } } "
          "success { request_txn { success { request_range { key: \"g\" } } } } "
          "failure { request_range { key: \"f\" } }");
    CHECK(response->succeeded);
    REQUIRE(response->responses.size() == 3);
    CHECK(std::get<PutResponse>(response->responses[0]).prev_kv->key == "old");
    CHECK(std::get<DeleteResponse>(response->responses[1]).deleted == 2);
    const auto inner = std::get<std::shared_ptr<const TxnResponse>>(response->responses[2]);
    CHECK(std::get<GetResponse>(inner->responses.at(0)).count == 5);
}

TEST_CASE("client: a server's error arrives with code and text", "[client]") {
    FakeServer server([](const FakeRequest&) {
        return FakeReply{
            Kind::kAnswer,
            {GrpcCode::kOutOfRange, "etcdserver: mvcc: required revision is 100% gone"},
            {},
            {}};
    });
    Client client = client_for({server.endpoint()});
    const Result<PutResponse> response = client.put("a", "b");
    REQUIRE_FALSE(response);
    CHECK(response.error() ==
          Error{GrpcCode::kOutOfRange, "etcdserver: mvcc: required revision is 100% gone", false});
}

TEST_CASE("client: dead endpoints are passed over, also for writes", "[client]") {
    FakeServer server([](const FakeRequest&) { return FakeReply{Kind::kAnswer, {}, "", {}}; });
    Client client = client_for({dead_endpoint(), dead_endpoint(), server.endpoint()});
    CHECK(client.put("a", "b"));
    CHECK(client.get("a"));
}

TEST_CASE("client: nobody can be reached", "[client]") {
    const std::string endpoint = dead_endpoint();
    Client client = client_for({endpoint});
    const Result<PutResponse> response = client.put("a", "b");
    REQUIRE_FALSE(response);
    CHECK(response.error() ==
          Error{GrpcCode::kUnavailable,
                "connection error: dial tcp " + endpoint + ": connection refused", false});
}

TEST_CASE("client: a read goes on elsewhere, an ambiguous write does not", "[client]") {
    std::atomic<int> first_asked{0};
    FakeServer first([&](const FakeRequest&) {
        ++first_asked;
        return unavailable("etcdserver: no leader");
    });
    FakeServer second([](const FakeRequest&) { return range_reply(7); });
    Client client = client_for({first.endpoint(), second.endpoint()});
    const Result<GetResponse> get = client.get("a");
    REQUIRE(get);
    CHECK(get->header.revision == 7);
    CHECK(first_asked == 1);
    Client other = client_for({first.endpoint(), second.endpoint()});
    const Result<PutResponse> put = other.put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kUnavailable, "etcdserver: no leader", true});
    CHECK(first_asked == 2);
}

TEST_CASE("client: a refused stream was never looked at, a reset one may have been", "[client]") {
    std::atomic<int> asked{0};
    wire::H2Code code = wire::H2Code::kRefusedStream;
    FakeServer server([&](const FakeRequest&) {
        ++asked;
        return asked == 1 ? FakeReply{Kind::kReset, {}, {}, code} : FakeReply{};
    });
    Client client = client_for({server.endpoint()});
    CHECK(client.put("a", "b"));
    CHECK(asked == 2);

    asked = 0;
    code = wire::H2Code::kInternalError;
    const Result<PutResponse> put = client.put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error().maybe_applied);
    CHECK(asked == 1);
}

TEST_CASE("client: a connection that breaks under a write leaves it in doubt", "[client]") {
    std::atomic<int> asked{0};
    std::size_t last_connection = 0;
    FakeServer server([&](const FakeRequest& request) {
        last_connection = request.connection;
        ++asked;
        return asked == 1 ? FakeReply{Kind::kClose, {}, {}, {}} : FakeReply{};
    });
    Client client = client_for({server.endpoint()});
    const Result<PutResponse> broken = client.put("a", "b");
    REQUIRE_FALSE(broken);
    CHECK(broken.error().code == GrpcCode::kUnavailable);
    CHECK(broken.error().maybe_applied);
    CHECK(asked == 1);
    // And the next call dials again.
    CHECK(client.put("a", "b"));
    CHECK(last_connection == 2);
    // A read is simply sent again.
    asked = 0;
    CHECK(client.get("a"));
    CHECK(asked == 2);
    CHECK(last_connection == 3);
}

TEST_CASE("client: after GOAWAY calls go over a new connection", "[client]") {
    std::vector<std::size_t> connections;
    FakeServer server([&](const FakeRequest& request) {
        connections.push_back(request.connection);
        FakeReply reply;
        reply.kind = connections.size() == 1 ? Kind::kGoAway : Kind::kAnswer;
        return reply;
    });
    Client client = client_for({server.endpoint()});
    CHECK(client.put("a", "1"));
    CHECK(client.put("a", "2"));
    CHECK(client.put("a", "3"));
    CHECK(connections == std::vector<std::size_t>{1, 2, 2});
}

TEST_CASE("client: the deadline ends a call that nobody answers", "[client]") {
    FakeServer server([](const FakeRequest&) { return FakeReply{Kind::kSilence, {}, {}, {}}; });
    ClientOptions options = options_for({server.endpoint()});
    options.request_timeout = std::chrono::milliseconds(50);
    Result<Client> client = Client::connect(options);
    REQUIRE(client);
    const Result<PutResponse> put = client->put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", true});
    const Result<GetResponse> get = client->get("a");
    REQUIRE_FALSE(get);
    CHECK(get.error() == Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", false});
}

TEST_CASE("client: an answer that does not parse is an error", "[client]") {
    FakeServer server([](const FakeRequest&) {
        return FakeReply{Kind::kAnswer, {}, "\xff\xff", {}};
    });
    Client client = client_for({server.endpoint()});
    const Result<GetResponse> get = client.get("a");
    REQUIRE_FALSE(get);
    CHECK(get.error().code == GrpcCode::kInternal);
}

TEST_CASE("client: threads share one client", "[client]") {
    FakeServer server([](const FakeRequest& request) {
        etcdserverpb::RangeRequest asked;
        CHECK(asked.ParseFromString(request.message));
        return range_reply(asked.revision());
    });
    Client client = client_for({server.endpoint()});
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (int i = 1; i <= 50; ++i) {
                GetOptions options;
                options.revision = thread * 1000 + i;
                const Result<GetResponse> got = client.get("a", options);
                right += got && got->header.revision == options.revision ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(right == 200);
}

TEST_CASE("channel: many calls in flight on one connection", "[client][channel]") {
    std::set<std::size_t> connections;
    FakeServer server([&](const FakeRequest& request) {
        connections.insert(request.connection);
        return FakeReply{Kind::kAnswer, {}, request.message, {}};
    });
    constexpr int kCalls = 2000;
    const Endpoint endpoint = *parse_endpoint(server.endpoint());
    std::mutex mutex;
    std::condition_variable all_done;
    int done = 0;
    int right = 0;
    {
        IoThread io;
        Channel channel(io, endpoint, {});
        for (int i = 0; i < kCalls; ++i) {
            const std::string message = "message " + std::to_string(i);
            channel.call(
                {wire::MethodId::kKvPut, Bytes::copy_of(message)}, [&, message](CallResult result) {
                    const std::lock_guard lock(mutex);
                    right += result.status.is_ok() && result.message.view() == message ? 1 : 0;
                    if (++done == kCalls) {
                        all_done.notify_one();
                    }
                });
        }
        std::unique_lock lock(mutex);
        all_done.wait(lock, [&] { return done == kCalls; });
    }
    CHECK(right == kCalls);
    CHECK(connections.size() == 1);
}

TEST_CASE("channel: destroyed under way, each call still ends once", "[client][channel]") {
    FakeServer server([](const FakeRequest&) { return FakeReply{Kind::kSilence, {}, {}, {}}; });
    const Endpoint endpoint = *parse_endpoint(server.endpoint());
    std::atomic<int> cancelled{0};
    {
        IoThread io;
        Channel channel(io, endpoint, {});
        for (int i = 0; i < 10; ++i) {
            channel.call({wire::MethodId::kKvPut, Bytes::copy_of("x")}, [&](CallResult result) {
                cancelled += result.status.code == GrpcCode::kCancelled ? 1 : 0;
            });
        }
    }
    CHECK(cancelled == 10);
}

TEST_CASE("channel: the bound on calls under way", "[client][channel]") {
    FakeServer server([](const FakeRequest&) { return FakeReply{Kind::kSilence, {}, {}, {}}; });
    const Endpoint endpoint = *parse_endpoint(server.endpoint());
    std::atomic<int> refused{0};
    {
        IoThread io;
        ChannelOptions options;
        options.calls_max = 3;
        Channel channel(io, endpoint, options);
        for (int i = 0; i < 5; ++i) {
            channel.call({wire::MethodId::kKvPut, Bytes::copy_of("x")}, [&](CallResult result) {
                refused +=
                    result.status.code == GrpcCode::kResourceExhausted && !result.sent ? 1 : 0;
            });
        }
    }
    CHECK(refused == 2);
}

TEST_CASE("client: endpoints as people write them", "[client][endpoint]") {
    CHECK(parse_endpoint("127.0.0.1:2379")->authority() == "127.0.0.1:2379");
    CHECK(parse_endpoint("http://localhost:1")->host == "localhost");
    CHECK(parse_endpoint("HTTP://localhost:1/")->port == 1);
    CHECK(parse_endpoint("http://localhost:1/v3?x#y")->authority() == "localhost:1");
    CHECK(parse_endpoint("[::1]:2379")->host == "::1");
    CHECK(parse_endpoint("[::1]:2379")->authority() == "[::1]:2379");
    for (const char* bad :
         {"", ":1", "a", "a:", "a:0", "a:65536", "a:x", "::1:1", "[::1]", "[::1:1", "https://a:1",
          "unix:///a", "http://a", "http://a/:1", "a:1/"}) {
        INFO(bad);
        CHECK_FALSE(parse_endpoint(bad));
    }
    CHECK(parse_endpoint("https://a:1").error().message ==
          "endpoint \"https://a:1\": TLS is not supported yet");
    CHECK(Client::connect({.endpoints = {}}).error().message == "no endpoints");
}

TEST_CASE("client: what may be repeated", "[client][retry]") {
    const auto result = [](GrpcCode code, bool sent, const char* text = "") {
        return CallResult{{code, text}, {}, sent};
    };
    CHECK(may_repeat(CallKind::kRead, result(GrpcCode::kUnavailable, true)));
    CHECK(may_repeat(CallKind::kRead, result(GrpcCode::kUnavailable, false)));
    CHECK_FALSE(may_repeat(CallKind::kWrite, result(GrpcCode::kUnavailable, true)));
    CHECK(may_repeat(CallKind::kWrite, result(GrpcCode::kUnavailable, false)));
    CHECK(may_repeat(CallKind::kWrite, result(GrpcCode::kUnavailable, true,
                                              "etcdserver: rpc not supported for learner")));
    for (const GrpcCode code :
         {GrpcCode::kUnknown, GrpcCode::kDeadlineExceeded, GrpcCode::kInternal,
          GrpcCode::kOutOfRange, GrpcCode::kResourceExhausted}) {
        CHECK_FALSE(may_repeat(CallKind::kRead, result(code, true)));
        CHECK_FALSE(may_repeat(CallKind::kRead, result(code, false)));
    }
    CHECK(error_of(CallKind::kWrite, result(GrpcCode::kUnknown, true)).maybe_applied);
    CHECK_FALSE(error_of(CallKind::kWrite, result(GrpcCode::kUnknown, false)).maybe_applied);
    CHECK_FALSE(error_of(CallKind::kRead, result(GrpcCode::kUnknown, true)).maybe_applied);
    CHECK_FALSE(error_of(CallKind::kWrite, result(GrpcCode::kNotFound, true)).maybe_applied);
}

TEST_CASE("client: the end of a prefix", "[client]") {
    CHECK(prefix_end("a") == "b");
    CHECK(prefix_end("a\xff") == "b");
    CHECK(prefix_end("ab") == "ac");
    CHECK(prefix_end("\xff\xff") == std::string(1, '\0'));
    CHECK(prefix_end("") == std::string(1, '\0'));
}

}  // namespace cairn::client
