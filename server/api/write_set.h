// WriteSet: the keys that one list of a Txn puts and deletes, to find keys given twice.
// Local to one validation on a session's thread; borrows the keys from the request.
// Never outlives the request that it was filled from.
#pragma once

#include <compare>
#include <map>
#include <set>

#include "base/bytes.h"

namespace cairn::server::api {

// The upper end of an interval: before `key`, or nowhere when `open`.
struct IntervalEnd {
    bool open = false;  // first, so that an open end compares above every key
    ByteView key;

    auto operator<=>(const IntervalEnd&) const = default;
};

// A union of deleted keys and intervals.
class DeleteSet {
  public:
    // etcd's range conventions: no end is one key, "\0" is an open end, an end <= key is nothing.
    void add(ByteView key, ByteView range_end);
    [[nodiscard]] bool contains(ByteView key) const;
    // Whether any of `keys` is in the set; costs the smaller of the two, times a logarithm.
    [[nodiscard]] bool contains_any(const std::set<ByteView>& keys) const;
    void merge(DeleteSet other);

  private:
    void add_interval(ByteView begin, IntervalEnd end);

    std::set<ByteView> points_;
    // Invariant: disjoint, not touching, each begin < end.
    std::map<ByteView, IntervalEnd> intervals_;
};

// What one list of operations writes, with the lists of its nested Txns joined in.
struct WriteSet {
    std::set<ByteView> puts;
    DeleteSet deletes;

    // Whether a put of `other` meets a put or a delete that is here already.
    [[nodiscard]] bool collides_with_puts_of(const WriteSet& other) const;
    void merge(WriteSet other);
};

}  // namespace cairn::server::api
