#include "storage/mvcc/key_counts.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "storage/mvcc/record.h"
#include "storage/schema.h"

namespace cairn::storage::mvcc {
namespace {

using Stretch = KeyCounts::Stretch;
using Tally = KeyCounts::Tally;
constexpr std::int64_t kUnknown = KeyCounts::kUnknown;

// A tally is brought up to date for those who come later once that many changes were walked.
constexpr std::uint64_t kChangesToKeep = 1024;

// The longest bound of a request that a tally keeps.
constexpr std::size_t kBorderBytesMax = 256;

// What stands between two keys, the second included: as short as can be.
std::string separator(ByteView before, ByteView key) {
    const auto differ = std::mismatch(before.begin(), before.end(), key.begin(), key.end());
    return std::string(key.substr(0, static_cast<std::size_t>(differ.second - key.begin()) + 1));
}

// What to count, and where.
struct Task {
    const EngineReader& reader;
    const Interval& interval;
    std::int64_t revision;
    ReadGuard* guard;
};

// One count. What it learns on the way becomes a newer tally.
class Counting {
  public:
    Counting(const Task& task, const Tally& tally, std::int64_t stretch_keys)
        : task_(task),
          tally_(tally),
          stretch_keys_(stretch_keys),
          distance_(std::abs(task.revision - tally.revision)) {}

    Result<std::int64_t> run() {
        const std::size_t begin = index_of(task_.interval.key);
        const std::size_t end =
            task_.interval.open ? tally_.stretches.size() : index_of(task_.interval.end) + 1;
        std::int64_t known = 0;
        for (std::size_t i = begin; i < end; ++i) {
            known += is_good(i) && covers(i) ? tally_.stretches[i].keys : 0;
        }
        // Else it is cheaper to walk the keys than the changes.
        CAIRN_TRY(follow_if(distance_ <= known));
        std::int64_t total = 0;
        for (std::size_t i = begin; i < end; ++i) {
            if (followed_ && is_good(i) && covers(i)) {
                total += keys_now(i);
            } else {
                CAIRN_TRY(const std::int64_t found, walk(i));
                total += found;
            }
        }
        return total;
    }

    // The tally at this count's revision, when it is newer or knows more.
    Result<std::optional<Tally>> newer_tally() {
        if (!may_learn() || (learned_.empty() && changes_ < kChangesToKeep)) {
            return std::optional<Tally>();
        }
        std::int64_t known = 0;
        for (const Stretch& stretch : tally_.stretches) {
            known += std::max<std::int64_t>(stretch.keys, 0);
        }
        CAIRN_TRY(follow_if(distance_ <= known));
        Tally newer{task_.revision, {}};
        auto learned = learned_.begin();
        for (std::size_t i = 0; i < tally_.stretches.size(); ++i) {
            if (learned != learned_.end() && learned->index == i) {
                for (Stretch& piece : learned->pieces) {
                    append(newer.stretches, std::move(piece));
                }
                ++learned;
            } else {
                append(newer.stretches, {tally_.stretches[i].first, keys_now(i)});
            }
        }
        return std::optional<Tally>(std::move(newer));
    }

  private:
    // What takes the place of one stretch.
    struct Learned {
        std::size_t index{};
        std::vector<Stretch> pieces{};
    };

    [[nodiscard]] std::size_t index_of(ByteView key) const {
        const auto behind = std::upper_bound(
            tally_.stretches.begin(), tally_.stretches.end(), key,
            [](ByteView wanted, const Stretch& stretch) { return wanted < stretch.first; });
        return static_cast<std::size_t>(behind - tally_.stretches.begin()) - 1;
    }
    // Known, and not so large that its ends should not be walked.
    [[nodiscard]] bool is_good(std::size_t i) const {
        const std::int64_t keys = tally_.stretches[i].keys;
        return keys != kUnknown && keys <= 4 * stretch_keys_;
    }
    [[nodiscard]] bool is_last(std::size_t i) const { return i + 1 == tally_.stretches.size(); }
    [[nodiscard]] ByteView end_of(std::size_t i) const {
        return is_last(i) ? ByteView() : ByteView(tally_.stretches[i + 1].first);
    }
    // Whether the whole stretch lies in the interval.
    [[nodiscard]] bool covers(std::size_t i) const {
        return tally_.stretches[i].first >= task_.interval.key &&
               (task_.interval.open || (!is_last(i) && end_of(i) <= task_.interval.end));
    }
    [[nodiscard]] bool may_learn() const { return task_.revision >= tally_.revision; }

    // At our revision, as far as the changes were followed.
    [[nodiscard]] std::int64_t keys_now(std::size_t i) const {
        const std::int64_t keys = tally_.stretches[i].keys;
        if (keys == kUnknown || !followed_) {
            return kUnknown;
        }
        return distance_ == 0 ? keys : keys + born_[i];
    }

