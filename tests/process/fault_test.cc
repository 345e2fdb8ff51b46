// cairn_fault_test: real nodes under every fault of fault_run.cc, one after the other in random
// order, while clients write and read; nothing acknowledged may be lost, the history must be
// linearizable and all members equal at the end. Usage:
// cairn_fault_test --server=CAIRND [--nodes=N] [--lease-reads] [--seed=N] [--seconds=N]
// [--only=KIND[,KIND...]] [--need-mount] [--judge-times]
// Each kind of fault once, and more until the time is over. It also fails when writes stood still
// for too long; with --judge-times the bar is one that a machine of its own can promise.
#include <algorithm>
#include <chrono>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "process/fault_run.h"
#include "process/flags.h"

namespace cairn::process {
namespace {

using Kinds = std::vector<FaultRun::Kind>;

Kinds kinds_of(const Flags& flags) {
    if (!flags.has("--only")) {
        return {FaultRun::kinds().begin(), FaultRun::kinds().end()};
    }
    Kinds kinds;
    std::istringstream names(flags.text("--only"));
    for (std::string name; std::getline(names, name, ',');) {
        const auto found = std::find_if(FaultRun::kinds().begin(), FaultRun::kinds().end(),
                                        [&](const auto& kind) { return kind.name == name; });
        if (found == FaultRun::kinds().end()) {
            throw Failure{"no such fault: " + name};
        }
        kinds.push_back(*found);
    }
    if (kinds.empty()) {
        throw Failure{"--only names no fault"};
    }
    return kinds;
}

void run_test(FaultRun& run, const Flags& flags, const Kinds& kinds) {
    const auto end = Clock::now() + std::chrono::seconds(flags.number("--seconds", 0));
    Prng prng = Prng(flags.number("--seed", 1)).split("order");
    Kinds left;
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
    if (!run.within(flags.has("--judge-times") ? kFineBars : kCoarseBars)) {
        throw Failure{"writes stood still for too long"};
    }
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto flags = Flags::parse(argc, argv,
                                    {"--server", "--nodes", "--lease-reads", "--seed", "--seconds",
                                     "--only", "--need-mount", "--judge-times"});
    if (!flags.has_value() || !flags->has("--server") || flags->number("--nodes", 3) < 3) {
        fmt::print(stderr,
                   "usage: {} --server=CAIRND [--nodes=N] [--lease-reads] [--seed=N] "
                   "[--seconds=N] [--only=KIND[,KIND...]] [--need-mount] [--judge-times]\n",
                   argv[0]);
        return 2;
    }
    const auto seed = flags->number("--seed", 1);
    fmt::print("seed {}\n", seed);
    std::optional<FaultRun> run;
    try {
        const auto kinds = kinds_of(*flags);
        run.emplace(FaultRun::Options{.server = flags->text("--server"),
                                      .nodes = flags->number("--nodes", 3),
                                      .seed = seed,
                                      .lease_reads = flags->has("--lease-reads"),
                                      .need_mount = flags->has("--need-mount")});
        run_test(*run, *flags, kinds);
        run->print_outages();
    } catch (const Failure& failure) {
        if (!run.has_value()) {
            fmt::print("FAILED: {}\n", failure.text);
            return 1;
        }
        run->print_outages();
        return run->report_failure(failure.text);
    }
    return 0;
}
