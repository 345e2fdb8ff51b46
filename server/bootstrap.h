// What the first start makes of --initial-cluster: ids of cluster and members, and the members'
// entries for the log; or, in a cluster that runs, this member's id. Pure functions; any thread.
// Must derive the same on every member: nothing but peer URLs and the token may go in.
#pragma once

#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "raft/conf_change.h"
#include "server/config.h"

namespace cairn::server {

struct Bootstrap {
    ClusterId cluster;
    NodeId self;
    // Sorted by id. The contexts are command::MemberInfo with id and peer URLs and nothing else.
    std::vector<raft::BootstrapMember> members;
};

// For a member that has no data and begins a cluster. Error: what config.initial_error says.
Result<Bootstrap> plan_bootstrap(const ServerConfig& config);

// What running members told of their cluster.
struct RunningCluster {
    ClusterId cluster;
    std::vector<command::MemberInfo> members;
};

// A member that has started already has voted, and acknowledged what is in its log: without its
// data it would undo that. kInvalidConfig when `plan` makes this one such a member.
Result<void> check_unstarted(const ServerConfig& config, const Bootstrap& plan,
                             const RunningCluster& running);

// Who this member is in a cluster that it joins: --initial-cluster must name the same members by
// their URLs, this one by its name; and it must be new. Errors: kInvalidConfig, in etcd's words.
Result<NodeId> plan_join(const ServerConfig& config, const RunningCluster& running);

}  // namespace cairn::server
