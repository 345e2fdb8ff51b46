// KeyCounts: how many keys live in each stretch of the key space, kept from earlier walks, so that
// a count over many keys walks only the ends of its interval and what has changed since.
// Shared by the views of one state machine; any thread.
// Never the truth: the reader is, and what is not known here is walked there (after a start: all).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/engine.h"
#include "storage/mvcc/key_scan.h"
#include "storage/mvcc/range.h"
#include "storage/mvcc/read_guard.h"

namespace cairn::storage::mvcc {

class KeyCounts {
  public:
    // Keys in a stretch when it is walked; up to four times as many after puts.
    explicit KeyCounts(std::int64_t stretch_keys = 512) : stretch_keys_(stretch_keys) {}

    // The live keys of the interval, which is no single key, at `revision`, which is readable;
    // `bounds` are those of the reader. The guard's error when it says so.
    Result<std::int64_t> count(const EngineReader& reader, const ReadBounds& bounds,
                               const Interval& interval, std::int64_t revision, ReadGuard* guard);

    // From one stretch's first key to the next one's.
    struct Stretch {
        std::string first;  // the whole tally's begins with the empty key
        std::int64_t keys = kUnknown;
    };
    static constexpr std::int64_t kUnknown = -1;
    struct Tally {
        std::int64_t revision{};
        std::vector<Stretch> stretches;
    };

  private:
    [[nodiscard]] std::shared_ptr<const Tally> usable(const ReadBounds& bounds) const;
    void keep(Tally tally);

    const std::int64_t stretch_keys_;
    mutable std::mutex mutex_;  // guards both; what they point to is immutable
    std::shared_ptr<const Tally> newest_;
    std::shared_ptr<const Tally> before_;  // for a reader that is a little older than the newest
};

}  // namespace cairn::storage::mvcc
