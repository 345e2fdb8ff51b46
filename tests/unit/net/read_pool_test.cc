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

}  // namespace
}  // namespace cairn::server::net
