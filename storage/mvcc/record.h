// What the values of kKeys, kHistory and kRevlog hold.
// Values and pure functions; any thread. Grammar and golden bytes: docs/formats/keys.md.
// A decoded record borrows from the bytes it was read from.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "storage/mvcc/event.h"
#include "storage/mvcc/revision.h"

namespace cairn::storage::mvcc {

// Values up to this many bytes stand in kKeys beside the attributes, longer ones in kLatest.
// Not part of the format: each record says where its value is.
inline constexpr std::size_t kInlineValueBytesMax = 256;

// One version of one key, as stored: a pair, or the mark of a delete.
struct Version {
    bool tombstone = false;
    std::int64_t create{};   // revision of the put that began this life; 0 for a tombstone
    std::int64_t version{};  // from 1; 0 for a tombstone
    std::int64_t lease{};
    ByteView value;
};

// kKeys: the newest version of a key; its value only when `value_inline`.
struct KeyRecord {
    Revision mod;
    bool value_inline = false;
    Version newest;
};
std::string encode_key_record(const KeyRecord& record);
Result<KeyRecord> decode_key_record(ByteView bytes);

// kHistory: any version; the revision is in the key.
std::string encode_history_record(const Version& version);
Result<Version> decode_history_record(ByteView bytes);

// kRevlog: what one change did.
struct RevlogRecord {
    EventKind kind = EventKind::kPut;
    Revision replaced;  // the version this one took the place of; main 0 when the key was not there
    ByteView key;
};
std::string encode_revlog_record(const RevlogRecord& record);
Result<RevlogRecord> decode_revlog_record(ByteView bytes);

}  // namespace cairn::storage::mvcc
