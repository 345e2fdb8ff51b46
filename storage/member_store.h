// The members of the cluster as data: names and URLs, in the family kMembers.
// Functions over a reader and the overlay of an apply call; reads from any thread.
// Never decides who votes: that is the core's ConfState.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "raft/conf_change.h"
#include "storage/engine.h"
#include "storage/membership.h"
#include "storage/mvcc/overlay.h"

namespace cairn::storage {

// All members, sorted by id.
Result<std::vector<command::MemberInfo>> list_members(const EngineReader& reader);

// Whom a configuration entry brings in, to be connected to before it is applied; none when it
// brings in nobody. kMalformed.
Result<std::optional<command::MemberInfo>> member_of(const raft::ConfChange& change);

// Members that were removed; they stay known, so that they can be told. Sorted.
Result<std::vector<NodeId>> list_removed_members(const EngineReader& reader);

// Both lists. Never null.
Result<std::shared_ptr<const Membership>> load_membership(const EngineReader& reader);

// The member that a bootstrap entry names. kMalformed: the member must stop.
Result<void> apply_bootstrap_member(mvcc::Overlay& overlay, const raft::ConfChange& change);

// What a configuration entry of a running cluster says, one of the MEMBER_… kinds; appends the
// answer to the client, without its header, to `body`. The core has counted the member in or out
// already: kMemberNotFound when the two do not agree.
Result<void> apply_member_change(mvcc::Overlay& overlay, command::CommandKind kind,
                                 const command::MemberInfo& info, std::string& body);

// What a member says of itself: replaces its name and client URLs.
// kMemberNotFound when it is not (or no longer) a member: the command had no effect.
Result<void> apply_member_attributes(mvcc::Overlay& overlay, const command::MemberInfo& info);

}  // namespace cairn::storage
