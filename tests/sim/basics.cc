#include "sim/basics.h"

#include <xxhash.h>

namespace cairn::sim {

std::uint64_t hash_bytes(const char* data, std::size_t size, std::uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}

}  // namespace cairn::sim
