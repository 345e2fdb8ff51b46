// Whether a request's bytes keep to the wire types of its fields, against what protobuf makes of
// them.
#include "server/api/wire_types.h"

#include <string>

#include "catch.h"
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include "base/prng.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "server/api/call.h"

namespace cairn::server::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::uint64_t kSeed = 20261126;

// The slow twin: protobuf keeps a field of another wire type than its own as an unknown one.
bool has_mistyped_field(const Message& message) {
    const auto* type = message.GetDescriptor();
    const auto* reflection = message.GetReflection();
    const auto& unknown = reflection->GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) {
        if (type->FindFieldByNumber(unknown.field(i).number()) != nullptr) {
            return true;
        }
    }
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    for (const auto* field : fields) {
        if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
            continue;
        }
        const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
        for (int i = 0; i < count; ++i) {
            if (has_mistyped_field(field->is_repeated()
                                       ? reflection->GetRepeatedMessage(message, field, i)
                                       : reflection->GetMessage(message, field))) {
                return true;
            }
        }
    }
    return false;
}

void append_varint(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) {
        out.push_back(static_cast<char>(value | 0x80U));
    }
    out.push_back(static_cast<char>(value));
}

// Some fields of some wire types, groups and what is nested included.
std::string some_message(Prng& prng, int depth) {
    std::string out;
    for (std::uint64_t left = prng.below(4); left > 0; --left) {
        const std::uint64_t number = prng.below(20) == 0 ? 64 : 1 + prng.below(14);
        const std::uint64_t wire_type = prng.below(3) != 0 ? 2 : prng.below(6);
        if (wire_type == 4) {
            continue;  // ends a group that never began
        }
        append_varint(out, number << 3U | wire_type);
        switch (wire_type) {
            case 0: append_varint(out, prng.below(1U << 20U)); break;
            case 1: out.append(8, 'x'); break;
            case 2: {
                const std::string within =
                    depth > 0 && prng.below(3) != 0 ? some_message(prng, depth - 1) : "";
                append_varint(out, within.size());
                out += within;
                break;
            }
            case 3:
                out += some_message(prng, depth > 0 ? depth - 1 : 0);
                append_varint(out, number << 3U | 4U);
                break;
            default: out.append(4, 'x'); break;
        }
    }
    return out;
}

template <class Request>
void compare_with_twin(bool has_oneof) {
    Prng prng(kSeed);
    const WireTypes types(*Request::descriptor());
    int fitting = 0;
    int mistyped = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string bytes = some_message(prng, 4);
        Request request;
        if (parse_again(bytes, request).has_error()) {
            continue;
        }
        const bool fits = types.fit(bytes);
        const bool twin_fits = !has_mistyped_field(request);
        ++(fits ? fitting : mistyped);
        // A oneof's later member takes the place of an earlier one, and of what was wrong in it.
        if (fits != twin_fits && (fits || !has_oneof)) {
            INFO("case " << i);
            REQUIRE(fits == twin_fits);
        }
    }
    CHECK(fitting > 100);
    CHECK(mistyped > 100);
}

}  // namespace

TEST_CASE("wire types are told as protobuf tells them", "[api][wire_types]") {
    compare_with_twin<etcdserverpb::RangeRequest>(false);
    compare_with_twin<etcdserverpb::PutRequest>(false);
    compare_with_twin<etcdserverpb::DeleteRangeRequest>(false);
    compare_with_twin<etcdserverpb::TxnRequest>(true);
}

TEST_CASE("a field of another wire type is refused at any depth", "[api][wire_types]") {
    etcdserverpb::TxnRequest request;
    auto* inner = request.add_success()->mutable_request_txn();
    auto* compare = inner->add_compare();
    compare->set_key("k");
    compare->set_range_end("l");
    inner->add_failure()->mutable_request_range()->set_limit(7);
    std::string bytes = request.SerializeAsString();
    etcdserverpb::TxnRequest parsed;
    CHECK(parse_request(bytes, parsed).has_value());
    // The last field is the limit: as fixed32 it takes the place of three more bytes.
    REQUIRE(bytes.ends_with("\x18\x07"));
    std::string within = "\x1d\x07";
    within.append(3, '\0');
    etcdserverpb::RangeRequest range;
    CHECK(parse_request(std::string("\x0a\x01k\x18\x07"), range).has_value());
    CHECK(parse_request("\x0a\x01k" + within, range).error().code == Errc::kMalformedRequest);
    CHECK(parse_again("\x0a\x01k" + within, range).has_value());
    // A number that is no field may come as anything.
    CHECK(parse_request("\x0a\x01k\xf8\x07\x01" + std::string("\xfb\x07\x08\x01\xfc\x07"), range)
              .has_value());
}

}  // namespace cairn::server::api
