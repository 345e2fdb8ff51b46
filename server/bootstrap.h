// What the first start makes of --initial-cluster: ids of cluster and members, and the members'
// entries for the log. Pure functions; any thread.
// Must derive the same on every member: nothing but peer URLs and the token may go in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "raft/conf_change.h"
#include "server/config.h"

namespace cairn::server {

// The id that etcd gives a member of a new cluster: the first eight bytes, big-endian, of the SHA-1
// over its peer URLs, sorted and joined without a mark, and the cluster's token.
NodeId derive_member_id(std::vector<std::string> peer_urls, std::string_view token);

// The id that etcd gives a new cluster: the first eight bytes of the SHA-1 over its members' ids,
// sorted, each eight bytes big-endian.
ClusterId derive_cluster_id(std::vector<NodeId> members);

struct Bootstrap {
    ClusterId cluster;
    NodeId self;
    // Sorted by id. The contexts are command::MemberInfo with id and peer URLs and nothing else.
    std::vector<raft::BootstrapMember> members;
};

// For a member that has no data. Errors, all kInvalidConfig: what config.initial_error says, and
// --initial-cluster-state=existing, which asks for data.
Result<Bootstrap> plan_bootstrap(const ServerConfig& config);

}  // namespace cairn::server
