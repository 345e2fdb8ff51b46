// How fast and how long a snapshot travels. Times are in ticks.
// A value, set once by the shell.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::server {

struct SnapshotLimits {
    // Read for all followers together; 0: as fast as it goes.
    std::uint64_t bytes_per_tick = 0;
    std::size_t chunk_bytes = 256U * 1024U;
    std::uint64_t window_bytes = 4U * 1024U * 1024U;     // sent to one follower, not known written
    std::uint64_t queue_bytes_max = 8U * 1024U * 1024U;  // arrived here and not yet written

    // A follower that takes nothing new for so long is given up, until the core asks again.
    std::uint32_t stall_ticks = 600;
    // Between a failure and telling the core, which may ask again at once.
    std::uint32_t retry_ticks = 20;
    // One that has arrived in part is kept so long for a sender that comes back.
    std::uint32_t keep_partial_ticks = 6000;
};

}  // namespace cairn::server
