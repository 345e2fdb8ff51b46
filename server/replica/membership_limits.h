// What a leader lets clients do to the cluster's members.
// A value, from flags.
#pragma once

#include <cstdint>

namespace cairn::server {

struct MembershipLimits {
    // Refuses what would cost the quorum (--strict-reconfig-check).
    bool strict = false;
    std::uint64_t learners_max = 1;
};

}  // namespace cairn::server
