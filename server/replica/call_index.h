// Finds what waits for a call, so that it can be cancelled: CallId -> (kind, number).
// Owned by the replica; one thread.
// Never iterated, so its order cannot reach any output; never allocates once grown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace cairn::server {

enum class CallKind : std::uint8_t { kProposal, kRead, kTransfer };

struct CallSlot {
    CallKind kind = CallKind::kProposal;
    std::uint64_t number{};  // in the ring of its kind
};

// Open addressing with linear probing; at most half full.
class CallIndex {
  public:
    // `call` is not none and not present.
    void insert(CallId call, CallSlot slot);
    // What was there; nothing when the call is unknown or already answered.
    std::optional<CallSlot> take(CallId call);
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    struct Cell {
        CallId call{};  // none: free
        CallSlot slot{};
    };

    [[nodiscard]] std::size_t home(CallId call) const;
    void place(Cell cell);
    void grow();
    void close_gap(std::size_t gap);

    std::vector<Cell> cells_;
    std::size_t size_ = 0;
};

}  // namespace cairn::server
