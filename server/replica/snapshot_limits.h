// How fast and how long a snapshot travels. Times are in ticks.
// A value, set once by the shell.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cairn::server {

struct SnapshotLimits {
    // Sent to all followers together; what is read before for its checksum counts a quarter. 0: as
    // fast as it goes.
    std::uint64_t bytes_per_tick = 0;
    std::size_t chunk_bytes = 256U * 1024U;              // read at once, for whatever
    std::uint64_t window_bytes = 4U * 1024U * 1024U;     // sent to one follower, not known written
    std::uint64_t queue_bytes_max = 8U * 1024U * 1024U;  // arrived here and not yet written

    // A follower that does not have all and takes nothing new for so long is given up, until the
    // core asks again. A minute.
    std::uint32_t stall_ticks = 600;
    // Between a failure and telling the core, which may ask again at once: doubled with each in a
    // row, but for those of stall_ticks. Also until a follower that is busy is asked again. Two
    // seconds; a minute.
    std::uint32_t retry_ticks = 20;
    std::uint32_t retry_ticks_max = 600;
    // A snapshot that nobody is sent is kept so long for the next that wants one. Five minutes.
    std::uint32_t keep_built_ticks = 3000;
    // One that has arrived in part is kept so long for a sender that comes back. Ten minutes.
    std::uint32_t keep_partial_ticks = 6000;

    // The same times for ticks of another length than 100 ms, which the above are for.
    static SnapshotLimits for_ticks_of(std::uint64_t tick_ms) {
        const auto ticks = [tick_ms](std::uint64_t seconds) {
            return static_cast<std::uint32_t>(
                std::max<std::uint64_t>(1, seconds * 1000 / std::max<std::uint64_t>(1, tick_ms)));
        };
        SnapshotLimits limits;
        limits.stall_ticks = ticks(60);
        limits.retry_ticks = ticks(2);
        limits.retry_ticks_max = ticks(60);
        limits.keep_built_ticks = ticks(300);
        limits.keep_partial_ticks = ticks(600);
        return limits;
    }
};

}  // namespace cairn::server
