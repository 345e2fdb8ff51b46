// Walks the live keys of an interval as they were at a revision: the backbone of every read.
// Owned by one reader; one thread. The engine reader it works on is borrowed.
// Never touches a value unless it is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "storage/engine.h"
#include "storage/mvcc/read_guard.h"
#include "storage/mvcc/record.h"
#include "storage/mvcc/revision.h"

namespace cairn::storage::mvcc {

// The keys a request names; range_end as etcd reads it: empty is the key alone, one zero byte
// everything from the key on.
struct Interval {
    ByteView key;
    ByteView end;  // exclusive; of no meaning when single or open
    bool single = true;
    bool open = false;

    [[nodiscard]] bool empty() const { return !single && !open && end <= key; }
    [[nodiscard]] bool contains(ByteView other) const;
};
Interval interval_of(ByteView key, ByteView range_end);

// A live key at the scan's revision. Borrowed from the scan until its next move.
struct LiveKey {
    ByteView key;
    std::int64_t create{};
    Revision mod;
    std::int64_t version{};
    std::int64_t lease{};
    bool in_latest = false;  // the value is in kLatest
};

class KeyScan {
  public:
    // `revision`: what the caller has checked to be readable. Views in `interval` must outlive it,
    // and so must `guard`, which may be null.
    KeyScan(const EngineReader& reader, const Interval& interval, std::int64_t revision,
            ReadGuard* guard = nullptr);

    // To the next live key; false at the end. The guard's error when it says so.
    Result<bool> next();
    [[nodiscard]] const LiveKey& at() const { return at_; }
    // The value of at(); borrowed until the next move.
    Result<ByteView> value();

  private:
    Result<bool> next_single();
    // Decides what the record means at the revision; false when the key does not live then.
    Result<bool> look(ByteView key, const KeyRecord& record);
    Result<bool> look_in_history(ByteView key);
    void show(ByteView key, Revision mod, const Version& version);

    const EngineReader& reader_;
    Interval interval_;
    std::int64_t revision_;
    ReadGuard* guard_;
    std::uint64_t walked_ = 0;  // keys, live or not
    LiveKey at_;
    std::optional<ByteView> value_;  // when the record that decided also held it
    bool started_ = false;
    std::unique_ptr<Iterator> keys_;
    std::unique_ptr<Iterator> latest_;
    std::unique_ptr<Iterator> history_;
    std::string record_;  // of a single key
    std::string latest_value_;
};

}  // namespace cairn::storage::mvcc
