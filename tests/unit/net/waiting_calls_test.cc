// Who waits for room, in which order they get it, and who is not forgotten.
#include "server/net/waiting_calls.h"

#include <memory>
#include <optional>
#include <vector>

#include "catch.h"
#include <boost/asio/io_context.hpp>

#include "server/net/stall_watch.h"

namespace cairn::server::net {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1024U * 1024U;

// A session as far as waiting goes: it runs whatever there is room for.
struct Session : ResponseBudget::Waiter, std::enable_shared_from_this<Session> {
    explicit Session(const std::shared_ptr<ResponseBudget>& budget) : waiting(budget) {}

    void on_room() override {
        ++told;
        waiting.on_told();
        while (const auto stream = waiting.take_fed(weak_from_this())) {
            ran.push_back(*stream);
        }
    }
    void starve(wire::StreamId stream, std::uint64_t claim) {
        waiting.starve(stream, claim, weak_from_this());
    }

    WaitingCalls waiting;
    std::vector<wire::StreamId> ran;
    int told = 0;
};

struct Fixture {
    boost::asio::io_context reactor;
    std::shared_ptr<ResponseBudget> budget =
        std::make_shared<ResponseBudget>(reactor.get_executor(), 16 * kMiB);
    std::shared_ptr<Session> session = std::make_shared<Session>(budget);

    void run() {
        reactor.restart();
        reactor.run();
    }
};

}  // namespace

TEST_CASE("calls get room in the order of their streams", "[net][waiting_calls]") {
    Fixture given;
    REQUIRE(given.budget->take(14 * kMiB, 14 * kMiB));
    given.session->starve(5, kMiB);
    given.session->starve(3, 4 * kMiB);
    given.session->starve(7, kMiB);
    CHECK(given.session->waiting.starved() == std::vector<wire::StreamId>{3, 5, 7});
    CHECK(given.budget->is_short());
    given.run();
    CHECK(given.session->ran.empty());
    given.budget->give_back(2 * kMiB);  // not enough for the first, which keeps the others back
    given.run();
    CHECK(given.session->ran.empty());
    given.budget->give_back(2 * kMiB);
    given.run();
    CHECK(given.session->ran == std::vector<wire::StreamId>{3, 5, 7});
    CHECK_FALSE(given.budget->is_short());
    given.budget->give_back(10 * kMiB);
}

TEST_CASE("when the first leaves, the next is looked at", "[net][waiting_calls]") {
    Fixture given;
    REQUIRE(given.budget->take(10 * kMiB, 10 * kMiB));
    given.session->starve(1, 8 * kMiB);
    given.session->starve(3, kMiB);
    given.run();
    CHECK(given.session->ran.empty());
    given.session->waiting.remove(1);
    given.run();
    CHECK(given.session->ran == std::vector<wire::StreamId>{3});
    given.budget->give_back(10 * kMiB);
}

TEST_CASE("one that leaves from the middle tells nobody", "[net][waiting_calls]") {
    Fixture given;
    REQUIRE(given.budget->take(10 * kMiB, 10 * kMiB));
    given.session->starve(1, 8 * kMiB);
    given.session->starve(3, 6 * kMiB);
    given.session->waiting.remove(3);
    given.session->waiting.remove(99);
    given.run();
    CHECK(given.session->told == 0);
    CHECK(given.session->waiting.starved() == std::vector<wire::StreamId>{1});
    given.session.reset();
    CHECK_FALSE(given.budget->is_short());
    given.budget->give_back(10 * kMiB);
}

TEST_CASE("room that came while nobody asked is not missed", "[net][waiting_calls]") {
    Fixture given;
    given.session->starve(1, kMiB);  // there is room already
    given.run();
    CHECK(given.session->ran == std::vector<wire::StreamId>{1});
}

TEST_CASE("held calls come in the order of their streams", "[net][waiting_calls]") {
    Fixture given;
    auto& waiting = given.session->waiting;
    waiting.hold(9);
    waiting.hold(3);
    waiting.hold(5);
    waiting.remove(5);
    REQUIRE(waiting.has_held());
    CHECK(waiting.take_held() == 3);
    CHECK(waiting.take_held() == 9);
    CHECK_FALSE(waiting.has_held());
}

TEST_CASE("a client that takes next to nothing for ten seconds is stalled", "[net][stall_watch]") {
    const StallWatch::Clock::time_point start{1h};
    constexpr std::size_t kWaits = 1'000'000;
    StallWatch watch(start);
    CHECK_FALSE(watch.is_stalled(0, start + 5s));  // nothing waited till then
    CHECK_FALSE(watch.is_stalled(kWaits, start + 14s));
    watch.on_taken(StallWatch::kTakenBytesMin - 1);
    CHECK(watch.is_stalled(kWaits, start + 15s));
    watch.on_taken(1);
    CHECK_FALSE(watch.is_stalled(kWaits, start + 16s));
    CHECK_FALSE(watch.is_stalled(kWaits, start + 25s));
    CHECK(watch.is_stalled(kWaits, start + 26s));
    CHECK_FALSE(watch.is_stalled(StallWatch::kWaitingBytesMin - 1, start + 27s));
    // Of much it must take more.
    constexpr std::size_t kMuch = 600'000'000;
    watch.on_taken(9'999'999);
    CHECK(watch.is_stalled(kMuch, start + 37s));
    watch.on_taken(1);
    CHECK_FALSE(watch.is_stalled(kMuch, start + 38s));
}

}  // namespace cairn::server::net
