// What a configuration entry says and does, worked out a second time, from its bytes on.
// Pure functions.
// Shares no code with raft/conf_change.h, which is what it is held against.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/ids.h"
#include "raft/conf_change.h"
#include "raft/types.h"

namespace cairn::sim {

struct ShadowChange {
    raft::ConfChangeKind kind = raft::ConfChangeKind::kUpdate;
    NodeId node{};
};

// docs/formats/conf_change.md. None for what does not decode.
std::optional<ShadowChange> read_change(const Bytes& payload);

// The configuration after the change; none when the change makes no sense in this one.
std::optional<raft::ConfState> conf_after(const raft::ConfState& conf, const ShadowChange& change);

}  // namespace cairn::sim
