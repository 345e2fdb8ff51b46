#include "base/bounded_queue.h"

#include <cstdint>
#include <thread>
#include <vector>

#include "catch.h"

namespace cairn {

TEST_CASE("a queue keeps order and its byte budget", "[base][queue]") {
    BoundedQueue<int> queue(10);
    REQUIRE(queue.push(1, 100));  // alone, anything fits
    REQUIRE_FALSE(queue.push(2, 1));
    std::vector<int> taken;
    REQUIRE(queue.take_all(taken));
    REQUIRE(taken == std::vector<int>{1});
    REQUIRE(queue.push(2, 4));
    REQUIRE(queue.push(3, 6));
    REQUIRE(queue.bytes() == 10);
    REQUIRE_FALSE(queue.push(4, 1));
    queue.close();
    REQUIRE_FALSE(queue.push(5, 1));
    REQUIRE(queue.take_all(taken));
    REQUIRE(taken == std::vector<int>{2, 3});
    REQUIRE_FALSE(queue.take_all(taken));
    REQUIRE(taken.empty());
}

TEST_CASE("a poke wakes the taker with nothing", "[base][queue]") {
    BoundedQueue<int> queue(10);
    queue.poke();
    std::vector<int> taken{7};
    REQUIRE(queue.take_all(taken));
    REQUIRE(taken.empty());
}

TEST_CASE("nothing is lost between threads", "[base][queue]") {
    BoundedQueue<std::uint64_t> queue(1 << 20);
    constexpr std::uint64_t kEach = 20'000;
    constexpr std::uint64_t kWriters = 3;
    std::vector<std::thread> writers;
    for (std::uint64_t writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([&queue, writer] {
            for (std::uint64_t i = 0; i < kEach; ++i) {
                while (!queue.push(writer * kEach + i, 8)) {
                    std::this_thread::yield();
                }
            }
        });
    }
    std::vector<std::uint64_t> next{0, kEach, 2 * kEach};
    std::vector<std::uint64_t> taken;
    for (std::uint64_t seen = 0; seen < kEach * kWriters;) {
        REQUIRE(queue.take_all(taken));
        for (const std::uint64_t value : taken) {
            auto& expected = next[value / kEach];
            if (value != expected) {
                FAIL("out of order: " << value << " instead of " << expected);
            }
            ++expected;
        }
        seen += taken.size();
    }
    for (auto& writer : writers) {
        writer.join();
    }
}

}  // namespace cairn
