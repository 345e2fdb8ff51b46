#include "server/api/call.h"

#include <cstdint>
#include <string>

#include <google/protobuf/io/coded_stream.h>

#include "base/go_syntax.h"
#include "base/mutant.h"

namespace cairn::server::api {

Result<void> parse_again(ByteView bytes, google::protobuf::Message& request) {
    google::protobuf::io::CodedInputStream input(
        reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
    input.SetRecursionLimit(kMessageDepthMax);
    if (!request.ParseFromCodedStream(&input) || !input.ConsumedEntireMessage()) {
        return Error{Errc::kMalformedRequest, "not a valid " + request.GetTypeName()};
    }
    return ok();
}

Result<void> check_wire_types(ByteView bytes, const google::protobuf::Message& request,
                              const WireTypes& types) {
    if (!CAIRN_MUTANT(api_wire_type_unchecked) && !types.fit(bytes)) {
        return Error{Errc::kMalformedRequest, "wrong wire type in " + request.GetTypeName()};
    }
    return ok();
}

Result<void> admit(const Call& call, const NodeView& node, Learner learner) {
    if (node.is_learner && learner == Learner::kRefused) {
        return Errc::kLearnerNotSupported;
    }
    if (!is_utf8(call.client_api_version)) {
        return Errc::kInvalidClientApiVersion;
    }
    if (call.has_leader && node.leader == NodeId{}) {
        return Errc::kNoLeader;
    }
    return ok();
}

}  // namespace cairn::server::api
