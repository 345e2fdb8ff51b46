// The entries of the log above its floor: a ring that grows by doubling and shrinks by quarters.
// Owned by Log, on the replica's thread.
// Never allocates for an append that fits, and drops its front in time of the entries dropped.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "raft/types.h"

namespace cairn::raft {

class EntryRing {
  public:
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] const Entry& operator[](std::size_t at) const {
        CAIRN_ASSERT(at < size_);
        return slots_[(head_ + at) & mask()].entry;
    }
    // Entry::cost_bytes of the first `count`, and of all.
    [[nodiscard]] std::uint64_t cost_of_first(std::size_t count) const {
        CAIRN_ASSERT(count <= size_);
        return count == 0 ? 0 : slots_[(head_ + count - 1) & mask()].cost_through - cost_dropped_;
    }
    [[nodiscard]] std::uint64_t cost() const { return cost_of_first(size_); }

    void push_back(Entry entry) {
        if (size_ == slots_.size()) {
            resize(slots_.empty() ? kSlotsMin : slots_.size() * 2);
        }
        const std::uint64_t through = cost_dropped_ + cost() + entry.cost_bytes();
        slots_[(head_ + size_) & mask()] = {std::move(entry), through};
        ++size_;
    }
    // Both release the payloads at once.
    void drop_front(std::size_t count) {
        cost_dropped_ += cost_of_first(count);
        for (std::size_t i = 0; i < count; ++i) {
            slots_[(head_ + i) & mask()] = Slot{};
        }
        head_ = (head_ + count) & mask();
        size_ -= count;
        // A log that was long once must not hold on to the room for ever.
        if (slots_.size() > kSlotsMin && size_ < slots_.size() / 8) {
            resize(slots_.size() / 4);
        }
    }
    void drop_back(std::size_t count) {
        CAIRN_ASSERT(count <= size_);
        for (std::size_t i = 0; i < count; ++i) {
            slots_[(head_ + --size_) & mask()] = Slot{};
        }
    }

  private:
    static constexpr std::size_t kSlotsMin = 64;

    // So that what a part of them costs is a subtraction.
    struct Slot {
        Entry entry;
        std::uint64_t cost_through = 0;  // of all that were ever below it, itself included
    };

    [[nodiscard]] std::size_t mask() const { return slots_.empty() ? 0 : slots_.size() - 1; }
    // `slots` is a power of two and not below the size.
    void resize(std::size_t slots) {
        std::vector<Slot> other(std::max(slots, kSlotsMin));
        for (std::size_t i = 0; i < size_; ++i) {
            other[i] = std::move(slots_[(head_ + i) & mask()]);
        }
        slots_ = std::move(other);
        head_ = 0;
    }

    std::vector<Slot> slots_;  // the size is 0 or a power of two
    std::size_t head_ = 0;
    std::size_t size_ = 0;
    std::uint64_t cost_dropped_ = 0;  // from the front; what went from the back never was
};

}  // namespace cairn::raft
