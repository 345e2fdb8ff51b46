// Makes a failing run short: leaves out faults and calls as long as it fails in the same way.
// A function of the options; runs whole worlds.
// Never changes what is left in but by leaving something out.
#pragma once

#include <cstdint>
#include <functional>
#include <set>

#include "sim/options.h"
#include "sim/world.h"

namespace cairn::sim {

struct Shrunk {
    Options options{};
    RunResult result{};
    std::uint64_t runs{};
};

// `options` must fail, with `first`. At most `runs_max` runs.
Shrunk shrink(const Options& options, const RunResult& first, std::uint64_t runs_max);

// Leaves out of `items` what `fails` does not need: halves first, then less and less, down to
// single ones (Zeller's delta debugging).
using Numbers = std::set<std::uint64_t>;
Numbers minimise(Numbers items, const std::function<bool(const Numbers&)>& fails);

}  // namespace cairn::sim
