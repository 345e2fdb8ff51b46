// One client's snapshot: how long it may stand still, for whatever reason.
#include "server/net/snapshot_stream.h"

#include <chrono>
#include <future>
#include <optional>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "tests/sim_fs/sim_fs.h"

namespace cairn::server::net {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1024U * 1024U;
constexpr wire::StreamId kStream = 1;
// What waits began after the fixture did, by as much as the machine was slow.
constexpr auto kTooLate = SnapshotStream::kStillMax + 1min;

// A session whose client takes what it is told to take.
class FakeClient final : public SnapshotStream::Client {
  public:
    void on_snapshot_message(wire::StreamId stream, std::shared_ptr<HeldAnswer> message) override {
        CHECK(stream == kStream);
        ++messages;
        queued += message->body.size();
        held.push_back(std::move(message));
    }
    void on_snapshot_end(wire::StreamId stream, wire::GrpcStatus status) override {
        CHECK(stream == kStream);
        CHECK_FALSE(ended.has_value());
        ended = std::move(status);
    }
    void take(std::size_t bytes) {
        queued -= std::min(queued, bytes);
        if (queued == 0) {
            held.clear();
        }
    }

    std::size_t messages = 0;
    std::size_t queued = 0;
    std::vector<std::shared_ptr<HeldAnswer>> held;
    std::optional<wire::GrpcStatus> ended;
};

// A snapshot of one file (and empty ones), and a stream of it.
struct Fixture {
    explicit Fixture(std::uint64_t bytes, std::size_t empty_files = 0) {
        storage::BuiltSnapshot snapshot;
        snapshot.dir = "/snap";
        REQUIRE(files.make_dirs(snapshot.dir).has_value());
        files.put_file("/snap/data", std::string(bytes, 'x'));
        snapshot.manifest.files = storage::list_snapshot_files(files, snapshot.dir).value();
        for (std::size_t number = 0; number < empty_files; ++number) {
            snapshot.manifest.files.push_back(
                {fmt::format("{:06}.sst", number), 0, Xxh3Stream().value()});
        }
        built = std::make_shared<const storage::BuiltSnapshot>(std::move(snapshot));
        const SnapshotStream::Ports ports{
            metrics, readers, budget, files,
            [this](const auto&, const SnapshotThread::OnBuilt& on_built) { on_built(built); }};
        stream = std::make_shared<SnapshotStream>(ports, reactor.get_executor(), client, kStream);
    }
    ~Fixture() {
        stream->release();
        readers.stop();
        reactor.poll();
        budget->stop();
    }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    template <class Condition>
    void run_until(Condition condition) {
        for (int turns = 0; !condition(); ++turns) {
            REQUIRE(turns < 6000);
            reactor.run_one_for(10ms);
        }
    }
    bool second(std::chrono::seconds later) {
        return stream->on_second(client->queued, begun + later);
    }

    storage::SimFs files;
    boost::asio::io_context reactor;
    const boost::asio::executor_work_guard<boost::asio::io_context::executor_type> waits_for_pool{
        reactor.get_executor()};
    Metrics metrics;
    ReadPool readers;
    std::shared_ptr<ResponseBudget> budget =
        std::make_shared<ResponseBudget>(reactor.get_executor(), 16 * kMiB);
    std::shared_ptr<const storage::BuiltSnapshot> built;
    std::shared_ptr<FakeClient> client = std::make_shared<FakeClient>();
    std::shared_ptr<SnapshotStream> stream;
    const SnapshotStream::TimePoint begun = StallWatch::Clock::now();
};

// All threads of a pool at work, and as much behind it as may wait.
class FullPool {
  public:
    explicit FullPool(ReadPool& pool) {
        const std::shared_future<void> may_end = end_.get_future().share();
        const auto begun = std::make_shared<std::counting_semaphore<>>(0);
        for (std::size_t thread = 0; thread < ReadPool::kThreads; ++thread) {
            REQUIRE(pool.submit(ReadPool::want(), [begun, may_end](bool) {
                begun->release();
                may_end.wait();
            }));
        }
        for (std::size_t thread = 0; thread < ReadPool::kThreads; ++thread) {
            REQUIRE(begun->try_acquire_for(60s));
        }
        while (pool.submit(ReadPool::want(), [may_end](bool) { may_end.wait(); })) {
        }
    }
    void end() { end_.set_value(); }

  private:
    std::promise<void> end_;
};

}  // namespace

TEST_CASE("snapshot stream: a client that takes drops is not waited for", "[net][snapshots]") {
    Fixture fixture(2 * kMiB);
    fixture.stream->begin();
    fixture.run_until([&] { return fixture.client->messages == 1; });
    for (auto at = 1s; at <= SnapshotStream::kStillMax; ++at) {
        fixture.client->take(1000);
        CHECK(fixture.second(at));
    }
    CHECK(fixture.metrics.client_snapshots_stalled == 0);
    CHECK_FALSE(fixture.second(kTooLate));
    CHECK(fixture.metrics.client_snapshots_stalled == 1);
}

