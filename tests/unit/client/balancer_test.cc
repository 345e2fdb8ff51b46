#include "client/balancer.h"

#include <array>
#include <atomic>

#include "tests/unit/client/test_client.h"

namespace cairn::client {
namespace {

// Three servers that count what they are asked, and answer as told.
struct Three {
    std::array<std::atomic<int>, 3> asked{};
    std::array<std::atomic<bool>, 3> well{true, true, true};
    FakeServer::Handler handler(std::size_t number) {
        return [this, number](const FakeRequest&) {
            ++asked[number];
            return well[number] ? FakeReply{} : unavailable("etcdserver: no leader");
        };
    }
    FakeServer a{handler(0)};
    FakeServer b{handler(1)};
    FakeServer c{handler(2)};

    Client client() { return client_for({a.endpoint(), b.endpoint(), c.endpoint()}); }
};

}  // namespace

TEST_CASE("balancer: calls go round the endpoints", "[client][balancer]") {
    Three three;
    Client client = three.client();
    CHECK(client.get("a"));
    CHECK(three.asked[0] == 1);  // the first call begins at the first
    for (int i = 0; i < 8; ++i) {
        CHECK(client.get("a"));
    }
    for (int i = 0; i < 9; ++i) {
        CHECK(client.put("a", "b"));
    }
    CHECK(three.asked[0] == 6);
    CHECK(three.asked[1] == 6);
    CHECK(three.asked[2] == 6);
}

TEST_CASE("balancer: an endpoint that failed is passed over", "[client][balancer]") {
    Three three;
    three.well[1] = false;
    Client client = three.client();
    for (int i = 0; i < 3; ++i) {
        CHECK(client.get("a"));
    }
    CHECK(three.asked[1] == 1);
    // Writes too stay away from it, and succeed, though none may be repeated.
    for (int i = 0; i < 10; ++i) {
        CHECK(client.put("a", "b"));
    }
    CHECK(three.asked[1] == 1);
}

TEST_CASE("balancer: when all fail all are asked, and the one that recovers answers",
          "[client][balancer]") {
    Three three;
    three.well[0] = three.well[1] = three.well[2] = false;
    Client client = three.client();
    const auto got = client.with_timeout(std::chrono::milliseconds(300)).get("a");
    REQUIRE_FALSE(got);
    CHECK_FALSE(got.error().maybe_applied);
    // More than one round, each over all.
    CHECK(three.asked[0] >= 2);
    CHECK(std::abs(three.asked[0] - three.asked[2]) <= 1);
    three.well[2] = true;
    CHECK(client.get("a"));
    const int before = three.asked[0];
    CHECK(client.put("a", "b"));  // to the one that is well
    CHECK(three.asked[0] == before);
}

TEST_CASE("balancer: of learners alone nothing is waited for", "[client][balancer]") {
    const std::string refusal = "etcdserver: rpc not supported for learner";
    std::atomic<int> asked{0};
    const auto refuse = [&](const FakeRequest&) {
        ++asked;
        return unavailable(refusal);
    };
    FakeServer a(refuse);
    FakeServer b(refuse);
    const auto check_refused = [&](Client client) {
        CHECK(client.put("a", "b").error() == Error{GrpcCode::kUnavailable, refusal, false});
        CHECK(client.get("a").error() == Error{GrpcCode::kUnavailable, refusal, false});
    };
    check_refused(client_for({a.endpoint()}));
    CHECK(asked == 2);
    check_refused(client_for({a.endpoint(), b.endpoint()}));
    CHECK(asked == 2 + 4);
    // Another one may be back in time.
    std::atomic<int> calls{0};
    FakeServer busy([&](const FakeRequest&) {
        return ++calls < 3 ? unavailable("etcdserver: no leader") : FakeReply{};
    });
    CHECK(client_for({a.endpoint(), busy.endpoint()}).get("a"));
    CHECK(calls == 3);
    // Also one that cannot be reached now.
    asked = 0;
    const auto put = client_for({a.endpoint(), dead_endpoint()})
                         .with_timeout(std::chrono::milliseconds(500))
                         .put("a", "b");
    CHECK_FALSE(put);
    CHECK(asked > 1);
}

TEST_CASE("balancer: an endpoint that never answers costs one deadline", "[client][balancer]") {
    std::atomic<int> lost{0};
    FakeServer dumb([&](const FakeRequest&) {
        ++lost;
        return silence();
    });
    FakeServer well([](const FakeRequest&) { return FakeReply{}; });
    Client client =
        client_for({dumb.endpoint(), well.endpoint()}).with_timeout(std::chrono::milliseconds(200));
    const auto put = client.put("a", "b");
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kDeadlineExceeded, "context deadline exceeded", true});
    for (int i = 0; i < 5; ++i) {
        CHECK(client.put("a", "b"));
    }
    CHECK(lost == 1);
}

TEST_CASE("balancer: a transaction that only reads is repeated, one that writes is not",
          "[client][balancer]") {
    Three three;
    three.well[0] = false;
    const auto reading = [](Client& client) {
        const TxnRequest nested = client.txn().then(op::get("n")).request();
        return client.txn().when(cmp::exists("k")).then(op::get("k")).otherwise(op::txn(nested));
    };
    Client client = three.client();
    CHECK(reading(client).commit());
    CHECK(three.asked[0] == 1);
    CHECK(three.asked[1] == 1);

    const TxnRequest writes = client.txn().then(op::del("n")).request();
    Client other = three.client();
    const auto put = reading(other).then(op::txn(writes)).commit();
    REQUIRE_FALSE(put);
    CHECK(put.error().maybe_applied);
    CHECK(three.asked[0] == 2);
}

TEST_CASE("balancer: a call in two steps, cancelled in the second", "[client][balancer]") {
    FakeServer server([](const FakeRequest&) { return silence(); });
    std::atomic<int> ends{0};
    {
        IoThread io;
        Balancer balancer(io, {*parse_endpoint(server.endpoint())}, {});
        const auto call =
            Balancer::prepare({.method = wire::MethodId::kKvPut, .message = Bytes::copy_of("x")},
                              [&](Result<Bytes> answer) {
                                  ends += answer.error().code == GrpcCode::kCancelled ? 1 : 100;
                              });
        balancer.start(call);
        balancer.cancel(call);
        balancer.cancel(call);
    }
    CHECK(ends == 1);
}

}  // namespace cairn::client
