#include "server/replica/apply_flow.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/buggify.h"
#include "storage/command.h"

namespace cairn::server {

void ApplyFlow::push(std::vector<raft::Entry>& entries) {
    if (entries.empty()) {
        return;
    }
    if (head_ == queue_.size()) {
        queue_.clear();
        head_ = 0;
        queue_.swap(entries);
        return;
    }
    CAIRN_ASSERT(queue_.back().id.index + 1 == entries.front().id.index);
    queue_.insert(queue_.end(), std::make_move_iterator(entries.begin()),
                  std::make_move_iterator(entries.end()));
    entries.clear();
}

void ApplyFlow::take(std::vector<raft::Entry>& out) {
    if (in_flight_to_ || head_ == queue_.size()) {
        return;
    }
    CAIRN_ASSERT(queue_[head_].id.index == applied_ + 1);
    std::uint64_t bytes = 0;
    std::size_t end = head_;
    while (end < queue_.size()) {
        bytes += queue_[end].cost_bytes() +
                 std::min(storage::answer_bytes_max(queue_[end].payload.view()), bytes_max_);
        if (end > head_ && (bytes > bytes_max_ || CAIRN_BUGGIFY("replica.applies_fewer"))) {
            break;
        }
        ++end;
    }
    in_flight_to_ = queue_[end - 1].id.index;
    if (head_ == 0 && end == queue_.size()) {
        out.swap(queue_);
        queue_.clear();
        return;
    }
    const auto first = queue_.begin() + static_cast<std::ptrdiff_t>(head_);
    const auto last = queue_.begin() + static_cast<std::ptrdiff_t>(end);
    out.assign(std::make_move_iterator(first), std::make_move_iterator(last));
    head_ = end;
}

bool ApplyFlow::pause() {
    queue_.clear();
    head_ = 0;
    return !in_flight_to_;
}

void ApplyFlow::resume(Index applied) {
    CAIRN_ASSERT(!in_flight_to_ && queue_.empty() && applied > applied_);
    applied_ = applied;
}

void ApplyFlow::on_applied(Index applied) {
    CAIRN_ASSERT(in_flight_to_ == applied);
    applied_ = applied;
    in_flight_to_ = Index{};
}

}  // namespace cairn::server
