// What the flow of snapshots counts, for metrics.
// A value, copied out by the shell.
#pragma once

#include <cstdint>

namespace cairn::server {

struct SnapshotStats {
    std::uint64_t bytes_sent{};
    std::uint64_t bytes_received{};  // and written
    std::uint64_t sends{};           // that ended well
    std::uint64_t receives{};
    std::uint64_t sends_failed{};
    std::uint64_t receives_failed{};
    std::uint64_t sending{};    // now
    std::uint64_t receiving{};  // now
    bool installing = false;
};

}  // namespace cairn::server
