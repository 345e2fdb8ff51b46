#include "process/outages.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "process/process_cluster.h"

namespace cairn::process {
namespace {

constexpr double kTimeoutMs = kElectionTimeout.count();

double at(std::vector<double> ms, double part) {
    std::sort(ms.begin(), ms.end());
    return ms[static_cast<std::size_t>(part * static_cast<double>(ms.size() - 1) + 0.5)];
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

void Outages::print() const {
    if (empty()) {
        return;
    }
    fmt::print(
        "longest time without an acknowledged write, in ms (in election timeouts of {} ms):\n",
        kElectionTimeout.count());
    for (const auto& [kind, ms] : ms_) {
        print_line(kind, ms);
    }
    print_line("all", joined(ms_));
}

double Outages::timeouts(const std::string& kind, double part) const {
    return at(ms_.at(kind), part) / kTimeoutMs;
}

double Outages::timeouts(double part) const { return at(joined(ms_), part) / kTimeoutMs; }

}  // namespace cairn::process
