// Inflates gzip messages (grpc-encoding: gzip) with a hard bound on what comes out.
// A pure function; any thread. Must never produce more than the bound, whatever the input claims.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace cairn::wire {

// The inflated bytes of one complete gzip member. Errors: kMalformed for anything that is not
// one; kMessageTooLarge when it would exceed `bytes_max`. The texts are grpc-go's.
Result<Bytes> gunzip(ByteView compressed, std::size_t bytes_max);

}  // namespace cairn::wire
