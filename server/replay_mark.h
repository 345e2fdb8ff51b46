// What a member's log held when it first knew a leader: after a kill the state is an older one,
// till that is applied again, or cut off. A value; one thread.
#pragma once

#include <algorithm>
#include <optional>

#include "server/replica/view.h"

namespace cairn::server {

class ReplayMark {
  public:
    // To be asked once there is a leader, and then again and again.
    [[nodiscard]] bool is_reached(const NodeView& view) {
        last_ = std::min(last_.value_or(view.last), view.last);
        return view.applied >= *last_;
    }

  private:
    std::optional<Index> last_;
};

}  // namespace cairn::server
