// Spreads what is allowed in a second over the second.
// A value of one thread; time comes from its caller.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace cairn::server::net {

class Pace {
  public:
    using Clock = std::chrono::steady_clock;
    // However low the rate is, one waits no longer than that behind the other: whoever sleeps until
    // it is due is to notice soon that it should stop. What exceeds the rate by that is up to
    // others to refuse.
    static constexpr std::chrono::nanoseconds kPauseMax = std::chrono::milliseconds(50);

    // Bytes a second; 0: as fast as it goes.
    explicit Pace(std::uint64_t rate) : rate_(rate) {}

    // When the next `bytes` may go; counts them. Time that nobody used is not saved up.
    Clock::time_point next(Clock::time_point now, std::uint64_t bytes) {
        const auto due = std::max(now, next_);
        next_ = due + takes(bytes);
        return due;
    }

  private:
    [[nodiscard]] std::chrono::nanoseconds takes(std::uint64_t bytes) const {
        if (rate_ == 0) {
            return {};
        }
        const std::chrono::duration<double> seconds(static_cast<double>(bytes) /
                                                    static_cast<double>(rate_));
        return seconds < kPauseMax ? std::chrono::duration_cast<std::chrono::nanoseconds>(seconds)
                                   : kPauseMax;
    }

    std::uint64_t rate_;
    Clock::time_point next_;
};

}  // namespace cairn::server::net
