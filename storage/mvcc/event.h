// What one revision changed, as watchers will see it.
// Immutable once published; shared between threads.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace cairn::storage::mvcc {

// A key with its attributes (mvccpb.KeyValue as a plain value).
struct KeyValue {
    Bytes key;
    Bytes value;
    std::int64_t create_revision{};
    std::int64_t mod_revision{};
    std::int64_t version{};
    std::int64_t lease{};

    bool operator==(const KeyValue&) const = default;
};

enum class EventKind : std::uint8_t { kPut, kDelete };

struct Event {
    EventKind kind = EventKind::kPut;
    KeyValue kv;       // for a delete: the key and mod_revision only
    KeyValue prev_kv;  // version 0 when the key did not exist before
    // Its value is not here: those of the command's other changes were too many. It is in the
    // history, as long as that is not compacted.
    bool prev_value_left_out = false;
};

// All changes of one revision, in the order of their sub-revisions.
struct EventBatch {
    std::int64_t revision{};
    std::vector<Event> events;
};

}  // namespace cairn::storage::mvcc
