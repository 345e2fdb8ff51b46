// What must be true of one core at any moment, and between two moments of it.
// Pure functions; called after each step by tests and the simulator.
// Never changes anything and never relies on a second node: cross-node checks are the simulator's.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "raft/raft.h"
#include "raft/types.h"

namespace cairn::raft {

// The part of a core that must move in one direction only.
struct StateMarks {
    HardState hard;
    HardState durable;
    Role role = Role::kFollower;
    NodeId leader;
    EntryId floor;
    EntryId last;
    EntryId commit;  // the newest committed entry
    Index stable;
    Index applied;
};
StateMarks state_marks(const Raft& raft);

// E3, E4, C4, G3, B1 and the bookkeeping of the log: kInternal naming the broken rule. Costs time
// in proportion to the log above the floor.
Result<void> check_state(const Raft& raft);

// E2, E4, G2, C1, C4 between `before` and now, within one run of one node.
Result<void> check_delta(const StateMarks& before, const Raft& after);

}  // namespace cairn::raft
