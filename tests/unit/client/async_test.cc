#include "client/async.h"

#include <atomic>
#include <future>
#include <thread>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "tests/unit/client/test_client.h"

namespace cairn::client {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using asio::use_future;

// The revision asked for is the one answered.
FakeReply echo_revision(const FakeRequest& request) {
    etcdserverpb::RangeRequest asked;
    // No assertion: the test's own thread may be in one.
    return range_reply(asked.ParseFromString(request.message) ? asked.revision() : -1);
}

GetOptions at_revision(std::int64_t revision) {
    GetOptions options;
    options.revision = revision;
    return options;
}

void rethrow(const std::exception_ptr& error) {
    if (error) {
        std::rethrow_exception(error);
    }
}

asio::awaitable<void> add_revisions(Client client, int calls, std::int64_t& sum) {
    for (int i = 1; i <= calls; ++i) {
        const auto got = co_await client.async_get("a", at_revision(i), use_awaitable);
        REQUIRE(got);
        sum += got->header.revision;
    }
}

// Ends with the first error.
asio::awaitable<Error> read_until_error(Client& client) {
    while (true) {
        const auto got = co_await client.async_get("a", use_awaitable);
        if (!got) {
            co_return got.error();
        }
    }
}

}  // namespace

TEST_CASE("async: a callback runs on the client's own thread", "[client][async]") {
    FakeServer server(echo_revision);
    Client client = client_for({server.endpoint()});
    struct Ran {
        std::int64_t revision = 0;
        std::thread::id thread;
    };
    std::promise<Ran> first;
    std::promise<Ran> second;
    client.async_get("a", at_revision(7), [&](Result<GetResponse> got) {
        // Async calls may be started there.
        client.async_get("a", at_revision(8), [&](Result<GetResponse> next) {
            second.set_value({next->header.revision, std::this_thread::get_id()});
        });
        first.set_value({got->header.revision, std::this_thread::get_id()});
    });
    const Ran one = first.get_future().get();
    const Ran two = second.get_future().get();
    CHECK(one.revision == 7);
    CHECK(two.revision == 8);
    CHECK(one.thread != std::this_thread::get_id());
    CHECK(two.thread == one.thread);
}

TEST_CASE("async: futures", "[client][async]") {
    FakeServer server(echo_revision);
    Client client = client_for({server.endpoint()});
    std::vector<std::future<Result<GetResponse>>> futures;
    for (int i = 0; i < 100; ++i) {
        futures.push_back(client.async_get("a", at_revision(i), use_future));
    }
    for (int i = 0; i < 100; ++i) {
        CHECK(futures[static_cast<std::size_t>(i)].get()->header.revision == i);
    }
}

TEST_CASE("async: coroutines, whose context waits for their calls", "[client][async]") {
    FakeServer server(echo_revision);
    const Client client = client_for({server.endpoint()});
    asio::io_context context{1};
    std::int64_t sum = 0;
    for (int i = 0; i < 10; ++i) {
        asio::co_spawn(context, add_revisions(client, 10, sum), rethrow);
    }
    context.run();
    CHECK(sum == 10 * 55);
}

TEST_CASE("async: a bound executor is where the handler runs", "[client][async]") {
    FakeServer server(echo_revision);
    Client client = client_for({server.endpoint()});
    asio::io_context context{1};
    bool ran = false;
    client.async_put("a", "b", asio::bind_executor(context, [&](Result<PutResponse> put) {
                         CHECK(put);
                         ran = context.get_executor().running_in_this_thread();
                     }));
    CHECK_FALSE(ran);
    context.run();  // has work until the handler ran
    CHECK(ran);
}

TEST_CASE("async: move-only handlers, deferred operations", "[client][async]") {
    FakeServer server(echo_revision);
    Client client = client_for({server.endpoint()});
    auto done = std::make_unique<std::promise<std::int64_t>>();
    std::future<std::int64_t> revision = done->get_future();
    std::string key = "a";
    auto operation = client.async_get(key, at_revision(5), asio::deferred);
    key = "b";  // the operation has the key of its own
    std::move(operation)([done = std::move(done)](Result<GetResponse> got) {
        done->set_value(got->header.revision);
    });
    CHECK(revision.get() == 5);
}

TEST_CASE("async: errors come as results", "[client][async]") {
    FakeServer server([](const FakeRequest&) { return unavailable("etcdserver: no leader"); });
    Client client = client_for({server.endpoint()});
    const auto put = client.async_put("a", "b", use_future).get();
    REQUIRE_FALSE(put);
    CHECK(put.error() == Error{GrpcCode::kUnavailable, "etcdserver: no leader", true});
    const auto got =
        client.with_timeout(std::chrono::milliseconds(80)).async_get("a", use_future).get();
    REQUIRE_FALSE(got);
    CHECK_FALSE(got.error().maybe_applied);
}

