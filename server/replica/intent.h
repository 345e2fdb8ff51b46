// What a client's request wants of the node: the API-facing half of the replica's boundary.
// Values, made by server/api on a session's thread; no raft types.
// Never carries a socket, a clock or a response under construction.
#pragma once

#include <cstdint>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "proto/cairn/command.pb.h"

namespace cairn::server {

// Refused before the node saw it.
struct Reject {
    Error error;
};

// Must go through the log. `request` is the client's message as received, already validated.
struct Propose {
    command::CommandKind kind = command::UNKNOWN;
    Bytes request;
    // Its answer may hold more than numbers: stored pairs, or their keys.
    bool long_answer = false;
};

enum class ReadKind : std::uint8_t {
    kRange,       // etcdserverpb.RangeRequest
    kTxn,         // etcdserverpb.TxnRequest, reads only
    kMemberList,  // etcdserverpb.MemberListRequest
    kAlarmList,   // etcdserverpb.AlarmRequest GET
    kHash,        // etcdserverpb.HashRequest
    kHashKv,      // etcdserverpb.HashKVRequest
    kStatus,      // etcdserverpb.StatusRequest
    kHealth,      // grpc.health.v1.HealthCheckRequest
};

// To be answered from a ReadView (and, for kStatus and kHealth, the NodeView). When `linearizable`,
// only after the replica granted it; else at once from this member's newest state, as soon as one
// has been granted since it started (ReadGate).
struct Read {
    ReadKind kind = ReadKind::kRange;
    bool linearizable = false;
    // Looks at one key or at the member itself: cheaper to run at once than to hand on.
    bool point = false;
    Bytes request;
};

// Answered already: needs nothing of the node. `body` is the response without its header.
struct ReplyNow {
    Bytes body;
    bool stamp_header = false;
};

// Leadership is to be handed to `to`.
struct MoveLeader {
    NodeId to;
};

// A snapshot of this member's state is to be sent, message by message; as a read that is not
// linearizable.
struct SendSnapshot {};

using Intent = std::variant<Reject, Propose, Read, ReplyNow, MoveLeader, SendSnapshot>;

}  // namespace cairn::server
