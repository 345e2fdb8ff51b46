// The members of the cluster as data: names and URLs, in the family kMembers.
// Functions over a reader and the overlay of an apply call; reads from any thread.
// Never decides who votes: that is the core's ConfState.
#pragma once

#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "storage/engine.h"
#include "storage/mvcc/overlay.h"

namespace cairn::storage {

// All members, sorted by id.
Result<std::vector<command::MemberInfo>> list_members(const EngineReader& reader);

// Takes a configuration entry's payload (raft/conf_change.h): adds the member it names.
// kMalformed, kUnsupportedVersion: the member must stop.
Result<void> apply_member_change(mvcc::Overlay& overlay, const Bytes& payload);

// What a member says of itself: replaces its name and client URLs.
// kMemberNotFound when it is not (or no longer) a member: the command had no effect.
Result<void> apply_member_attributes(mvcc::Overlay& overlay, const command::MemberInfo& info);

}  // namespace cairn::storage
