// Dispatcher: from a unary call to what the node must do for it, and from what came of it to the
// reply. Owned by the shell, immutable, used by all sessions' threads.
// Never waits, keeps no call, and knows nothing of sockets.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"
#include "server/api/call.h"
#include "server/api/header.h"
#include "server/api/validate.h"
#include "server/replica/completion.h"
#include "server/replica/intent.h"
#include "server/replica/view.h"

namespace cairn::server::api {

// How a call ends: a status and, when that is ok, the reply message, not yet framed.
struct Reply {
    wire::GrpcStatus status;
    Bytes body;
    bool operator==(const Reply&) const = default;
};

// kUnimplemented, in grpc-go's words, for a method of the table that this server does not serve.
// Needs no message: a session asks as soon as it has the headers.
Result<void> validate_method(wire::MethodId method);

class Dispatcher {
  public:
    Dispatcher(Identity identity, RequestLimits limits);

    // What to do for the call: Reject for whatever is wrong with it, kUnimplemented included.
    [[nodiscard]] Intent on_request(const Call& call, const NodeView& node) const;

    // The reply of a Propose intent; `term` is the completion's. A proposal whose fate is unknown
    // and one that certainly failed look alike on the wire: their reasons differ.
    [[nodiscard]] Reply format(const ProposalOutcome& outcome, Term term) const;
    // The same of any completion but a granted read, which is no answer yet.
    [[nodiscard]] Reply format(const Completion& completion) const;
    // The reply of a ReplyNow intent; `revision` and `term` of now.
    [[nodiscard]] Reply format(const ReplyNow& reply, std::int64_t revision, Term term) const;

    [[nodiscard]] const Identity& identity() const { return identity_; }

  private:
    Identity identity_;
    RequestLimits limits_;
};

// The reply of a call that failed, of a Reject intent or a ReadFailed completion.
Reply format_error(const Error& error);

}  // namespace cairn::server::api
