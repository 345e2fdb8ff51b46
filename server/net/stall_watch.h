// StallWatch: whether a client takes what waits for it, on its connection or in one stream.
// Owned by the session; on the reactor's thread.
// Never counts the time in which nothing waits.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace cairn::server::net {

class StallWatch {
  public:
    using Clock = std::chrono::steady_clock;
    // Whoever takes less than this in that time takes nothing: a few bytes now and then, for
    // answers to PINGs say, do not keep a connection. Of much that waits, so great a part: all of
    // it is taken in so many times that time, ten minutes when it is the one here.
    static constexpr std::chrono::seconds kStalledAfter{10};
    static constexpr std::uint64_t kTakenBytesMin = 64U * 1024U;
    static constexpr std::uint64_t kTakenPartMin = 60;
    // So little holds up nobody.
    static constexpr std::size_t kWaitingBytesMin = 1024;

    explicit StallWatch(Clock::time_point now, std::chrono::seconds stalled_after = kStalledAfter)
        : stalled_after_(stalled_after), since_(now) {}

    void on_taken(std::uint64_t bytes) { taken_ += bytes; }
    // About once a second, with what waits now.
    [[nodiscard]] bool is_stalled(std::size_t waiting_bytes, Clock::time_point now) {
        if (waiting_bytes < kWaitingBytesMin ||
            taken_ >= std::max<std::uint64_t>(kTakenBytesMin, waiting_bytes / kTakenPartMin)) {
            since_ = now;
            taken_ = 0;
        }
        return now - since_ >= stalled_after_;
    }

  private:
    const std::chrono::seconds stalled_after_;
    Clock::time_point since_;
    std::uint64_t taken_ = 0;  // since then
};

}  // namespace cairn::server::net
