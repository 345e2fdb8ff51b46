// Which failed calls may be sent again, and what their failure means for the caller.
// Pure functions; any thread. Must never let a write that may have been applied be repeated.
#pragma once

#include <cstdint>

#include "client/channel.h"
#include "client/result.h"

namespace cairn::client {

// kStream: a read whose answer was used, as far as it had come.
enum class CallKind : std::uint8_t { kRead, kWrite, kStream };

// Where to go after this failure (etcd: the rules of its Go client).
//   - a read on Unavailable, and on a learner's refusal, goes to the next endpoint;
//   - a write or a stream only when no server looked at it.
bool may_repeat(CallKind kind, const CallResult& result);

// It stays one until somebody promotes it: waiting and asking it again is of no use.
bool is_learners_refusal(const CallResult& result);

// The error that the caller sees.
Error error_of(CallKind kind, const CallResult& result);

}  // namespace cairn::client
