// Configuration entries: their payload, and what they do to a ConfState.
// Pure functions; any thread. The grammar is in docs/formats/conf_change.md.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "raft/persist.h"
#include "raft/types.h"

namespace cairn::raft {

// The values are part of the log's format: never renumber.
enum class ConfChangeKind : std::uint8_t {
    kBootstrapVoter = 1,  // a member of a new cluster: a voter at once
    kAddVoter = 2,        // a new voter, or a learner that becomes one
    kAddLearner = 3,
    kRemove = 4,
    kUpdate = 5,      // the context alone; who counts stays as it is
    kLeaveJoint = 6,  // made by the leader itself once a joint configuration is committed
};

struct ConfChange {
    ConfChangeKind kind = ConfChangeKind::kBootstrapVoter;
    NodeId node;    // none for kLeaveJoint
    Bytes context;  // opaque to the core: the member's name and URLs, for the state machine

    bool operator==(const ConfChange&) const = default;
};

Bytes encode_conf_change(const ConfChange& change);
// Malformed or of a kind this build does not know: an error, and the member must stop.
Result<ConfChange> decode_conf_change(const Bytes& payload);

// The configuration after `change`. Whatever changes the voters of a running cluster makes it joint
// (dissertation §4.3), until kLeaveJoint. kMalformed when it makes no sense: a node added twice, a
// stranger removed, the last voter removed, a change of a joint configuration.
Result<ConfState> apply_conf_change(const ConfState& conf, const ConfChange& change);

// The first entries of a new cluster: one kConfig for each member, sorted by id, at term 1,
// index 1…n, committed from the start, identical on all members (so the context holds only what
// the cluster id is derived from: peer URLs, no names). To be made durable by the log before the
// core is restored from it.
struct BootstrapMember {
    NodeId id;
    Bytes context;
};
PersistBatch bootstrap_batch(std::vector<BootstrapMember> members);
// The same for a member that joins a running cluster: no entry, but a term, since an empty log
// without one is a log that was lost.
PersistBatch joining_batch();

}  // namespace cairn::raft
