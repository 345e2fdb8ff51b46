#include "server/net/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace cairn::server::net {
namespace {

// From here on the engine need not choose what it keeps open.
constexpr std::uint64_t kPlenty = std::uint64_t{1} << 20U;
// RocksDB takes no fewer.
constexpr std::uint64_t kEngineFilesMin = 20;

}  // namespace

DescriptorShares share_descriptors(std::uint64_t limit) {
    limit = std::min(limit, kPlenty);
    const std::uint64_t engine = std::max(limit / 4, kEngineFilesMin);
    const std::uint64_t peers = std::clamp<std::uint64_t>(limit / 16, 4, 256);
    const std::uint64_t others = std::clamp<std::uint64_t>(limit / 8, 8, 128);
    const std::uint64_t reserve = engine + peers + others;
    return {.clients = static_cast<std::size_t>(limit > reserve ? limit - reserve : 1),
            .peers = static_cast<std::size_t>(peers),
            .engine_files = limit == kPlenty ? -1 : static_cast<std::int32_t>(engine)};
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        // Refused, it stays what it was, and the shares follow from that.
        static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
    }
}

std::uint64_t descriptor_limit() {
    rlimit limit{};
    // POSIX promises no more than 20; nothing but a bad argument can fail here.
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 20;
}

}  // namespace cairn::server::net
