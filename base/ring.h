// A fixed ring that keeps the newest N values: flight recorders and statistics.
// One owner, no thread safety. Never allocates after construction.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace cairn {

// N is a power of two.
template <class T, std::size_t N>
class Ring {
    static_assert(N > 0 && (N & (N - 1)) == 0);

  public:
    void push(const T& value) {
        slots_[count_ & (N - 1)] = value;
        ++count_;
    }
    // How many were ever pushed.
    [[nodiscard]] std::size_t pushed() const { return count_; }
    // The values still held, oldest first.
    [[nodiscard]] std::vector<T> values() const {
        const std::size_t held = count_ < N ? count_ : N;
        std::vector<T> out;
        out.reserve(held);
        for (std::size_t at = count_ - held; at < count_; ++at) {
            out.push_back(slots_[at & (N - 1)]);
        }
        return out;
    }

  private:
    std::array<T, N> slots_{};
    std::size_t count_ = 0;
};

}  // namespace cairn
