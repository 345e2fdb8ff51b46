// Lets the same line into the log once an interval, and not many different ones either.
// Owned by whoever logs what others can cause; on its thread.
// Never remembers without bound: a line there is no room for is not logged.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

namespace cairn::server::net {

class LogLimit {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t kLinesMax = 64;

    explicit LogLimit(Clock::duration interval) : interval_(interval) {}

    // True when `line` has not been let through for an interval.
    bool admit(const std::string& line, Clock::time_point now = Clock::now()) {
        std::erase_if(lines_, [&](const auto& item) { return now - item.second >= interval_; });
        return lines_.size() < kLinesMax && lines_.emplace(line, now).second;
    }
    // Everything is news again.
    void clear() { lines_.clear(); }

  private:
    Clock::duration interval_;
    std::map<std::string, Clock::time_point> lines_;  // those let through, and when
};

}  // namespace cairn::server::net