TEST_CASE("async: cancelled, a write that was sent is in doubt", "[client][async]") {
    std::atomic<bool> answers{false};
    std::promise<void> reached;
    FakeServer server([&](const FakeRequest& request) {
        if (request.path == "/etcdserverpb.KV/Put") {
            reached.set_value();
        }
        return answers ? FakeReply{} : silence();
    });
    Client client = client_for({server.endpoint()});
    asio::io_context context{1};
    asio::cancellation_signal signal;
    std::optional<Error> error;
    client.async_put("a", "b",
                     asio::bind_cancellation_slot(
                         signal.slot(), asio::bind_executor(context, [&](Result<PutResponse> put) {
                             error = put.error();
                         })));
    reached.get_future().wait();
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    CHECK(error == Error{GrpcCode::kCancelled, "context canceled", true});
    // The slot was let go, so a late signal reaches nothing.
    CHECK_FALSE(signal.slot().has_handler());

    context.restart();
    client.async_get("a",
                     asio::bind_cancellation_slot(
                         signal.slot(), asio::bind_executor(context, [&](Result<GetResponse> got) {
                             error = got.error();
                         })));
    signal.emit(asio::cancellation_type::total);
    context.run();
    CHECK(error == Error{GrpcCode::kCancelled, "context canceled", false});
    // The connection goes on.
    answers = true;
    CHECK(client.get("a"));
}

TEST_CASE("async: cancelled between two rounds, a write was surely not applied",
          "[client][async]") {
    Client client = client_for({dead_endpoint()});
    asio::io_context context{1};
    asio::cancellation_signal signal;
    std::optional<Error> error;
    client.async_put("a", "b",
                     asio::bind_cancellation_slot(
                         signal.slot(), asio::bind_executor(context, [&](Result<PutResponse> put) {
                             error = put.error();
                         })));
    signal.emit(asio::cancellation_type::all);
    context.run();
    REQUIRE(error.has_value());
    CHECK(error->code == GrpcCode::kCancelled);
    CHECK_FALSE(error->maybe_applied);
}

TEST_CASE("async: the end of the client ends its calls, each once", "[client][async]") {
    FakeServer server([](const FakeRequest&) { return silence(); });
    asio::thread_pool pool(2);
    std::atomic<int> on_pool{0};
    std::atomic<int> on_own{0};
    {
        Client client = client_for({server.endpoint()});
        for (int i = 0; i < 20; ++i) {
            client.async_get("a", asio::bind_executor(pool, [&](Result<GetResponse> got) {
                                 on_pool += got.error().code == GrpcCode::kCancelled ? 1 : 0;
                             }));
            client.async_get("a", [&](Result<GetResponse> got) {
                on_own += got.error().code == GrpcCode::kCancelled ? 1 : 0;
            });
        }
        const Client copy = client;  // NOLINT(performance-unnecessary-copy-initialization)
    }
    CHECK(on_own == 20);  // those without executor ended before the client did
    pool.join();
    CHECK(on_pool == 20);
}

TEST_CASE("async: a coroutine sees the end of the client", "[client][async]") {
    FakeServer server([](const FakeRequest&) { return silence(); });
    asio::io_context context{1};
    auto client = std::make_unique<Client>(client_for({server.endpoint()}));
    std::optional<Error> error;
    asio::co_spawn(context, read_until_error(*client),
                   [&](const std::exception_ptr& thrown, Error last) {
                       rethrow(thrown);
                       error = std::move(last);
                   });
    context.poll();
    client.reset();
    context.run();
    CHECK(error == Error{GrpcCode::kCancelled, "the client is closed", false});
}

TEST_CASE("async: an operation started after the end of its client", "[client][async]") {
    auto client = std::make_unique<Client>(client_for({dead_endpoint()}));
    auto operation = client->async_get("a", asio::deferred);
    client.reset();
    const auto got = std::move(operation)(use_future).get();
    REQUIRE_FALSE(got);
    CHECK(got.error() == Error{GrpcCode::kCancelled, "the client is closed", false});
}

TEST_CASE("async: a client that dies in its own completion", "[client][async]") {
    std::atomic<int> asked{0};
    FakeServer server([&](const FakeRequest&) { return ++asked == 1 ? silence() : FakeReply{}; });
    std::promise<void> died;
    std::promise<Error> other;
    {
        auto client = std::make_shared<Client>(client_for({server.endpoint()}));
        Client& alive = *client;
        alive.async_get("a", [&](Result<GetResponse> got) { other.set_value(got.error()); });
        alive.async_get("b", [&, owner = std::move(client)](Result<GetResponse> got) mutable {
            CHECK(got);
            owner.reset();
            died.set_value();
        });
    }
    died.get_future().wait();
    CHECK(other.get_future().get().code == GrpcCode::kCancelled);
}

TEST_CASE("async: many threads start calls of one client", "[client][async]") {
    FakeServer server(echo_revision);
    const Client shared = client_for({server.endpoint()});
    asio::thread_pool pool(2);
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            Client client = shared;
            for (int i = 0; i < 100; ++i) {
                const std::int64_t revision = thread * 1000 + i;
                client.async_get("a", at_revision(revision),
                                 asio::bind_executor(pool, [&, revision](Result<GetResponse> got) {
                                     right += got && got->header.revision == revision ? 1 : 0;
                                 }));
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    pool.join();
    CHECK(right == 400);
}

}  // namespace cairn::client
