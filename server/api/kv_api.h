// Service KV: from requests to intents.
// Pure functions; any thread. Never looks at stored data.
#pragma once

#include "base/result.h"
#include "server/api/call.h"
#include "server/replica/intent.h"

namespace cairn::server::api {

// Errors of all: kMalformedRequest, those of admit(), those of the request's validate_ function.
Result<Intent> on_range(const Call& call, const CallContext& context);

// These go through the log, so they add kRequestTooLarge as the last error.
Result<Intent> on_put(const Call& call, const CallContext& context);
Result<Intent> on_delete_range(const Call& call, const CallContext& context);
Result<Intent> on_compact(const Call& call, const CallContext& context);

// A Txn of Ranges alone is a read; linearizable unless all its Ranges are serializable.
Result<Intent> on_txn(const Call& call, const CallContext& context);

}  // namespace cairn::server::api
