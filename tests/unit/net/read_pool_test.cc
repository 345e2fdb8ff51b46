// The pool's threads are for everybody.
#include "server/net/read_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <latch>
#include <memory>
#include <vector>

#include "catch.h"

namespace cairn::server::net {
namespace {

using namespace std::chrono_literals;
using Pace = ReadPool::Pace;

constexpr std::ptrdiff_t kHashes = 5;

// Reads that end when they are told to.
struct Hashes {
    std::promise<void> end;
    std::shared_future<void> ended{end.get_future()};
    std::atomic<std::size_t> running = 0;
    std::atomic<std::size_t> most = 0;
    std::atomic<std::size_t> wanted = 0;
    std::latch done{kHashes};

    [[nodiscard]] auto one() {
        return [this](bool still_wanted) {
            most = std::max<std::size_t>(most, ++running);
            ended.wait();
            wanted += still_wanted ? 1U : 0U;
            --running;
            done.count_down();
        };
    }
};

TEST_CASE("of reads that go one by one none takes the other thread", "[net][read_pool]") {
    Hashes hashes;
    ReadPool pool;
    std::vector<ReadPool::Wanted> wanted;
    for (std::ptrdiff_t i = 0; i < kHashes; ++i) {
        wanted.push_back(ReadPool::want());
        REQUIRE(pool.submit(wanted.back(), hashes.one(), Pace::kOneByOne));
    }
    const auto listed = std::make_shared<std::promise<void>>();
    REQUIRE(pool.submit(ReadPool::want(), [listed](bool) { listed->set_value(); }));
    CHECK(listed->get_future().wait_for(10s) == std::future_status::ready);
    // Those that wait are asked before they run whether somebody still wants them.
    *wanted.back() = false;
    hashes.end.set_value();
    hashes.done.wait();
    pool.stop();
    CHECK(hashes.most == 1);
    CHECK(hashes.wanted == kHashes - 1);
}

// Whoever asks again after a timeout has left one behind each time.
TEST_CASE("of reads that go one by one few may wait, and those of nobody for nobody",
          "[net][read_pool]") {
    constexpr std::size_t kPlaces = 64;
    std::shared_future<void> ended;
    std::atomic<std::size_t> wanted_runs = 0;
    std::atomic<std::size_t> unwanted = 0;
    std::promise<void> all_unwanted;
    const auto read = [&](bool wanted) {
        if (!wanted) {
            if (++unwanted == kPlaces - 2) {
                all_unwanted.set_value();
            }
            return;
        }
        ended.wait();
        ++wanted_runs;
    };
    ReadPool pool;
    std::promise<void> end;  // goes before the pool, and nothing waits any more
    ended = end.get_future();
    std::vector<ReadPool::Wanted> wanted;
    for (std::size_t i = 0; i < kPlaces; ++i) {
        wanted.push_back(ReadPool::want());
        REQUIRE(pool.submit(wanted.back(), read, Pace::kOneByOne));
    }
    REQUIRE_FALSE(pool.submit(ReadPool::want(), read, Pace::kOneByOne));
    std::promise<void> listed;
    REQUIRE(pool.submit(ReadPool::want(), [&listed](bool) { listed.set_value(); }));
    listed.get_future().wait();
    // All but the one that runs and the last.
    for (std::size_t i = 1; i + 1 < kPlaces; ++i) {
        *wanted[i] = false;
    }
    REQUIRE(pool.submit(ReadPool::want(), read, Pace::kOneByOne));
    REQUIRE(all_unwanted.get_future().wait_for(10s) == std::future_status::ready);
    CHECK(wanted_runs == 0);
    std::promise<void> last;
    REQUIRE(pool.submit(
        ReadPool::want(), [&last](bool) { last.set_value(); }, Pace::kOneByOne));
    end.set_value();
    last.get_future().wait();
    CHECK(wanted_runs == 3);
    pool.stop();
}

}  // namespace
}  // namespace cairn::server::net
