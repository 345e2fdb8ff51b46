// server::SnapshotMessage to bytes and back (proto/cairn/peer.proto).
// Pure functions; any thread. Never looks into a manifest: whoever takes the offer does.
#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "server/replica/snapshot_message.h"

namespace cairn::server::peer {

// Larger than the largest message: an offer with a manifest of storage::kManifestBytesMax.
inline constexpr std::size_t kSnapshotFrameBytesMax = 17U * 1024U * 1024U;

// Appends the message as one frame.
void append_snapshot_frame(const SnapshotMessage& message, std::string& out);
// kMalformed for bytes that do not parse, an unknown or unset body, or a piece that is too large.
Result<SnapshotMessage> decode_snapshot_message(ByteView bytes);

}  // namespace cairn::server::peer
