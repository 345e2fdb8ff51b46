#include "sim/probe_tally.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/probe.h"

namespace cairn::sim {
namespace {

std::size_t due_in(const char* name) {
    const auto& rare = rare_probes();
    const auto found = std::find_if(rare.begin(), rare.end(), [&](const RareProbe& probe) {
        return std::string_view(probe.name) == name;
    });
    return found == rare.end() ? kRunsToReach : found->runs;
}

}  // namespace

void ProbeTally::begin_run() {
    before_.clear();
    for (const Probe& probe : probes()) {
        before_.push_back(probe.count.load());
    }
    reached_in_.resize(before_.size());
}

void ProbeTally::end_run() {
    ++runs_;
    for (std::size_t at = 0; at < before_.size(); ++at) {
        reached_in_[at] += probes()[at].count.load() > before_[at] ? 1U : 0U;
    }
}

std::string ProbeTally::describe() const {
    std::string out;
    for (std::size_t at = 0; at < reached_in_.size(); ++at) {
        const Probe& probe = probes()[at];
        out += fmt::format("probe {} {} in {} runs, due in {}\n", probe.name, probe.count.load(),
                           reached_in_[at], due_in(probe.name));
    }
    return out;
}

std::vector<std::string> ProbeTally::missed() const {
    std::vector<std::string> missed;
    for (std::size_t at = 0; at < reached_in_.size(); ++at) {
        const char* name = probes()[at].name;
        const std::size_t due = due_in(name);
        if (reached_in_[at] == 0 && due > 0 && runs_ >= due) {
            missed.emplace_back(name);
        }
    }
    for (const RareProbe& rare : rare_probes()) {
        const bool known = std::any_of(probes().begin(), probes().end(), [&](const Probe& probe) {
            return std::string_view(probe.name) == rare.name;
        });
        if (!known && !probes().empty()) {
            missed.push_back(fmt::format("{} (no such probe)", rare.name));
        }
    }
    return missed;
}

}  // namespace cairn::sim
