// What a put costs a replica in allocations: its payload and nothing else; the rest is by batch.
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "catch.h"

#include "tests/unit/replica_alloc/null_world.h"

namespace {

std::atomic<std::uint64_t> allocation_count{0};

void* count_and_allocate(std::size_t bytes) {
    allocation_count.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) {
        return memory;
    }
    throw std::bad_alloc();
}

}  // namespace

// The forms with an alignment or nothrow are not used by what is counted here: GCC's nothrow forms
// call these, and nothing of the replica is over-aligned.
void* operator new(std::size_t bytes) { return count_and_allocate(bytes); }
void* operator new[](std::size_t bytes) { return count_and_allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }

namespace cairn::server {
namespace {

constexpr std::uint64_t kBatches = 256;

// Allocations of one batch of `puts` puts, when everything has grown to its working size.
double allocations_a_batch(Followers followers, std::size_t puts) {
    NullWorld world(followers);
    const Bytes request = Bytes::copy_of(std::string(280, 'x'));
    const auto run = [&] {
        world.housekeeping();
        for (std::uint64_t i = 0; i < kBatches; ++i) {
            world.put_batch(puts, request);
        }
    };
    run();
    run();
    const std::uint64_t before = allocation_count.load();
    run();
    return static_cast<double>(allocation_count.load() - before) / kBatches;
}

TEST_CASE("the counter counts", "[replica][alloc]") {
    const std::uint64_t before = allocation_count.load();
    const Bytes bytes = Bytes::copy_of("x");
    CHECK(allocation_count.load() == before + 1);
    CHECK(bytes.size() == 1);
}

TEST_CASE("a put allocates its payload and nothing else", "[replica][alloc]") {
    const auto followers = GENERATE(Followers::kMadeUp, Followers::kReal);
    const double small = allocations_a_batch(followers, 64);
    const double large = allocations_a_batch(followers, 512);
    INFO("allocations of a batch: " << small << " of 64 puts, " << large << " of 512 puts");
    // What is left is for the vectors that leave with a batch.
    CHECK(large - small <= (512 - 64) * 1.001);
    CHECK(small - 64 < (followers == Followers::kMadeUp ? 6 : 12));
}

}  // namespace
}  // namespace cairn::server
