#include "server/api/write_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/mutant.h"

namespace cairn::server::api {

namespace {

constexpr ByteView kOpenEnd{"\0", 1};

// Costs the smaller set, so that joining nested lists level by level stays O(n log^2 n).
bool share_a_key(const std::set<ByteView>& left, const std::set<ByteView>& right) {
    const auto& [small, large] =
        left.size() <= right.size() ? std::tie(left, right) : std::tie(right, left);
    return std::any_of(small.begin(), small.end(),
                       [&large = large](ByteView key) { return large.contains(key); });
}

void join(std::set<ByteView>& into, std::set<ByteView>& from) {
    if (into.size() < from.size()) {
        into.swap(from);
    }
    into.merge(from);
}

}  // namespace

void DeleteSet::add(ByteView key, ByteView range_end) {
    if (range_end.empty()) {
        points_.insert(key);
    } else if (range_end == kOpenEnd) {
        // etcd takes this end literally here and lets a put of the same key pass, which a later
        // compaction can lose (etcd issue 22376).
        add_interval(key, {.open = true, .key = {}});
    } else if (key < range_end) {
        add_interval(key, {.open = false, .key = range_end});
    }
}

void DeleteSet::add_interval(ByteView begin, IntervalEnd end) {
    auto next = intervals_.upper_bound(begin);
    if (next != intervals_.begin()) {
        const auto before = std::prev(next);
        if (before->second >= IntervalEnd{.open = false, .key = begin}) {
            begin = before->first;
            next = before;
        }
    }
    while (next != intervals_.end() && IntervalEnd{.open = false, .key = next->first} <= end) {
        end = std::max(end, next->second);
        next = intervals_.erase(next);
    }
    intervals_.emplace(begin, end);
}

bool DeleteSet::contains(ByteView key) const {
    if (points_.contains(key)) {
        return true;
    }
    const auto next = intervals_.upper_bound(key);
    return next != intervals_.begin() &&
           (std::prev(next)->second > IntervalEnd{.open = false, .key = key} ||
            (CAIRN_MUTANT(api_deleted_end_inclusive) &&
             std::prev(next)->second == IntervalEnd{.open = false, .key = key}));
}

bool DeleteSet::contains_any(const std::set<ByteView>& keys) const {
    if (keys.size() <= points_.size() + intervals_.size()) {
        return std::any_of(keys.begin(), keys.end(),
                           [this](ByteView key) { return contains(key); });
    }
    if (share_a_key(points_, keys)) {
        return true;
    }
    return std::any_of(intervals_.begin(), intervals_.end(), [&keys](const auto& interval) {
        const auto first = keys.lower_bound(interval.first);
        return first != keys.end() && IntervalEnd{.open = false, .key = *first} < interval.second;
    });
}

void DeleteSet::merge(DeleteSet other) {
    join(points_, other.points_);
    if (intervals_.size() < other.intervals_.size()) {
        intervals_.swap(other.intervals_);
    }
    for (const auto& [begin, end] : other.intervals_) {
        add_interval(begin, end);
    }
}

bool WriteSet::collides_with_puts_of(const WriteSet& other) const {
    return share_a_key(puts, other.puts) || deletes.contains_any(other.puts);
}

void WriteSet::merge(WriteSet other) {
    join(puts, other.puts);
    deletes.merge(std::move(other.deletes));
}

}  // namespace cairn::server::api
