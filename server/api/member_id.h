// The ids that etcd gives members and clusters.
// Pure functions; any thread. Never for security: etcd chose SHA-1, and the ids must be etcd's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace cairn::server {

// The id of a member: the first eight bytes, big-endian, of the SHA-1 over its peer URLs, sorted
// and joined without a mark, and `salt`: a new cluster's token, or for a member that is added later
// the time since 1970, in decimal.
NodeId derive_member_id(std::vector<std::string> peer_urls, std::string_view salt);

// The id that etcd gives a new cluster: the first eight bytes of the SHA-1 over its members' ids,
// sorted, each eight bytes big-endian.
ClusterId derive_cluster_id(std::vector<NodeId> members);

}  // namespace cairn::server
