#include "storage/mvcc/key_tally.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "storage/coding.h"

namespace cairn::storage::mvcc {
namespace {

void append_text(std::string& out, ByteView text) {
    append_varint(out, text.size());
    out += text;
}

bool take_text(ByteView& in, std::string& text) {
    std::uint64_t size = 0;
    if (!take_varint(in, size) || size > in.size()) {
        return false;
    }
    text = in.substr(0, size);
    in.remove_prefix(size);
    return true;
}

}  // namespace

void KeyTally::born(ByteView key) {
    const std::size_t i = hint_ = reaching(key);
    if (holds(i, key)) {
        ++stretches_[i].keys;
    } else if (i > 0 && stretches_[i - 1].keys < stretch_keys_) {
        stretches_[i - 1].last = key;
        ++stretches_[i - 1].keys;
    } else if (i < stretches_.size() && stretches_[i].keys < stretch_keys_) {
        stretches_[i].first = key;
        ++stretches_[i].keys;
    } else {
        stretches_.insert(stretches_.begin() + static_cast<std::ptrdiff_t>(i),
                          {std::string(key), std::string(key), 1});
    }
}

void KeyTally::died(ByteView key) {
    const std::size_t i = hint_ = reaching(key);
    CAIRN_ASSERT(holds(i, key));
    if (--stretches_[i].keys == 0) {
        stretches_.erase(stretches_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
        merge_if_small(i);
    }
    if (i > 0) {
        merge_if_small(i - 1);
    }
}

// With the one behind: so there are at most a few stretches for each `stretch_keys_` keys, whatever
// was deleted.
void KeyTally::merge_if_small(std::size_t index) {
    if (index + 1 >= stretches_.size()) {
        return;
    }
    Stretch& before = stretches_[index];
    Stretch& behind = stretches_[index + 1];
    if (before.keys + behind.keys < stretch_keys_ / 2) {
        before.last = std::move(behind.last);
        before.keys += behind.keys;
        stretches_.erase(stretches_.begin() + static_cast<std::ptrdiff_t>(index) + 1);
    }
}

bool KeyTally::holds(std::size_t index, ByteView key) const {
    return index < stretches_.size() && stretches_[index].first <= key;
}

std::size_t KeyTally::reaching(ByteView key) const {
    for (std::size_t i = hint_; i <= hint_ + 1 && i <= stretches_.size(); ++i) {
        const bool starts_here = i == 0 || stretches_[i - 1].last < key;
        if (starts_here && (i == stretches_.size() || key <= stretches_[i].last)) {
            return i;
        }
    }
    const auto found = std::lower_bound(
        stretches_.begin(), stretches_.end(), key,
        [](const Stretch& stretch, ByteView wanted) { return stretch.last < wanted; });
    return static_cast<std::size_t>(found - stretches_.begin());
}

void KeyTally::replace(std::size_t index, KeyTally pieces) {
    const auto place = stretches_.begin() + static_cast<std::ptrdiff_t>(index);
    std::int64_t keys = place->keys;
    for (const Stretch& piece : pieces.stretches_) {
        CAIRN_ASSERT(place->first <= piece.first && piece.last <= place->last);
        keys -= piece.keys;
    }
    CAIRN_ASSERT(keys == 0);
    stretches_.insert(stretches_.erase(place), std::make_move_iterator(pieces.stretches_.begin()),
                      std::make_move_iterator(pieces.stretches_.end()));
}

std::string KeyTally::encode(std::int64_t revision) const {
    std::string out;
    append_u64_be(out, static_cast<std::uint64_t>(revision));
    for (const Stretch& stretch : stretches_) {
        append_text(out, stretch.first);
        append_text(out, stretch.last);
        append_varint(out, static_cast<std::uint64_t>(stretch.keys));
    }
    return out;
}

Result<std::int64_t> KeyTally::decode(ByteView bytes) {
    CAIRN_ASSERT(stretches_.empty());
    const Error corrupt(Errc::kCorrupt, "engine: bad counts of keys");
    std::uint64_t revision = 0;
    if (!take_u64_be(bytes, revision)) {
        return corrupt;
    }
    while (!bytes.empty()) {
        Stretch stretch;
        std::uint64_t keys = 0;
        if (!take_text(bytes, stretch.first) || !take_text(bytes, stretch.last) ||
            !take_varint(bytes, keys)) {
            return corrupt;
        }
        stretch.keys = static_cast<std::int64_t>(keys);
        const bool in_order = stretches_.empty() || stretches_.back().last < stretch.first;
        if (stretch.keys <= 0 || stretch.last < stretch.first || !in_order) {
            return corrupt;
        }
        stretches_.push_back(std::move(stretch));
    }
    return static_cast<std::int64_t>(revision);
}

}  // namespace cairn::storage::mvcc
