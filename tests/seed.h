// The seed of a random test: the usual one, or CAIRN_SEED of the environment, by which a failure is
// run again. Print it with INFO("CAIRN_SEED=" << seed).
#pragma once

#include <cstdint>
#include <cstdlib>

namespace cairn {

inline std::uint64_t seed_or(std::uint64_t usual) {
    const char* given = std::getenv("CAIRN_SEED");
    return given == nullptr ? usual : std::strtoull(given, nullptr, 10);
}

// For a test that goes through seeds: from the first to the last usual one, or the one given.
struct SeedRange {
    std::uint64_t first;
    std::uint64_t last;
};
inline SeedRange seeds_up_to(std::uint64_t usual_last) {
    return std::getenv("CAIRN_SEED") == nullptr ? SeedRange{1, usual_last}
                                                : SeedRange{seed_or(1), seed_or(1)};
}

}  // namespace cairn
