// AbuseGuard: counts what a hostile peer can do for free and says when it is enough.
// Owned by one H2Session; not for several threads. Must never read a clock: time comes by on_tick.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proto/wire/h2_limits.h"

namespace cairn::wire {

class AbuseGuard {
  public:
    explicit AbuseGuard(const H2Limits& limits);

    // A stream ended before its time by the peer's doing.
    void on_wasted_stream();
    // A stream came to its regular end.
    void on_finished_stream();
    // A frame that brings no work.
    void on_idle_frame();
    // A PING that is no acknowledgement (counts as an idle frame too).
    void on_ping();
    // A message was inflated, or might have been to so much. What is far more than came counts as
    // idle frames: a client can make us work for as good as nothing.
    void on_inflated(std::size_t compressed_bytes, std::size_t bytes);
    // A message came in, or we sent HEADERS or DATA: the peer's overhead is earned.
    void on_work_received();
    void on_work_sent();
    // We sent a PING: its answer is no idle frame.
    void on_ping_sent();
    // Time goes on: `now_ms` from any start, never backwards.
    void on_tick(std::uint64_t now_ms);

    // Why the connection must end; empty while all is well. Once set, it stays. These are the
    // debug data of the GOAWAY; "too_many_pings" is the word clients know.
    [[nodiscard]] std::string_view verdict() const { return verdict_; }

    // For metrics: what was counted since creation.
    struct Counters {
        std::uint64_t wasted_streams = 0;
        std::uint64_t idle_frames = 0;
        std::uint64_t pings = 0;
    };
    [[nodiscard]] const Counters& counters() const { return counters_; }

  private:
    void earn_frames(std::uint32_t count);

    H2Limits limits_;
    Counters counters_;
    std::uint32_t resets_left_ = 0;    // Invariant: <= limits_.resets_max.
    std::uint32_t frames_left_ = 0;    // Invariant: <= limits_.idle_frames_max.
    std::size_t inflated_bytes_left_;  // of this tick
    std::uint32_t ping_strikes_ = 0;
    bool time_known_ = false;
    bool sent_since_ping_ = false;
    bool ping_seen_ = false;
    std::uint64_t now_ms_ = 0;
    // Between the last two ticks: how wrong now_ms_ may be, in the peer's favour.
    std::uint64_t tick_gap_ms_ = 0;
    std::uint64_t last_ping_ms_ = 0;
    std::string_view verdict_;
};

}  // namespace cairn::wire
