// PeerSet: whom the transport must reach, and whom it must turn away.
// A value, made by the replica and shared with the transport; no raft types.
#pragma once

#include <vector>

#include "base/ids.h"
#include "proto/cairn/command.pb.h"

namespace cairn::server {

struct PeerSet {
    // All that the log counts as members, applied or not; sorted by id; this one too.
    std::vector<command::MemberInfo> members;
    // Out of the cluster for good, which is committed: they may be told. Sorted.
    std::vector<NodeId> removed;
    // What is applied here of the members, and up to where in the log at least: the news for who
    // asks, the higher the newer.
    std::vector<command::MemberInfo> applied{};
    Index applied_index{};
};

}  // namespace cairn::server
