// KeyTally: how many keys live in each stretch of the key space at one revision, kept up by telling
// it of every key that begins or ends to live. It starts with no key at all, and then is exact.
// A value; one thread at a time. Its bytes: docs/formats/keys.md.
// Never holds a key by itself but the two at the ends of a stretch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace cairn::storage::mvcc {

class KeyTally {
  public:
    // Keys in a stretch before a new one is begun beside it. Births between its ends have no such
    // bound: only whoever walks the keys can tell where to cut a stretch (replace).
    explicit KeyTally(std::int64_t stretch_keys) : stretch_keys_(stretch_keys) {}

    // A key that did not live does now.
    void born(ByteView key);
    // A key that lived does not any more.
    void died(ByteView key);

    // Both ends belong to it, and every live key belongs to one; the ends themselves may be dead.
    struct Stretch {
        std::string first;
        std::string last;
        std::int64_t keys = 0;  // > 0

        bool operator==(const Stretch&) const = default;
    };
    [[nodiscard]] const std::vector<Stretch>& stretches() const { return stretches_; }
    // The first stretch that ends at the key or behind it; their number when there is none.
    [[nodiscard]] std::size_t reaching(ByteView key) const;
    // The stretch that is known to be of these pieces.
    void replace(std::size_t index, KeyTally pieces);

    [[nodiscard]] std::int64_t stretch_keys() const { return stretch_keys_; }

    // kMeta/"counts", with the revision at which the tally holds.
    [[nodiscard]] std::string encode(std::int64_t revision) const;
    // Into a tally without keys; returns the revision. kCorrupt.
    Result<std::int64_t> decode(ByteView bytes);

  private:
    [[nodiscard]] bool holds(std::size_t index, ByteView key) const;
    void merge_if_small(std::size_t index);

    std::int64_t stretch_keys_;
    std::vector<Stretch> stretches_;  // in order, not touching
    std::size_t hint_ = 0;            // where the last key was: the next is often there or behind
};

}  // namespace cairn::storage::mvcc
