// What pure code says instead of logging: a small value, no strings, no allocation.
// Each layer declares its own kinds; the shell turns them into log lines.
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace cairn {

struct TraceEvent {
    std::uint16_t kind{};    // meaning belongs to the layer: raft::TraceKind, replica::TraceKind
    std::uint16_t detail{};  // small enumerator: a message kind, an Errc, a role
    NodeId node{};           // who says it
    NodeId peer{};           // whom it is about; none when nobody
    Term term{};
    Index index{};
    std::uint64_t arg{};  // meaning belongs to the kind

    bool operator==(const TraceEvent&) const = default;
};
static_assert(sizeof(TraceEvent) == 48);

}  // namespace cairn
