// The grammar of keys in every column family; docs/formats/keys.md shows it with golden bytes.
// Pure functions; any thread.
// Never knows what the values hold: that is storage/mvcc/record.h and the stores.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "raft/types.h"
#include "storage/engine.h"
#include "storage/mvcc/revision.h"

namespace cairn::storage::schema {

// The stamp in kMeta/"format". A directory of the version before becomes one of this when it is
// opened; one with another stamp is refused.
inline constexpr std::uint32_t kFormatVersion = 2;
inline constexpr std::uint32_t kFormatWithoutConf = 1;

inline constexpr ByteView kMetaFormat = "format";
inline constexpr ByteView kMetaApplied = "applied";
inline constexpr ByteView kMetaConf = "conf";
inline constexpr ByteView kMetaRevision = "revision";
inline constexpr ByteView kMetaCompacted = "compacted";
inline constexpr ByteView kMetaCollector = "collector";
inline constexpr ByteView kMetaCounts = "counts";  // KeyTally
inline constexpr ByteView kMetaAlarmPrefix = "alarm/";
inline constexpr ByteView kMetaRemovedPrefix = "removed/";  // + member id

// Order-preserving and self-ending: 00 becomes 00 ff, and 00 01 ends it.
void append_escaped(std::string& out, ByteView user_key);
// Takes one escaped key off the front of `in` and appends what it means to `user_key`.
bool take_escaped(ByteView& in, std::string& user_key);

// kHistory: escaped user key, ~main, ~sub; the versions of a key stand newest first.
std::string history_prefix(ByteView user_key);
std::string history_key(ByteView user_key, mvcc::Revision revision);
struct HistoryKey {
    std::string user_key;
    mvcc::Revision revision;
};
Result<HistoryKey> decode_history_key(ByteView key);
// The revision at the end of a history key whose prefix the caller has compared already.
Result<mvcc::Revision> decode_history_revision(ByteView suffix);

// kRevlog: main, sub; in the order of change.
std::string revlog_key(mvcc::Revision revision);
Result<mvcc::Revision> decode_revlog_key(ByteView key);

// kMembers: the member's id.
std::string member_key(NodeId id);

// kMeta/"applied": index and term of the last applied entry.
std::string encode_applied(raft::EntryId applied);
Result<raft::EntryId> decode_applied(ByteView value);
// kMeta/"revision" and kMeta/"compacted".
std::string encode_i64(std::int64_t number);
Result<std::int64_t> decode_i64(ByteView value);

// The format the engine was written in: refuses what is neither this one nor the one before; none
// for a new engine. The caller stamps what it makes of it.
Result<std::optional<std::uint32_t>> read_format(const EngineReader& reader);
void stamp_format(WriteBatch& batch);

}  // namespace cairn::storage::schema
