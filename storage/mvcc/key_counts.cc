#include "storage/mvcc/key_counts.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/assert.h"
#include "storage/mvcc/record.h"
#include "storage/schema.h"

namespace cairn::storage::mvcc {
namespace {

using Stretch = KeyTally::Stretch;

// A store that was never recorded begins here, without a key.
constexpr std::int64_t kRevisionOfEmpty = 1;
// A stretch that has grown to so many times its size is walked as a whole once a count cuts it.
constexpr std::int64_t kStretchesTooLarge = 4;
// How often a walk's finding runs after the newest revision, which runs on.
constexpr int kTriesToLearn = 8;
constexpr std::size_t kPastsMax = 4;

void tell(KeyTally& tally, ByteView key, int lives) {
    if (lives > 0) {
        tally.born(key);
    } else if (lives < 0) {
        tally.died(key);
    }
}

// Whether a change lets a key begin (1) or end (-1) to live.
int lives_of(const RevlogRecord& change) {
    if (change.kind == EventKind::kDelete) {
        return -1;
    }
    return change.replaced.main == 0 ? 1 : 0;
}
int lives_of(const Event& event) {
    if (event.kind == EventKind::kDelete) {
        return -1;
    }
    return event.prev_kv.version == 0 ? 1 : 0;
}

// Visits all changes after one revision up to another, until a visit says no: then false.
template <class Visit>
Result<bool> follow(const EngineReader& reader, std::int64_t after, std::int64_t up_to,
                    ReadGuard* guard, Visit visit) {
    const auto it = reader.iterate(ColumnFamily::kRevlog, schema::revlog_key({after + 1, 0}),
                                   schema::revlog_key({up_to + 1, 0}));
    for (std::uint64_t walked = 1; it->valid(); it->next(), ++walked) {
        if (guard != nullptr && walked % kKeysPerLook == 0) {
            CAIRN_TRY(guard->go_on());
        }
        CAIRN_TRY(const RevlogRecord change, decode_revlog_record(it->value()));
        if (!visit(change.key, lives_of(change))) {
            return false;
        }
    }
    CAIRN_TRY(it->status());
    return true;
}

bool lies_in(const Stretch& stretch, ByteView key) {
    return stretch.first <= key && key <= stretch.last;
}

Result<void> walk_all(const KeyCounts::Moment& now, KeyTally& tally) {
    KeyScan scan(*now.reader, interval_of({}, ByteView("\0", 1)), now.revision);
    for (;;) {
        CAIRN_TRY(const bool more, scan.next());
        if (!more) {
            return ok();
        }
        tally.born(scan.at().key);
    }
}

}  // namespace

Result<std::shared_ptr<KeyCounts>> KeyCounts::open(const Moment& now, std::int64_t collected,
                                                   KeyCountsOptions options) {
    KeyTally tally(options.stretch_keys);
    std::int64_t recorded_at = kRevisionOfEmpty;
    CAIRN_TRY(const auto record, now.reader->get(ColumnFamily::kMeta, schema::kMetaCounts));
    if (record) {
        CAIRN_TRY(recorded_at, tally.decode(*record));
    }
    if (now.revision < recorded_at) {
        return Error(Errc::kCorrupt, "engine: counts of keys of a later revision");
    }
    const auto distance = static_cast<std::uint64_t>(now.revision - recorded_at);
    std::uint64_t changes = 0;
    if (recorded_at + 1 >= collected && distance <= 2 * options.changes_to_store) {
        CAIRN_TRY(follow(*now.reader, recorded_at, now.revision, nullptr,
                         [&tally, &changes](ByteView key, int lives) {
                             tell(tally, key, lives);
                             ++changes;
                             return true;
                         }));
    } else {
        // Of a build that kept no record, or seldom.
        tally = KeyTally(options.stretch_keys);
        CAIRN_TRY(walk_all(now, tally));
        changes = options.changes_to_store;
    }
    auto counts = std::shared_ptr<KeyCounts>(new KeyCounts(std::move(tally), options));
    counts->unrecorded_ = changes;
    counts->recorded_at_ = recorded_at;
    counts->now_ = now;
    return counts;
}

void KeyCounts::advance(std::span<const std::shared_ptr<const EventBatch>> changes, Moment now) {
    const std::lock_guard lock(mutex_);
    for (const auto& batch : changes) {
        unrecorded_ += batch->events.size();
        for (const Event& event : batch->events) {
            tell(tally_, event.kv.key.view(), lives_of(event));
        }
    }
    std::swap(now_, now);
    // The moment before goes after the lock: it may hold the last hand on an engine's snapshot.
}

std::string KeyCounts::take_record() {
    const std::lock_guard lock(mutex_);
    unrecorded_ = 0;
    recorded_at_ = now_.revision;
    return tally_.encode(now_.revision);
}

KeyCounts::Known KeyCounts::look_up(const Interval& interval, std::int64_t revision) const {
    Known known;
    const std::lock_guard lock(mutex_);
    known.at = now_;
    const KeyTally* tally = &tally_;
    for (const auto& past : pasts_) {
        if (past->revision == revision && now_.revision != revision) {
            known.at.revision = revision;
            known.past = true;
            tally = &past->tally;
        }
    }
    const auto& stretches = tally->stretches();
    std::size_t i = tally->reaching(interval.key);
    const std::size_t end = interval.open ? stretches.size() : tally->reaching(interval.end);
    if (i < end && stretches[i].first < interval.key) {
        known.cut.push_back(stretches[i++]);
    }
    for (; i < end; ++i) {
        known.keys += stretches[i].keys;
    }
    if (end < stretches.size() && stretches[end].first < interval.end) {
        known.cut.push_back(stretches[end]);
    }
    return known;
}

// One count.
class KeyCounts::Counting {
  public:
    Counting(KeyCounts& counts, const EngineReader& reader, const Interval& interval,
             std::int64_t revision, ReadGuard* guard)
        : counts_(counts),
          reader_(reader),
          interval_(interval),
          revision_(revision),
          guard_(guard),
          known_(counts.look_up(interval, revision)) {
        CAIRN_ASSERT(known_.at.revision >= revision);
    }