TEST_CASE("snapshot stream: a slow client is waited for", "[net][snapshots]") {
    Fixture fixture(2 * kMiB);
    fixture.stream->begin();
    fixture.run_until([&] { return fixture.client->messages == 1; });
    auto at = 0s;
    while (!fixture.client->ended.has_value()) {
        fixture.client->take(4000);
        REQUIRE(fixture.second(++at));
        const std::size_t before = fixture.client->messages;
        if (fixture.client->queued <= SnapshotStream::kAheadBytes) {
            fixture.stream->on_queued(fixture.client->queued);
            fixture.run_until([&] { return fixture.client->messages > before; });
        }
    }
    CHECK(at > 5 * SnapshotStream::kStillMax);
    CHECK(fixture.client->ended->is_ok());
    CHECK(fixture.metrics.client_snapshots_stalled == 0);
}

TEST_CASE("snapshot stream: where all threads are taken it tries again", "[net][snapshots]") {
    Fixture fixture(kMiB);
    FullPool full(fixture.readers);
    fixture.stream->begin();
    CHECK(fixture.second(SnapshotStream::kStillMax - 1s));
    fixture.reactor.poll();
    CHECK_FALSE(fixture.client->ended.has_value());
    full.end();
    auto at = 0s;
    fixture.run_until([&] {
        at = std::min(at + 1s, SnapshotStream::kStillMax - 1s);
        return fixture.second(at) && fixture.client->messages == 1;
    });
    CHECK_FALSE(fixture.client->ended.has_value());
    CHECK(fixture.metrics.client_snapshots_refused == 0);
}

TEST_CASE("snapshot stream: but not for ever", "[net][snapshots]") {
    Fixture fixture(kMiB);
    FullPool full(fixture.readers);
    fixture.stream->begin();
    CHECK(fixture.second(kTooLate));
    REQUIRE(fixture.client->ended.has_value());
    CHECK(fixture.client->ended->message == "etcdserver: too many requests");
    CHECK(fixture.metrics.client_snapshots_refused == 1);
    full.end();
}

TEST_CASE("snapshot stream: it waits for room, and not for ever", "[net][snapshots]") {
    Fixture fixture(kMiB);
    REQUIRE(fixture.budget->take(14 * kMiB, kMiB));
    fixture.stream->begin();
    CHECK(fixture.budget->is_short());
    CHECK(fixture.second(SnapshotStream::kStillMax - 1s));
    CHECK(fixture.budget->is_short());
    CHECK_FALSE(fixture.client->ended.has_value());
    SECTION("there is room") {
        fixture.budget->give_back(14 * kMiB);
        fixture.run_until([&] { return fixture.client->messages == 1; });
        CHECK(fixture.second(SnapshotStream::kStillMax + 1s));
        CHECK_FALSE(fixture.client->ended.has_value());
        CHECK(fixture.metrics.client_snapshots_refused == 0);
    }
    SECTION("there is none") {
        CHECK(fixture.second(kTooLate));
        REQUIRE(fixture.client->ended.has_value());
        CHECK(fixture.client->ended->code == wire::GrpcCode::kResourceExhausted);
        CHECK(fixture.metrics.client_snapshots_refused == 1);
        fixture.budget->give_back(14 * kMiB);
    }
    CHECK_FALSE(fixture.budget->is_short());
    CHECK(fixture.metrics.response_waits == 1);
}

TEST_CASE("snapshot stream: one that waits for room is listed once", "[net][snapshots]") {
    Fixture fixture(kMiB);
    REQUIRE(fixture.budget->take(14 * kMiB, kMiB));
    fixture.stream->begin();
    for (auto at = 1s; at < 10s; ++at) {
        CHECK(fixture.second(at));
    }
    CHECK(fixture.budget->waiters() == 1);
    // Told of too little, it waits again, also for the rest.
    fixture.budget->give_back(1);
    fixture.reactor.poll();
    CHECK(fixture.budget->waiters() == 1);
    CHECK(fixture.client->messages == 0);
    fixture.budget->give_back(14 * kMiB - 1);
    fixture.run_until([&] { return fixture.client->messages == 1; });
    CHECK(fixture.budget->waiters() == 0);
    CHECK(fixture.metrics.response_waits == 1);
}

TEST_CASE("snapshot stream: the list of files counts as long as it is there", "[net][snapshots]") {
    constexpr std::size_t kFiles = 20'000;
    constexpr std::size_t kNameBytes = 10;
    Fixture fixture(kMiB, kFiles);
    fixture.stream->begin();
    fixture.run_until([&] { return fixture.client->messages == 1; });
    fixture.client->take(fixture.client->queued);
    CHECK(fixture.budget->held_bytes() > 3 * kFiles * kNameBytes);
    fixture.stream->release();
    CHECK(fixture.budget->held_bytes() == 0);
}

}  // namespace cairn::server::net
