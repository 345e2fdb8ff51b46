// What many runs come to: the distribution of their sizes, and the bar it has to meet.
// Owned by the program; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/counters.h"
#include "sim/world.h"

namespace cairn::sim {

class Report {
  public:
    void add(const RunResult& result);
    // Several lines. `seconds` of one core is what all runs took.
    [[nodiscard]] std::string describe(double seconds) const;
    // Whether all runs got what makes them worth their name, a middling one has the events and the
    // finished calls, and those without faults are few.
    [[nodiscard]] bool is_good() const;
    [[nodiscard]] std::size_t runs() const { return events_.size(); }

  private:
    std::vector<std::uint64_t> events_;
    std::vector<std::uint64_t> done_;
    std::vector<std::uint64_t> kinds_;  // of faults, of the runs with any
    std::array<std::uint64_t, kFaultClassCount> runs_with_{};
    std::uint64_t sum_ = 0;
    std::uint64_t virtual_us_ = 0;
    std::uint64_t lost_quorum_ = 0;
    std::uint64_t least_kinds_ = kFaultClassCount;  // of those with any, that came to their end
    std::uint64_t not_enough_ = 0;
};

}  // namespace cairn::sim