    Result<std::int64_t> run() {
        CAIRN_TRY(const bool followed, follow_back());
        if (!followed) {
            return walk(interval_, nullptr);
        }
        std::int64_t total = known_.keys - born_since_;
        for (const Stretch& stretch : known_.cut) {
            CAIRN_TRY(const std::int64_t found, walk_cut(stretch));
            total += found;
        }
        return total;
    }

  private:
    // From the tally's revision to ours. False when it is cheaper to walk the keys, or the changes
    // are gone.
    Result<bool> follow_back() {
        if (known_.at.revision == revision_) {
            return true;
        }
        if (known_.at.compacted > revision_ + 1) {
            return false;
        }
        std::int64_t worth = known_.keys;
        for (const Stretch& stretch : known_.cut) {
            worth += stretch.keys;
        }
        const std::uint64_t free = counts_.options_.changes_to_follow;
        std::uint64_t changes = 0;
        const auto visit = [this, &changes, worth, free](ByteView key, int lives) {
            ++changes;
            if (lives != 0 && interval_.contains(key) && !is_cut(key)) {
                born_since_ += lives;
            }
            // Keys that died since would have to be walked, too.
            return changes <= free + static_cast<std::uint64_t>(std::abs(born_since_) + worth);
        };
        CAIRN_TRY(const bool followed,
                  follow(*known_.at.reader, revision_, known_.at.revision, guard_, visit));
        if (followed && changes > free) {
            static_cast<void>(counts_.remember(revision_, guard_));
        }
        return followed;
    }

    [[nodiscard]] bool is_cut(ByteView key) const {
        return std::any_of(known_.cut.begin(), known_.cut.end(),
                           [key](const Stretch& stretch) { return lies_in(stretch, key); });
    }

