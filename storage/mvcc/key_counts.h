// KeyCounts: counts the keys of an interval from a tally that apply keeps up to date, so that only
// the ends of the interval and what has changed since the reader's revision are walked.
// Shared by the views of one state machine: advance() and the record are the state thread's,
// count() is any thread's.
// Never the truth: the engine is, and a count that the tally cannot help is walked there.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/engine.h"
#include "storage/mvcc/event.h"
#include "storage/mvcc/key_scan.h"
#include "storage/mvcc/key_tally.h"
#include "storage/mvcc/read_guard.h"

namespace cairn::storage::mvcc {

struct KeyCountsOptions {
    std::int64_t stretch_keys = 512;
    // Changes between two records of the tally in the engine: what an open follows at most, some
    // fifty milliseconds.
    std::uint64_t changes_to_store = 65'536;
    // Changes between a reader's revision and the newest that a count follows without more ado.
    std::uint64_t changes_to_follow = 4096;
};

class KeyCounts {
  public:
    // A moment of the store, and what sees it.
    struct Moment {
        std::shared_ptr<const EngineReader> reader;
        std::int64_t revision{};
        std::int64_t compacted{};
    };

    // The tally at `now`, from its record and the changes since; where those are not there any
    // more, by walking all keys. `collected`: changes before this revision may be gone. kCorrupt,
    // kIo.
    static Result<std::shared_ptr<KeyCounts>> open(const Moment& now, std::int64_t collected,
                                                   KeyCountsOptions options);

    // Goes on to `now`, by all changes in between. Before a view of that moment is shown.
    void advance(std::span<const std::shared_ptr<const EventBatch>> changes, Moment now);

    // What to keep under kMeta/"counts". The changes after the newest record must stay in the log
    // of revisions.
    [[nodiscard]] bool wants_record() const { return unrecorded_ >= options_.changes_to_store; }
    [[nodiscard]] std::int64_t recorded_at() const { return recorded_at_; }
    std::string take_record();

    // The live keys of the interval, which is no single key, at `revision`, which is readable by
    // `reader` and not newer than the tally. The guard's error when it says so.
    Result<std::int64_t> count(const EngineReader& reader, const Interval& interval,
                               std::int64_t revision, ReadGuard* guard);

  private:
    class Counting;
    // The tally of an older revision that is asked for again and again, as a list does page by
    // page, while more and more changes lie between it and the newest.
    struct Past {
        std::int64_t revision{};
        KeyTally tally;
    };
    // What a tally knows about an interval.
    struct Known {
        Moment at;
        bool past = false;
        std::int64_t keys = 0;                 // of the stretches inside
        std::vector<KeyTally::Stretch> cut{};  // those it holds a part of: two at most
    };

    KeyCounts(KeyTally tally, KeyCountsOptions options)
        : options_(options), tally_(std::move(tally)) {}

    [[nodiscard]] Known look_up(const Interval& interval, std::int64_t revision) const;
    // Both are for those who come later: they may give up at any point.
    Result<void> remember(std::int64_t revision, ReadGuard* guard);
    Result<void> learn(const KeyTally::Stretch& stretch, KeyTally pieces, std::int64_t revision,
                       ReadGuard* guard);

    const KeyCountsOptions options_;
    // Of the state thread.
    std::uint64_t unrecorded_ = 0;  // changes since the newest record
    std::int64_t recorded_at_ = 0;

    mutable std::mutex mutex_;  // guards what follows
    KeyTally tally_;            // at now_.revision
    Moment now_;
    std::vector<std::shared_ptr<const Past>> pasts_;  // the newest last
};

}  // namespace cairn::storage::mvcc
