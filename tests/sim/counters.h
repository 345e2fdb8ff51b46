// What a run is measured by: events, and the kinds of misfortune that really happened in it.
// Owned by the world; one thread.
// Never counts ticks, turns of a replica or the world's own steps: they are no events.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>

namespace cairn::sim {

enum class FaultClass : std::uint8_t {
    kLoss,
    kRepeat,
    kDelay,
    kPartition,
    kClog,
    kCrash,
    kCrashLoop,
    kPause,
    kSlowDisk,
    kTornWrite,
    kDiskError,
    kDiskFull,
    kRot,
    kClock,
    kMembership,
    kTransfer,
    kOverload,
};
inline constexpr std::size_t kFaultClassCount = 17;
const char* fault_class_name(FaultClass kind);

struct Counters {
    std::uint64_t messages{};  // delivered or dropped
    std::uint64_t disk{};      // completed writes of the log, flushes, images of snapshots
    std::uint64_t calls{};     // calls that arrive at a node, and answers that leave one
    std::uint64_t faults{};
    std::bitset<kFaultClassCount> classes{};

    [[nodiscard]] std::uint64_t events() const { return messages + disk + calls + faults; }
    // Where it takes effect: a cut that nothing was sent over was none.
    void saw(FaultClass kind) { classes.set(static_cast<std::size_t>(kind)); }
};

}  // namespace cairn::sim
