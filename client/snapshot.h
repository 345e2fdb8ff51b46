// save_snapshot: a member's data as one stream, the only call of the library that has one.
// A function; any thread, but no completion of a client.
// Must never hold more of the snapshot than a window of its connection, which is its own: no other
// call waits behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "client/client.h"
#include "client/result.h"

namespace cairn::client {

// A stretch of a snapshot; the last one is the SHA-256 of all before it.
struct SnapshotPiece {
    std::string_view bytes;
    std::uint64_t remaining_bytes = 0;  // behind it, without the SHA-256
};
// Gets each piece on the caller's thread, in order; false ends the call as kCancelled.
using SnapshotSink = std::function<bool(const SnapshotPiece&)>;

struct SnapshotInfo {
    std::string version;  // of the program that made it
};

// All the data of the one member that answers, in cairn's own format (of etcd: in its), so
// `options` should name one endpoint; their request_timeout is for all of it. Errors as of every
// call of Client, and kUnavailable when the server falls silent (keepalive_timeout);
// kInvalidArgument for an endpoint that is none. Once pieces have come, the call is not repeated.
Result<SnapshotInfo> save_snapshot(const ClientOptions& options, const SnapshotSink& take);

}  // namespace cairn::client
