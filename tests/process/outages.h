// Outages: how long writes stood still under each fault, by kind of fault.
// Owned by a test; one thread. Must never judge by itself: who measured knows what is too long.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace cairn::process {

// Times in election timeouts.
class Outages {
  public:
    void add(const std::string& kind, std::chrono::nanoseconds longest);
    [[nodiscard]] bool empty() const { return ms_.empty(); }
    // A line for each kind, and one for all.
    void print() const;
    // The shortest time that is not below that part of them; of a kind, or of all.
    [[nodiscard]] double timeouts(const std::string& kind, double part) const;
    [[nodiscard]] double timeouts(double part) const;

  private:
    std::map<std::string, std::vector<double>> ms_;
};

}  // namespace cairn::process
