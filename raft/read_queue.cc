#include "raft/read_queue.h"

#include "base/assert.h"

namespace cairn::raft {

void ReadQueue::reset() {
    CAIRN_ASSERT(reads_.empty());
    assigned_ = 0;
    round_ = 0;
}

bool ReadQueue::add(NodeId from, std::uint64_t request) {
    if (reads_.size() >= kPendingMax) {
        return false;
    }
    reads_.push_back({.from = from, .request = request, .round = 0, .index = {}});
    return true;
}

void ReadQueue::begin_round(Index commit) {
    ++round_;
    for (; assigned_ < reads_.size(); ++assigned_) {
        reads_[assigned_].round = round_;
        reads_[assigned_].index = commit;
    }
}

void ReadQueue::take_confirmed(std::uint64_t round, std::vector<PendingRead>& out) {
    std::size_t count = 0;
    while (count < assigned_ && reads_[count].round <= round) {
        out.push_back(reads_[count]);
        ++count;
    }
    reads_.erase(reads_.begin(), reads_.begin() + static_cast<std::ptrdiff_t>(count));
    assigned_ -= count;
}

void ReadQueue::take_all(std::vector<PendingRead>& out) {
    out.insert(out.end(), reads_.begin(), reads_.end());
    reads_.clear();
    assigned_ = 0;
}

}  // namespace cairn::raft
