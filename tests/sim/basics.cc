#include "sim/basics.h"

#include <array>

#include <xxhash.h>

#include "sim/counters.h"

namespace cairn::sim {

const char* fault_class_name(FaultClass kind) {
    static constexpr std::array<const char*, kFaultClassCount> kNames = {
        "loss",       "repeat", "delay",      "partition",  "clog",       "crash",
        "crash-loop", "pause",  "slow-disk",  "torn-write", "disk-error", "disk-full",
        "rot",        "clock",  "membership", "transfer",   "overload"};
    return kNames[static_cast<std::size_t>(kind)];
}

std::uint64_t hash_bytes(const char* data, std::size_t size, std::uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}

}  // namespace cairn::sim
