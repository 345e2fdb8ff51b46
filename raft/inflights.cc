#include "raft/inflights.h"

#include <algorithm>

#include "base/assert.h"
#include "base/mutant.h"

namespace cairn::raft {

Inflights::Inflights(std::uint32_t count_max, std::uint64_t bytes_max)
    : count_max_(count_max), bytes_max_(bytes_max) {
    CAIRN_ASSERT(count_max > 0 && bytes_max > 0);
}

void Inflights::grow() {
    const std::size_t size =
        std::min<std::size_t>(count_max_, std::max<std::size_t>(8, ring_.size() * 2));
    std::vector<Sent> bigger(size);
    for (std::uint32_t i = 0; i < count_; ++i) {
        bigger[i] = ring_[(head_ + i) % ring_.size()];
    }
    ring_ = std::move(bigger);
    head_ = 0;
}

void Inflights::add(Index last, std::uint64_t bytes) {
    CAIRN_ASSERT(!full());
    if (count_ == ring_.size()) {
        grow();
    }
    ring_[(head_ + count_) % ring_.size()] = Sent{last, bytes};
    ++count_;
    bytes_ += bytes;
}

void Inflights::free_up_to(Index match) {
    while (count_ > 0 && ring_[head_].last <= match) {
        bytes_ -= CAIRN_MUTANT(inflight_bytes_leak) ? 0 : ring_[head_].bytes;
        head_ = static_cast<std::uint32_t>((head_ + 1) % ring_.size());
        --count_;
    }
}

void Inflights::clear() {
    head_ = 0;
    count_ = 0;
    bytes_ = 0;
}

}  // namespace cairn::raft
