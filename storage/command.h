// The command envelope: what every kCommand entry of the log begins with.
// Pure functions; any thread. Grammar and golden bytes: docs/formats/command.md.
// Never re-encodes the request: its bytes stand behind the envelope as the client sent them.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/cairn/command.pb.h"

namespace cairn::storage {

inline constexpr std::uint8_t kCommandVersion = 1;
// The newest kind that every build knows, and the newest that this one does. Those between may be
// written once all members know them (docs/formats/command.md).
inline constexpr command::CommandKind kCommonCommand = command::MEMBER_PROMOTE;
inline constexpr command::CommandKind kNewestCommand = command::CommandKind_MAX;

struct Command {
    command::CommandKind kind = command::UNKNOWN;
    ProposalId id;
    Term decided_in;                // the proposer's term when it decided to propose
    std::uint64_t auth_revision{};  // 0 until authentication exists
    std::string user{};             // empty until authentication exists; at most 64 KiB - 1
    Bytes request;                  // a slice of the entry's payload after decoding
};

// The request of a BOUNDED command: no effect, and kMessageTooLarge as its outcome, if the answer
// of the request in it has more bytes.
struct BoundedRequest {
    std::uint64_t answer_bytes_max{};
    command::CommandKind kind = command::UNKNOWN;
    ByteView request;
};
Bytes encode_bounded(const BoundedRequest& bounded);
// kMalformedRequest, also for a kind that is never bounded.
Result<BoundedRequest> decode_bounded(ByteView bytes);

// Of those that stand in configuration entries only (docs/formats/conf_change.md).
bool is_member_change(command::CommandKind kind);

Bytes encode_command(const Command& command);
// kMalformed, or kUnsupportedVersion for a version or kind of a newer build: the member must stop.
Result<Command> decode_command(const Bytes& payload);
// The id alone, for matching waiters; the payload must have decoded before.
Result<ProposalId> decode_command_id(ByteView payload);
// What a BOUNDED command's answer may have; 0 for every other payload.
std::uint64_t answer_bytes_max(ByteView payload);

}  // namespace cairn::storage
