// Call: one unary request as the session hands it in, and what every handler does with it first.
// Values; any thread. Never outlives on_request: it borrows the metadata.
#pragma once

#include <cstdint>
#include <string_view>

#include <google/protobuf/message.h>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/wire/grpc_method.h"
#include "server/api/validate.h"
#include "server/api/wire_types.h"
#include "server/replica/view.h"

namespace cairn::server::api {

struct Call {
    wire::MethodId method = wire::MethodId::kMethodCount;
    Bytes request;                        // the message, de-framed and inflated
    bool has_leader = false;              // metadata "hasleader: true"
    bool native_snapshot = false;         // metadata "cairn-snapshot-format: native"
    std::string_view client_api_version;  // metadata of this name; empty when absent
    std::int64_t unix_nanos{};            // when it came, for MemberAdd: an id is made of it
};

// What handlers look at beside the call.
struct CallContext {
    const NodeView& node;
    const RequestLimits& limits;
};

// Nested messages a request may have: 128 levels of Txn take two each, and their leaf two more.
// What the log's entries hold was taken with this limit, so nobody may read them with a lower one.
inline constexpr int kMessageDepthMax = 300;

// Of bytes that parse_request let through before. kMalformedRequest.
Result<void> parse_again(ByteView bytes, google::protobuf::Message& request);
Result<void> check_wire_types(ByteView bytes, const google::protobuf::Message& request,
                              const WireTypes& types);

// kMalformedRequest when the bytes are not the message, or hold a field of it with another wire
// type than its own: protobuf would keep that as an unknown field, etcd's decoder refuses it.
template <class Request>
Result<void> parse_request(ByteView bytes, Request& request) {
    static const WireTypes types(*Request::descriptor());
    CAIRN_TRY(parse_again(bytes, request));
    return check_wire_types(bytes, request, types);
}

enum class Learner : std::uint8_t { kRefused, kServed };

// What etcd's interceptor asks of a call whose message parsed, in its order: kLearnerNotSupported,
// kInvalidClientApiVersion, kNoLeader.
Result<void> admit(const Call& call, const NodeView& node, Learner learner);

}  // namespace cairn::server::api
