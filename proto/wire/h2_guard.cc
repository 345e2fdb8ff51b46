#include "proto/wire/h2_guard.h"

#include <algorithm>

namespace cairn::wire {

namespace {

constexpr std::uint32_t kPingStrikesMax = 2;  // grpc-go: maxPingStrikes
constexpr std::uint32_t kFramesPerWork = 2;   // a window update for the stream, one for the session

constexpr std::size_t kInflationMax = 16;  // text and JSON come to a tenth, seldom less
// A little more than that, each tick: short messages of zeros are no attack, many of them are.
constexpr std::size_t kInflatedBytesPerTick = std::size_t{1} << 20U;
constexpr std::size_t kInflatedBytesPerFrame = 16'384;

}  // namespace

AbuseGuard::AbuseGuard(const H2Limits& limits)
    : limits_(limits),
      resets_left_(limits.resets_max),
      frames_left_(limits.idle_frames_max),
      inflated_bytes_left_(kInflatedBytesPerTick) {}

void AbuseGuard::on_wasted_stream() {
    ++counters_.wasted_streams;
    if (resets_left_ == 0) {
        verdict_ = "too_many_resets";
        return;
    }
    --resets_left_;
}

void AbuseGuard::on_finished_stream() {
    resets_left_ = std::min(resets_left_ + 1, limits_.resets_max);
}

void AbuseGuard::on_idle_frame() {
    ++counters_.idle_frames;
    if (frames_left_ == 0) {
        verdict_ = verdict_.empty() ? "too_many_idle_frames" : verdict_;
        return;
    }
    --frames_left_;
}

void AbuseGuard::on_inflated(std::size_t compressed_bytes, std::size_t bytes) {
    std::size_t beyond = bytes - std::min(compressed_bytes * kInflationMax, bytes);
    const std::size_t granted = std::min(beyond, inflated_bytes_left_);
    inflated_bytes_left_ -= granted;
    beyond -= granted;
    const std::size_t frames = (beyond + kInflatedBytesPerFrame - 1) / kInflatedBytesPerFrame;
    counters_.idle_frames += frames;
    if (frames > frames_left_) {
        verdict_ = verdict_.empty() ? "too_much_to_inflate" : verdict_;
        return;
    }
    frames_left_ -= static_cast<std::uint32_t>(frames);
}

// grpc-go, handlePing: a ping is a strike when it comes too soon after the last one; any HEADERS
// or DATA sent in between forgives all strikes. (A client measures bandwidth by pings it sends
// when data arrives: those must not count.)
void AbuseGuard::on_ping() {
    ++counters_.pings;
    on_idle_frame();
    if (!time_known_ || limits_.ping_interval_ms_min == 0) {
        return;
    }
    if (sent_since_ping_) {
        sent_since_ping_ = false;
        ping_strikes_ = 0;
    } else if (ping_seen_ &&
               now_ms_ - last_ping_ms_ + tick_gap_ms_ < limits_.ping_interval_ms_min) {
        ++ping_strikes_;
    }
    ping_seen_ = true;
    last_ping_ms_ = now_ms_;
    if (ping_strikes_ > kPingStrikesMax) {
        verdict_ = "too_many_pings";
    }
}

void AbuseGuard::on_work_received() { earn_frames(kFramesPerWork); }

void AbuseGuard::on_work_sent() {
    sent_since_ping_ = true;
    earn_frames(kFramesPerWork);
}

void AbuseGuard::on_ping_sent() { earn_frames(1); }

void AbuseGuard::on_tick(std::uint64_t now_ms) {
    const std::uint64_t later_ms = std::max(now_ms_, now_ms);
    tick_gap_ms_ = time_known_ ? later_ms - now_ms_ : 0;
    now_ms_ = later_ms;
    time_known_ = true;
    resets_left_ = std::min(resets_left_ + limits_.resets_per_tick, limits_.resets_max);
    earn_frames(limits_.idle_frames_per_tick);
    inflated_bytes_left_ = kInflatedBytesPerTick;
}

void AbuseGuard::earn_frames(std::uint32_t count) {
    frames_left_ = std::min(frames_left_ + count, limits_.idle_frames_max);
}

}  // namespace cairn::wire
