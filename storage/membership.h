// Membership: all that the store knows of the cluster's members, as one immutable value.
// Made on the state thread, read by any.
// Never decides who votes: that is the core's ConfState.
#pragma once

#include <vector>

#include "base/ids.h"
#include "proto/cairn/command.pb.h"

namespace cairn::storage {

struct Membership {
    std::vector<command::MemberInfo> members;  // sorted by id
    std::vector<NodeId> removed;               // for good; sorted
};

}  // namespace cairn::storage
