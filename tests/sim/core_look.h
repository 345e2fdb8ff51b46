// Looks into a member's core: what it must be at any moment, and what must hold between two of them
// (raft/invariants.h).
#pragma once

#include "base/result.h"
#include "raft/invariants.h"

namespace cairn::sim {

class CoreLook {
  public:
    // A new life.
    void begin(const raft::Raft& core) { before_ = raft::state_marks(core); }
    // kInternal naming the broken rule.
    Result<void> look(const raft::Raft& core) {
        CAIRN_TRY(raft::check_state(core));
        CAIRN_TRY(raft::check_delta(before_, core));
        begin(core);
        return ok();
    }

  private:
    raft::StateMarks before_;
};

}  // namespace cairn::sim
