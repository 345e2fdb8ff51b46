// raft::Message to bytes and back (proto/cairn/peer.proto).
// Pure functions; any thread. Never accepts what a correct peer could not have sent.
#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "raft/message.h"

namespace cairn::server::peer {

// Appends the serialized message to `out`.
void encode_message(const raft::Message& message, std::string& out);
// Appends the message as one frame, unless that would take more than `room` bytes: then nothing,
// and false.
bool append_message_frame(const raft::Message& message, std::size_t room, std::string& out);
// kMalformed for bytes that do not parse, an unknown kind, an unset body or terms that fall.
Result<raft::Message> decode_message(ByteView bytes);

}  // namespace cairn::server::peer
