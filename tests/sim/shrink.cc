#include "sim/shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace cairn::sim {
namespace {

Numbers all_up_to(std::uint64_t count) {
    Numbers numbers;
    for (std::uint64_t number = 1; number <= count; ++number) {
        numbers.insert(numbers.end(), number);
    }
    return numbers;
}

}  // namespace

Numbers minimise(Numbers items, const std::function<bool(const Numbers&)>& fails) {
    std::size_t size = std::max<std::size_t>(1, items.size() / 2);
    while (!items.empty()) {
        bool less = false;
        const std::vector<std::uint64_t> order(items.begin(), items.end());
        for (std::size_t begin = 0; begin < order.size(); begin += size) {
            Numbers fewer = items;
            for (std::size_t at = begin; at < std::min(begin + size, order.size()); ++at) {
                fewer.erase(order[at]);
            }
            if (fails(fewer)) {
                items = std::move(fewer);
                less = true;
            }
        }
        if (size == 1 && !less) {
            break;
        }
        size = std::max<std::size_t>(1, size / 2);
    }
    return items;
}

Shrunk shrink(const Options& options, const RunResult& first, std::uint64_t runs_max) {
    Shrunk best{.options = options, .result = first};
    const auto fails = [&](const Options& candidate) {
        if (best.runs >= runs_max) {
            return false;
        }
        ++best.runs;
        RunResult result = run_world(candidate);
        if (!result.failed || result.invariant != first.invariant) {
            return false;
        }
        best.options = candidate;
        best.result = std::move(result);
        return true;
    };
    Numbers faults;
    for (const Strike& strike : first.strikes) {
        faults.insert(strike.number);
    }
    const auto shorten = [&](std::optional<Numbers> Options::*what, Numbers items) {
        const auto wanted = [&](const Numbers& numbers) {
            Options candidate = best.options;
            candidate.*what = numbers;
            return fails(candidate);
        };
        if (wanted(items)) {
            minimise(std::move(items), wanted);
        }
    };
    // Few faults make few calls enough, and the other way round.
    shorten(&Options::only_faults, std::move(faults));
    shorten(&Options::only_calls, all_up_to(best.result.calls));
    if (best.options.only_faults) {
        shorten(&Options::only_faults, *best.options.only_faults);
    }
    return best;
}

}  // namespace cairn::sim
