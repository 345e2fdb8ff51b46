#include "base/checksum.h"

#include <xxhash.h>

namespace cairn {

std::uint64_t xxh3_64(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace cairn
