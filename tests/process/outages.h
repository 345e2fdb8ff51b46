// Outages: how long writes stood still under each fault, by kind of fault.
// Owned by a test; one thread. Must never judge by itself: who measured knows which bars hold.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::process {

// What is not too long, in election timeouts.
struct OutageBars {
    double median;
    double longest;
};
// A follower's patience is one to two timeouts; a lost election adds as much again. Only a machine
// of its own can promise that.
inline constexpr OutageBars kFineBars{.median = 2, .longest = 6};
// On a machine with other work: beyond it is no chance, but elections that do not end.
inline constexpr OutageBars kCoarseBars{.median = 10, .longest = 30};

class Outages {
  public:
    void add(const std::string& kind, std::chrono::nanoseconds longest);
    [[nodiscard]] bool empty() const { return ms_.empty(); }
    // A line for each kind, and one for all. `when`: what was measured.
    void print(std::string_view when) const;
    // Of a kind, or of all.
    [[nodiscard]] bool within(const OutageBars& bars, const std::string& kind) const;
    [[nodiscard]] bool within(const OutageBars& bars) const;

  private:
    std::map<std::string, std::vector<double>> ms_;
};

}  // namespace cairn::process
