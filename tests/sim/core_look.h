// Looks into a member's core now and then: what it must be at any moment, and what must hold
// between two of them (raft/invariants.h). In proportion to the log, so not at each turn.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "raft/invariants.h"

namespace cairn::sim {

class CoreLook {
  public:
    // A new life.
    void begin(const raft::Raft& core) { before_ = raft::state_marks(core); }
    // True when this turn is one to look at.
    bool is_due() { return ++turns_ % kTurnsBetween == 0; }
    // kInternal naming the broken rule.
    Result<void> look(const raft::Raft& core) {
        CAIRN_TRY(raft::check_state(core));
        CAIRN_TRY(raft::check_delta(before_, core));
        begin(core);
        return ok();
    }

  private:
    static constexpr std::uint64_t kTurnsBetween = 4;

    raft::StateMarks before_;
    std::uint64_t turns_ = 0;
};

}  // namespace cairn::sim
