#include "diff/hunt.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "diff/cases.h"
#include "diff/judge.h"
#include "diff/random_steps.h"

namespace cairn::diff {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kRandomSteps = 300;
// Longer cases are variations that random steps make, too.
constexpr std::size_t kCaseStepsMax = 600;

std::vector<Case> cases_to_try() {
    RandomSteps random(kSeed);
    Case first{.name = "random steps", .steps = {}};
    for (std::uint64_t i = 0; i < kRandomSteps; ++i) {
        first.steps.push_back(random.next());
    }
    std::vector<Case> all = scripted_cases();
    std::erase_if(all, [](const Case& it) { return it.steps.size() > kCaseStepsMax; });
    std::stable_sort(all.begin(), all.end(),
                     [](const Case& a, const Case& b) { return a.steps.size() < b.steps.size(); });
    all.insert(all.begin(), std::move(first));
    return all;
}

}  // namespace

std::vector<std::string> mutants_of(const std::string& cairnd) {
    std::vector<std::string> names;
    std::FILE* pipe = popen((cairnd + " --list-mutants").c_str(), "r");
    std::string name;
    for (int c = 0; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) {
        if (c == '\n') {
            if (name.starts_with("api_") || name.starts_with("kv_")) {
                names.push_back(name);
            }
            name.clear();
        } else {
            name.push_back(static_cast<char>(c));
        }
    }
    if (pipe == nullptr || pclose(pipe) != 0 || names.empty()) {
        throw process::Failure{"no mutants in " + cairnd};
    }
    return names;
}

std::optional<Difference> hunt(const Programs& programs) {
    Pair pair(programs);
    Judge judge;
    for (const auto& it : cases_to_try()) {
        for (std::size_t i = 0; i < it.steps.size(); ++i) {
            if (judge.is_withheld(it.steps[i])) {
                continue;
            }
            auto exchange = pair.run(it.steps[i]);
            if (auto text = judge.difference(exchange)) {
                const auto end = it.steps.begin() + static_cast<std::ptrdiff_t>(i) + 1;
                return Difference{.script = {it.steps.begin(), end},
                                  .last = std::move(exchange),
                                  .text = std::move(*text)};
            }
        }
    }
    return std::nullopt;
}

}  // namespace cairn::diff
