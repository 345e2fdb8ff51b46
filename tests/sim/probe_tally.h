// In how many of a batch's runs each probe of a rare branch was reached, and which should have
// been. Owned by the program; one thread. Knows no probe where none are built in (base/probe.h):
// then it misses none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cairn::sim {

// Fewer runs say nothing about a probe.
inline constexpr std::size_t kRunsToReach = 100;

// A probe that so many runs need not reach.
struct RareProbe {
    const char* name = "";
    std::size_t runs{};  // that must; 0: none need
    const char* why = "";
};
// The exceptions, each with its reason; what is not among them is due in kRunsToReach runs.
const std::vector<RareProbe>& rare_probes();

class ProbeTally {
  public:
    // Before and after each run.
    void begin_run();
    void end_run();
    // One line for each probe: how often it was reached, in how many runs, and in how many it is
    // due (0: never).
    [[nodiscard]] std::string describe() const;
    // Due by now and never reached, or excused under a name that no probe has.
    [[nodiscard]] std::vector<std::string> missed() const;

  private:
    std::size_t runs_ = 0;
    // By place in probes().
    std::vector<std::uint64_t> before_{};
    std::vector<std::size_t> reached_in_{};  // runs
};

}  // namespace cairn::sim
