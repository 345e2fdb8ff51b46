// Service Cluster, as far as it only reads: MemberList.
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

// Appends the body of MemberListResponse to what is there (its header): `members` in their order.
void append_member_list(std::span<const command::MemberInfo> members, std::string& reply);

}  // namespace cairn::server::api
