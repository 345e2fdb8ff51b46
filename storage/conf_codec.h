// A configuration as bytes: in a snapshot's manifest, and beside the applied index in the engine.
// Pure functions; any thread.
// Never checks that a configuration makes sense: the core does, before anything is applied.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/cairn/snapshot.pb.h"
#include "raft/types.h"

namespace cairn::storage {

void to_proto(const raft::ConfState& conf, snapshot::ConfState& out);
raft::ConfState from_proto(const snapshot::ConfState& in);

// The message, serialized.
std::string encode_conf(const raft::ConfState& conf);
Result<raft::ConfState> decode_conf(ByteView bytes);

}  // namespace cairn::storage
