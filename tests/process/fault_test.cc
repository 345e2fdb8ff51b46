// cairn_fault_test: real nodes under every fault of fault_run.cc, one after the other in random
// order, while clients write and read; nothing acknowledged may be lost, the history must be
// linearizable and all members equal at the end. Usage:
// cairn_fault_test --server=CAIRND [--nodes=N] [--seed=N] [--seconds=N] [--only=KIND]
// [--judge-times] Each kind of fault once, and more until the time is over. With --judge-times it
// also fails when writes stood still for too long: only a machine of its own can promise that.
#include <chrono>
#include <vector>

#include <fmt/format.h>

#include "process/fault_run.h"
#include "process/flags.h"

namespace cairn::process {
namespace {

// A follower's patience is one to two timeouts; a lost election adds as much again.
constexpr double kMedianTimeoutsMax = 2;
constexpr double kTimeoutsMax = 6;

std::vector<FaultRun::Kind> kinds_of(const Flags& flags) {
    std::vector<FaultRun::Kind> kinds(FaultRun::kinds().begin(), FaultRun::kinds().end());
    if (flags.has("--only")) {
        std::erase_if(kinds, [&](const auto& kind) { return kind.name != flags.text("--only"); });
    }
    if (kinds.empty()) {
        throw Failure{"no such fault: " + flags.text("--only")};
    }
    return kinds;
}

void run_test(FaultRun& run, const Flags& flags) {
    const auto end = Clock::now() + std::chrono::seconds(flags.number("--seconds", 0));
    Prng prng = Prng(flags.number("--seed", 1)).split("order");
    const auto kinds = kinds_of(flags);
    std::vector<FaultRun::Kind> left;
    run.begin();
    for (std::size_t struck = 0; struck < kinds.size() || Clock::now() < end; ++struck) {
        if (left.empty()) {
            left = kinds;
        }
        const auto drawn = left.begin() + static_cast<std::ptrdiff_t>(prng.below(left.size()));
        run.strike(*drawn);
        left.erase(drawn);
    }
    if (const auto wrong = run.finish()) {
        throw Failure{*wrong};
    }
    run.outages().print();
    if (flags.has("--judge-times") && (run.outages().timeouts(0.5) > kMedianTimeoutsMax ||
                                       run.outages().timeouts(1.0) > kTimeoutsMax)) {
        throw Failure{"writes stood still for too long"};
    }
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto flags = Flags::parse(
        argc, argv, {"--server", "--nodes", "--seed", "--seconds", "--only", "--judge-times"});
    if (!flags.has_value() || !flags->has("--server") || flags->number("--nodes", 3) < 3) {
        fmt::print(stderr,
                   "usage: {} --server=CAIRND [--nodes=N] [--seed=N] [--seconds=N] [--only=KIND] "
                   "[--judge-times]\n",
                   argv[0]);
        return 2;
    }
    const auto seed = flags->number("--seed", 1);
    fmt::print("seed {}\n", seed);
    FaultRun run(
        {.server = flags->text("--server"), .nodes = flags->number("--nodes", 3), .seed = seed});
    try {
        run_test(run, *flags);
    } catch (const Failure& failure) {
        fmt::print("{}FAILED (--seed={}): {}\n", run.cluster().last_lines(), seed, failure.text);
        return 1;
    }
    return 0;
}
