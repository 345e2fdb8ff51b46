// A queue whose elements are named by consecutive numbers: O(1) look-up by number, in order.
// Owned by proposals and reads; one thread.
// Never allocates once it has grown to its working size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace cairn::server {

template <class T>
class SequenceRing {
  public:
    // Numbers begin at `first`.
    explicit SequenceRing(std::uint64_t first) : begin_(first), end_(first) {}

    [[nodiscard]] std::uint64_t begin_number() const { return begin_; }
    [[nodiscard]] std::uint64_t end_number() const { return end_; }
    [[nodiscard]] std::uint64_t size() const { return end_ - begin_; }
    [[nodiscard]] bool empty() const { return begin_ == end_; }
    [[nodiscard]] bool contains(std::uint64_t number) const {
        return number >= begin_ && number < end_;
    }

    // Returns the new element's number.
    std::uint64_t push(T value) {
        if (size() == slots_.size()) {
            grow();
        }
        slots_[position(end_)] = std::move(value);
        return end_++;
    }
    T& at(std::uint64_t number) {
        CAIRN_ASSERT(contains(number));
        return slots_[position(number)];
    }
    T& front() { return at(begin_); }
    void pop() {
        front() = T{};
        ++begin_;
    }

  private:
    static constexpr std::size_t kInitialSlots = 64;

    [[nodiscard]] std::size_t position(std::uint64_t number) const {
        return static_cast<std::size_t>(number) & (slots_.size() - 1);
    }
    void grow() {
        std::vector<T> bigger(slots_.empty() ? kInitialSlots : slots_.size() * 2);
        for (std::uint64_t number = begin_; number < end_; ++number) {
            bigger[static_cast<std::size_t>(number) & (bigger.size() - 1)] =
                std::move(slots_[position(number)]);
        }
        slots_ = std::move(bigger);
    }

    // Invariant: slots_.size() is zero or a power of two, and size() <= slots_.size().
    std::vector<T> slots_;
    std::uint64_t begin_;
    std::uint64_t end_;
};

}  // namespace cairn::server
