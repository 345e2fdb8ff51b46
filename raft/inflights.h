// The Appends sent to one follower and not yet answered: a window, bounded in count and bytes.
// Owned by a Progress, on the replica's thread.
// Never holds entries: only where each Append ended and what it weighed.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace cairn::raft {

class Inflights {
  public:
    Inflights(std::uint32_t count_max, std::uint64_t bytes_max);

    [[nodiscard]] bool full() const { return count_ >= count_max_ || bytes_ >= bytes_max_; }
    [[nodiscard]] std::uint32_t count() const { return count_; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

    // An Append ending at `last` left. The window must not be full; `last` grows from call to call.
    void add(Index last, std::uint64_t bytes);
    // Everything up to `match` has been answered.
    void free_up_to(Index match);
    void clear();

  private:
    struct Sent {
        Index last;
        std::uint64_t bytes{};
    };

    // A ring that grows by doubling up to count_max_: most followers never need the whole window.
    void grow();

    std::uint32_t count_max_;
    std::uint64_t bytes_max_;
    std::vector<Sent> ring_;
    std::uint32_t head_ = 0;
    std::uint32_t count_ = 0;
    std::uint64_t bytes_ = 0;  // Invariant: the sum over the ring's `count_` elements.
};

}  // namespace cairn::raft
