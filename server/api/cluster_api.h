// Service Cluster: the list of members, and changes of it.
// Pure functions; any thread.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "proto/cairn/command.pb.h"
#include "server/api/call.h"
#include "server/replica/intent.h"

namespace cairn::server::api {

// Errors: kMalformedRequest, those of admit().
Result<Intent> on_member_list(const Call& call, const CallContext& context);

// Errors of all: kMalformedRequest, those of admit(); with peer URLs also kMemberBadUrls. What they
// come to in this cluster is the leader's to judge (server/replica/membership.h).
Result<Intent> on_member_add(const Call& call, const CallContext& context);
Result<Intent> on_member_remove(const Call& call, const CallContext& context);
Result<Intent> on_member_update(const Call& call, const CallContext& context);
Result<Intent> on_member_promote(const Call& call, const CallContext& context);

// Appends the body of MemberListResponse to what is there (its header): `members` in their order.
void append_member_list(std::span<const command::MemberInfo> members, std::string& reply);

}  // namespace cairn::server::api