    // The keys of the stretch that lie in the interval.
    Result<std::int64_t> walk_cut(const Stretch& stretch) {
        const std::string behind = stretch.last + '\0';
        Interval part;
        part.single = false;
        part.key = stretch.first;
        part.end = behind;
        const auto distance = static_cast<std::uint64_t>(known_.at.revision - revision_);
        if (!known_.past && stretch.keys > kStretchesTooLarge * counts_.options_.stretch_keys &&
            distance <= counts_.options_.changes_to_follow) {
            KeyTally pieces(counts_.options_.stretch_keys);
            CAIRN_TRY(const std::int64_t found, walk(part, &pieces));
            static_cast<void>(counts_.learn(stretch, std::move(pieces), revision_, guard_));
            return found;
        }
        part.key = std::max(part.key, interval_.key);
        if (!interval_.open) {
            part.end = std::min(part.end, interval_.end);
        }
        return walk(part, nullptr);
    }

    // Tells `pieces` of all keys; returns how many of them lie in the interval.
    Result<std::int64_t> walk(const Interval& part, KeyTally* pieces) {
        KeyScan scan(reader_, part, revision_, guard_);
        std::int64_t found = 0;
        for (;;) {
            CAIRN_TRY(const bool more, scan.next());
            if (!more) {
                return found;
            }
            found += interval_.contains(scan.at().key) ? 1 : 0;
            if (pieces != nullptr) {
                pieces->born(scan.at().key);
            }
        }
    }

    KeyCounts& counts_;
    const EngineReader& reader_;
    const Interval& interval_;
    const std::int64_t revision_;
    ReadGuard* guard_;
    const Known known_;
    std::int64_t born_since_ = 0;  // after our revision, less those that died
};

Result<std::int64_t> KeyCounts::count(const EngineReader& reader, const Interval& interval,
                                      std::int64_t revision, ReadGuard* guard) {
    CAIRN_ASSERT(!interval.single);
    if (interval.empty()) {
        return std::int64_t{0};
    }
    return Counting(*this, reader, interval, revision, guard).run();
}

// Backwards a death is a birth. All of those first: then no stretch ends while it has keys to lose.
Result<void> KeyCounts::remember(std::int64_t revision, ReadGuard* guard) {
    Moment now;
    Past past{revision, KeyTally(options_.stretch_keys)};
    {
        const std::lock_guard lock(mutex_);
        now = now_;
        past.tally = tally_;
    }
    if (now.compacted > revision + 1) {
        return ok();
    }
    for (const int pass : {-1, 1}) {
        CAIRN_TRY(follow(*now.reader, revision, now.revision, guard,
                         [&past, pass](ByteView key, int lives) {
                             tell(past.tally, key, lives == pass ? -lives : 0);
                             return true;
                         }));
    }
    auto kept = std::make_shared<const Past>(std::move(past));
    const std::lock_guard lock(mutex_);
    if (std::any_of(pasts_.begin(), pasts_.end(),
                    [revision](const auto& other) { return other->revision == revision; })) {
        return ok();
    }
    if (pasts_.size() == kPastsMax) {
        pasts_.erase(pasts_.begin());
    }
    pasts_.push_back(std::move(kept));
    return ok();
}

// What was walked at `revision`, brought to the newest.
Result<void> KeyCounts::learn(const Stretch& stretch, KeyTally pieces, std::int64_t revision,
                              ReadGuard* guard) {
    for (int i = 0; i < kTriesToLearn; ++i) {
        Moment now;
        {
            const std::lock_guard lock(mutex_);
            if (now_.revision == revision) {
                const std::size_t at = tally_.reaching(stretch.first);
                const auto& stretches = tally_.stretches();
                // Else it was walked by another reader, too, or has grown at an end.
                if (at < stretches.size() && stretches[at].first == stretch.first &&
                    stretches[at].last == stretch.last) {
                    tally_.replace(at, std::move(pieces));
                }
                return ok();
            }
            now = now_;
        }
        if (now.compacted > revision + 1) {
            return ok();
        }
        CAIRN_TRY(follow(*now.reader, revision, now.revision, guard,
                         [&stretch, &pieces](ByteView key, int lives) {
                             tell(pieces, key, lies_in(stretch, key) ? lives : 0);
                             return true;
                         }));
        revision = now.revision;
    }
    return ok();
}

}  // namespace cairn::storage::mvcc
