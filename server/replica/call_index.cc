#include "server/replica/call_index.h"

#include <utility>

#include "base/assert.h"
#include "base/prng.h"

namespace cairn::server {
namespace {

constexpr std::size_t kInitialCells = 128;

}  // namespace

std::size_t CallIndex::home(CallId call) const {
    std::uint64_t state = call.value;
    return static_cast<std::size_t>(splitmix64(state)) & (cells_.size() - 1);
}

void CallIndex::place(Cell cell) {
    std::size_t at = home(cell.call);
    while (cells_[at].call) {
        CAIRN_ASSERT(cells_[at].call != cell.call);
        at = (at + 1) & (cells_.size() - 1);
    }
    cells_[at] = cell;
}

void CallIndex::grow() {
    std::vector<Cell> old = std::exchange(
        cells_, std::vector<Cell>(cells_.empty() ? kInitialCells : cells_.size() * 2));
    for (const Cell& cell : old) {
        if (cell.call) {
            place(cell);
        }
    }
}

void CallIndex::insert(CallId call, CallSlot slot) {
    CAIRN_ASSERT(bool(call));
    if (cells_.size() <= size_ * 2) {
        grow();
    }
    place(Cell{.call = call, .slot = slot});
    ++size_;
}

std::optional<CallSlot> CallIndex::take(CallId call) {
    if (cells_.empty() || !call) {
        return std::nullopt;
    }
    std::size_t at = home(call);
    while (cells_[at].call != call) {
        if (!cells_[at].call) {
            return std::nullopt;
        }
        at = (at + 1) & (cells_.size() - 1);
    }
    const CallSlot slot = cells_[at].slot;
    close_gap(at);
    --size_;
    return slot;
}

// Moves later cells of the same run back, so that no probe meets a hole before its cell.
void CallIndex::close_gap(std::size_t gap) {
    const std::size_t mask = cells_.size() - 1;
    std::size_t at = gap;
    while (true) {
        at = (at + 1) & mask;
        if (!cells_[at].call) {
            break;
        }
        const std::size_t wanted = home(cells_[at].call);
        if (((at - wanted) & mask) >= ((at - gap) & mask)) {
            cells_[gap] = cells_[at];
            gap = at;
        }
    }
    cells_[gap] = Cell{};
}

}  // namespace cairn::server
