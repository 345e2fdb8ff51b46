#include "process/outages.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "process/process_cluster.h"

namespace cairn::process {
namespace {

constexpr double kTimeoutMs = kElectionTimeout.count();

// The shortest that is not below that part of them: of two, the median is the shorter one.
double at(std::vector<double> ms, double part) {
    std::sort(ms.begin(), ms.end());
    const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(ms.size())));
    return ms[std::max<std::size_t>(rank, 1) - 1];
}

bool are_within(const OutageBars& bars, const std::vector<double>& ms) {
    return ms.empty() ||
           (at(ms, 0.5) <= bars.median * kTimeoutMs && at(ms, 1.0) <= bars.longest * kTimeoutMs);
}

void print_line(const std::string& kind, const std::vector<double>& ms) {
    fmt::print("{:>22} x {:3}", kind, ms.size());
    for (const auto& [name, part] :
         {std::pair{"min", 0.0}, {"median", 0.5}, {"p90", 0.9}, {"max", 1.0}}) {
        fmt::print("  {} {:5.0f} ({:.2f})", name, at(ms, part), at(ms, part) / kTimeoutMs);
    }
    fmt::print("\n");
}

std::vector<double> joined(const std::map<std::string, std::vector<double>>& ms) {
    std::vector<double> all;
    for (const auto& [kind, of_kind] : ms) {
        all.insert(all.end(), of_kind.begin(), of_kind.end());
    }
    return all;
}

}  // namespace

void Outages::add(const std::string& kind, std::chrono::nanoseconds longest) {
    ms_[kind].push_back(std::chrono::duration<double, std::milli>(longest).count());
}

void Outages::print(std::string_view when) const {
    if (empty()) {
        return;
    }
    fmt::print(
        "longest time without an acknowledged write, {}, in ms (in election timeouts of {} ms):\n",
        when, kElectionTimeout.count());
    for (const auto& [kind, ms] : ms_) {
        print_line(kind, ms);
    }
    print_line("all", joined(ms_));
}

bool Outages::within(const OutageBars& bars, const std::string& kind) const {
    const auto found = ms_.find(kind);
    return found == ms_.end() || are_within(bars, found->second);
}

bool Outages::within(const OutageBars& bars) const { return are_within(bars, joined(ms_)); }

}  // namespace cairn::process
