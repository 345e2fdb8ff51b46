// Service grpc.health.v1.Health: Check of the server as a whole (the service named "").
// Pure functions; any thread. Never says more than that this process serves: a member without a
// leader is SERVING, as in etcd.
#pragma once

#include <string>

#include "base/result.h"
#include "server/api/call.h"
#include "server/replica/intent.h"
#include "server/replica/view.h"

namespace cairn::server::api {

// Errors: kMalformedRequest, those of admit(), kUnknownService.
Result<Intent> on_health_check(const Call& call, const CallContext& context);

// The HealthCheckResponse; it has no header.
void append_health(const NodeView& node, std::string& reply);

}  // namespace cairn::server::api
