// The collector: removes what compaction made invisible, a bounded step at a time.
// Owned by the state machine; state thread only, between applies.
// Never changes what a reader at a readable revision sees, nor what HashKV says.
//
// It walks kRevlog from the last finished compaction S (inclusive) to a target T = the compacted
// revision when the walk began. For the change at revision m:
//   - the version it replaced goes (for m = S it went in the walk before, unless it was made at S);
//     a version made at T itself stays for watches from T;
//   - with m < T the revlog entry goes, and a tombstone with its stub in kKeys, if still the
//   newest.
// So each history and revlog key is deleted exactly once, which SingleDelete needs.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "storage/engine.h"
#include "storage/mvcc/record.h"
#include "storage/mvcc/revision.h"

namespace cairn::storage::mvcc {

class Collector {
  public:
    // Reads where the last step stopped.
    static Result<Collector> open(const EngineReader& reader);

    // Up to this revision everything is collected; 0 when nothing ever was.
    [[nodiscard]] std::int64_t done() const { return state_.done; }
    // Changes before this revision may be gone from kRevlog.
    [[nodiscard]] std::int64_t reached() const { return state_.target; }
    [[nodiscard]] bool has_work(std::int64_t compacted) const { return compacted > state_.done; }

    // Looks at up to `budget` changes and writes their removal and its own place as one batch.
    // kIo, kNoSpace, kCorrupt.
    Result<void> step(KvEngine& engine, std::int64_t compacted, std::uint64_t budget);

  private:
    struct State {
        std::int64_t done = 0;    // S
        std::int64_t target = 0;  // T of the walk under way; equal to done when there is none
        Revision cursor;          // the next change to look at
    };
    Result<void> collect(const EngineReader& reader, Revision at, const RevlogRecord& change,
                         WriteBatch& batch) const;
    [[nodiscard]] static std::string encode(const State& state);
    static Result<State> decode(ByteView bytes);

    // Invariant: done <= target; cursor.main is in [done, target + 1].
    State state_;
};

}  // namespace cairn::storage::mvcc
