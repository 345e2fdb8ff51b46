#include "server/net/pace.h"

#include <chrono>

#include "catch.h"

namespace cairn::server::net {

using namespace std::chrono_literals;

TEST_CASE("pace: what comes at once goes one after the other", "[net]") {
    Pace pace(1'000'000);
    const Pace::Clock::time_point now(1h);
    CHECK(pace.next(now, 1000) == now);
    CHECK(pace.next(now, 2000) == now + 1ms);
    CHECK(pace.next(now, 1000) == now + 3ms);
    // Who is late does not catch up: that would be the burst again.
    CHECK(pace.next(now + 1s, 5000) == now + 1s);
    CHECK(pace.next(now + 1s, 5000) == now + 1s + 5ms);
}

TEST_CASE("pace: no rate is no pause, and none is longer than the bound", "[net]") {
    const Pace::Clock::time_point now(1h);
    Pace free(0);
    CHECK(free.next(now, 1U << 30U) == now);
    CHECK(free.next(now, 1U << 30U) == now);
    Pace slow(1);
    CHECK(slow.next(now, 1U << 30U) == now);
    CHECK(slow.next(now, 1) == now + Pace::kPauseMax);
}

}  // namespace cairn::server::net
