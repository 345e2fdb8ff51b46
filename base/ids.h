// The identifiers that several layers share.
// Values; free of threads. Zero is "none" for every kind.
#pragma once

#include <cstdint>

#include "base/tagged.h"

namespace cairn {

using Term = Tagged<struct TermTag>;              // Raft term, from 1
using Index = Tagged<struct IndexTag>;            // Raft log index, from 1
using NodeId = Tagged<struct NodeIdTag>;          // member id, as etcd's clients see it
using ClusterId = Tagged<struct ClusterIdTag>;    // cluster id, as etcd's clients see it
using PersistSeq = Tagged<struct PersistSeqTag>;  // order of log writes within one run of a node
using CallId = Tagged<struct CallIdTag>;  // one client call, unique within one run of a node

// The largest term and the largest index that are believed of a peer or of a snapshot: a log never
// gets there, and sums of two do not overflow. A member may go on from one that was believed, so
// it reads from its own log and engine up to twice that.
inline constexpr std::uint64_t kTermOrIndexMax = std::uint64_t{1} << 61U;

// Names one proposal for ever: never reused, so an entry met in the log can be
// matched with the waiter that asked for it, and with no other.
struct ProposalId {
    NodeId member;             // the member whose client proposed it
    std::uint64_t boot{};      // drawn at random at each start of that member
    std::uint64_t sequence{};  // from 1, within that boot

    constexpr auto operator<=>(const ProposalId&) const = default;
};

}  // namespace cairn
