#include "server/api/call.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include <google/protobuf/io/coded_stream.h>

#include "base/mutant.h"

namespace cairn::server::api {

namespace {

struct Utf8Lead {
    std::size_t trailing = 0;
    std::uint32_t bits = 0;
    std::uint32_t least = 0;  // below it the form is overlong
};

// False for a byte that cannot start a character of more than one byte.
bool decode_lead(std::uint8_t byte, Utf8Lead& lead) {
    if ((byte & 0xe0U) == 0xc0U) {
        lead = {.trailing = 1, .bits = byte & 0x1fU, .least = 0x80};
    } else if ((byte & 0xf0U) == 0xe0U) {
        lead = {.trailing = 2, .bits = byte & 0x0fU, .least = 0x800};
    } else if ((byte & 0xf8U) == 0xf0U) {
        lead = {.trailing = 3, .bits = byte & 0x07U, .least = 0x10000};
    } else {
        return false;
    }
    return true;
}

bool is_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto first = static_cast<std::uint8_t>(text[at]);
        if (first < 0x80) {
            continue;
        }
        Utf8Lead lead;
        if (!decode_lead(first, lead) || text.size() - at <= lead.trailing) {
            return false;
        }
        std::uint32_t point = lead.bits;
        for (std::size_t i = 0; i < lead.trailing; ++i) {
            const auto next = static_cast<std::uint8_t>(text[++at]);
            if ((next & 0xc0U) != 0x80U) {
                return false;
            }
            point = (point << 6U) | (next & 0x3fU);
        }
        const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
        if (point < lead.least || point > 0x10ffff || is_surrogate) {
            return false;
        }
    }
    return true;
}

}  // namespace

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
