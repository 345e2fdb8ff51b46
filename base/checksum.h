// XXH3-64: the checksum of everything the project writes or sends by itself.
// Pure functions; any thread. Finds accidents, not attackers.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace cairn {

std::uint64_t xxh3_64(ByteView bytes);

}  // namespace cairn
