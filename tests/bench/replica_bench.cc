// What consensus and the replica cost by themselves: disk and network are free and instant.
// Arguments of a row: puts in a batch. CPU time is that of the one thread.
#include <string>

#include <benchmark/benchmark.h>

#include "tests/unit/replica_alloc/null_world.h"

namespace cairn::server {
namespace {

constexpr int kBatchesBetweenHousekeeping = 64;

void puts(benchmark::State& state, Followers followers) {
    NullWorld world(followers);
    const Bytes request = Bytes::copy_of(std::string(280, 'x'));  // key and value of about 256
    const auto count = static_cast<std::size_t>(state.range(0));
    int batches = 0;
    for (auto _ : state) {
        world.put_batch(count, request);
        if (++batches % kBatchesBetweenHousekeeping == 0) {
            world.housekeeping();
        }
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

// The leader's part alone: its followers' answers are made up.
void leader(benchmark::State& state) { puts(state, Followers::kMadeUp); }
// The whole cluster's work, on one thread.
void three_members(benchmark::State& state) { puts(state, Followers::kReal); }

BENCHMARK(leader)->Arg(1)->Arg(64)->Arg(512);
BENCHMARK(three_members)->Arg(1)->Arg(64)->Arg(512);

}  // namespace
}  // namespace cairn::server

BENCHMARK_MAIN();
