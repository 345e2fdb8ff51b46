// One Range over any reader: collect at a revision, filter, sort, limit, keys only; in this order.
// Pure function of the reader; any thread that may use it.
// Never holds more keys than the answer does (twice over for a moment when it sorts).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "storage/engine.h"
#include "storage/mvcc/read_guard.h"

namespace cairn::storage::mvcc {

class KeyCounts;

// The revisions a reader may ask for.
struct ReadBounds {
    std::int64_t revision{};   // the newest; what a request without a revision reads
    std::int64_t compacted{};  // older than this is gone; 0 when never compacted
    // How to count what no answer holds; null: by walking it.
    KeyCounts* counts = nullptr;
    // What a whole answer may have, in bytes as they are sent, and likewise the pairs that a sort
    // keeps; above: kMessageTooLarge. A part of an answer may be refused only if the whole would
    // be: members that build it in other steps must come to the same.
    std::uint64_t answer_bytes_max = UINT64_MAX;
};

// kFutureRev or kCompacted, looked at in this order; `asked` <= 0 means the newest.
Result<std::int64_t> readable_revision(std::int64_t asked, const ReadBounds& bounds);

// Appends the serialized RangeResponse without its header to `body`; on an error `body` is
// unchanged. `guard` (null: none) is asked for all memory that grows with the answer.
Result<void> run_range(const EngineReader& reader, const ReadBounds& bounds,
                       const etcdserverpb::RangeRequest& request, std::string& body,
                       ReadGuard* guard = nullptr);

}  // namespace cairn::storage::mvcc