    // From the tally's revision to ours, forwards or backwards. Only births and deaths count, and
    // the log of revisions tells them: a put that replaced nothing, and every delete.
    Result<void> follow_if(bool worthwhile) {
        if (followed_ || !worthwhile) {
            return ok();
        }
        followed_ = true;
        if (distance_ == 0) {
            return ok();
        }
        born_.resize(tally_.stretches.size());
        const std::int64_t sign = may_learn() ? 1 : -1;
        const std::int64_t from = std::min(tally_.revision, task_.revision);
        const auto it =
            task_.reader.iterate(ColumnFamily::kRevlog, schema::revlog_key({from + 1, 0}),
                                 schema::revlog_key({from + distance_ + 1, 0}));
        for (; it->valid(); it->next()) {
            if (++changes_ % kKeysPerLook == 0 && task_.guard != nullptr) {
                CAIRN_TRY(task_.guard->go_on());
            }
            CAIRN_TRY(const RevlogRecord record, decode_revlog_record(it->value()));
            if (record.kind == EventKind::kDelete) {
                born_[index_of(record.key)] -= sign;
            } else if (record.replaced.main == 0) {
                born_[index_of(record.key)] += sign;
            }
        }
        return it->status();
    }

    // Counts what the interval and the stretch share, key by key.
    Result<std::int64_t> walk(std::size_t i) {
        const ByteView first = tally_.stretches[i].first;
        Interval part = task_.interval;
        part.key = std::max(part.key, first);
        part.open = task_.interval.open && is_last(i);
        if (!is_last(i)) {
            part.end = task_.interval.open ? end_of(i) : std::min(end_of(i), part.end);
        }
        std::vector<Stretch> pieces{{std::string(part.key), 0}};
        CAIRN_TRY(const std::int64_t found, walk_keys(part, pieces));
        // A part of a stretch that is known teaches nothing, and a small part too little.
        const bool known = followed_ && is_good(i);
        if (!may_learn() || known || (!covers(i) && found < stretch_keys_)) {
            return found;
        }
        // A request's own bounds become borders that stay: not those as long as a request may be.
        if (!covers(i) && std::max(part.key.size(), part.end.size()) > kBorderBytesMax) {
            return found;
        }
        Learned& learned = learned_.emplace_back(Learned{.index = i});
        if (first < part.key) {
            learned.pieces.push_back({std::string(first), kUnknown});
        }
        std::move(pieces.begin(), pieces.end(), std::back_inserter(learned.pieces));
        if (!part.open && (is_last(i) || part.end < end_of(i))) {
            learned.pieces.push_back({std::string(part.end), kUnknown});
        }
        return found;
    }

    Result<std::int64_t> walk_keys(const Interval& part, std::vector<Stretch>& pieces) {
        KeyScan scan(task_.reader, part, task_.revision, task_.guard);
        std::int64_t found = 0;
        std::string last;  // of a full piece
        for (;;) {
            CAIRN_TRY(const bool more, scan.next());
            if (!more) {
                return found;
            }
            ++found;
            if (pieces.back().keys == stretch_keys_) {
                pieces.push_back({separator(last, scan.at().key), 0});
            }
            if (++pieces.back().keys == stretch_keys_) {
                last = scan.at().key;
            }
        }
    }

    // Small neighbours become one, so that there are at most a few stretches for each
    // `stretch_keys_` keys, whatever was deleted.
    void append(std::vector<Stretch>& stretches, Stretch stretch) const {
        if (stretches.empty()) {
            stretches.push_back(std::move(stretch));
            return;
        }
        std::int64_t& before = stretches.back().keys;
        if (before == kUnknown || stretch.keys == kUnknown) {
            if (std::max(before, stretch.keys) < stretch_keys_ / 4) {
                before = kUnknown;
                return;
            }
        } else if (before + stretch.keys < stretch_keys_ / 2) {
            before += stretch.keys;
            return;
        }
        stretches.push_back(std::move(stretch));
    }

    const Task& task_;
    const Tally& tally_;
    const std::int64_t stretch_keys_;
    const std::int64_t distance_;  // in revisions
    bool followed_ = false;
    std::uint64_t changes_ = 0;
    std::vector<std::int64_t> born_;  // by stretch: births less deaths
    std::vector<Learned> learned_;    // in the order of their stretches
};

}  // namespace

Result<std::int64_t> KeyCounts::count(const EngineReader& reader, const ReadBounds& bounds,
                                      const Interval& interval, std::int64_t revision,
                                      ReadGuard* guard) {
    CAIRN_ASSERT(!interval.single);
    if (interval.empty()) {
        return std::int64_t{0};
    }
    std::shared_ptr<const Tally> tally = usable(bounds);
    if (tally == nullptr) {
        tally = std::make_shared<const Tally>(Tally{revision, {Stretch{}}});
    }
    const Task task{reader, interval, revision, guard};
    Counting counting(task, *tally, stretch_keys_);
    CAIRN_TRY(const std::int64_t total, counting.run());
    CAIRN_TRY(std::optional<Tally> newer, counting.newer_tally());
    if (newer.has_value()) {
        keep(*std::move(newer));
    }
    return total;
}

// The reader must see the changes from the tally's revision on: those below the compacted one are
// gone, those above the reader's own are not there yet.
std::shared_ptr<const Tally> KeyCounts::usable(const ReadBounds& bounds) const {
    const std::lock_guard lock(mutex_);
    for (const auto& tally : {newest_, before_}) {
        if (tally != nullptr && tally->revision <= bounds.revision &&
            tally->revision + 1 >= bounds.compacted) {
            return tally;
        }
    }
    return nullptr;
}

void KeyCounts::keep(Tally tally) {
    auto kept = std::make_shared<const Tally>(std::move(tally));
    const std::lock_guard lock(mutex_);
    if (newest_ == nullptr || newest_->revision < kept->revision) {
        before_.swap(newest_);
        newest_.swap(kept);
    } else if (newest_->revision == kept->revision) {
        newest_.swap(kept);
    }
}

}  // namespace cairn::storage::mvcc
