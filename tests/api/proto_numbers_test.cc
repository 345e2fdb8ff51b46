// The schemas against the wire facts: every message, field, number, type, enum and call, both ways.
#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include <google/protobuf/descriptor.h>

#include "proto/etcd/auth.pb.h"
#include "proto/etcd/election.pb.h"
#include "proto/etcd/kv.pb.h"
#include "proto/etcd/lock.pb.h"
#include "proto/etcd/rpc.pb.h"
#include "proto/grpc/health.pb.h"

namespace cairn {
namespace {

namespace pb = google::protobuf;

// A block is its first line ("message X", "enum X", "rpc ...") and the indented lines under it.
using Blocks = std::set<std::string>;

std::string describe(const pb::EnumDescriptor& type) {
    std::string text = "enum " + type.full_name();
    for (int i = 0; i < type.value_count(); ++i) {
        text += "\n  " + std::to_string(type.value(i)->number()) + " " + type.value(i)->name();
    }
    return text;
}

std::string type_name(const pb::FieldDescriptor& field) {
    if (field.message_type() != nullptr) {
        return field.message_type()->full_name();
    }
    return field.enum_type() != nullptr ? field.enum_type()->full_name() : field.type_name();
}

std::string describe(const pb::Descriptor& type) {
    std::vector<const pb::FieldDescriptor*> fields;
    for (int i = 0; i < type.field_count(); ++i) {
        fields.push_back(type.field(i));
    }
    std::sort(fields.begin(), fields.end(),
              [](const auto* a, const auto* b) { return a->number() < b->number(); });
    std::string text = "message " + type.full_name();
    for (const auto* field : fields) {
        text += "\n  " + std::to_string(field->number()) + " " + field->name() + " ";
        text += type_name(*field);
        text += field->is_repeated() ? " repeated" : "";
        if (field->containing_oneof() != nullptr) {
            text += " oneof " + field->containing_oneof()->name();
        }
    }
    return text;
}

std::string describe(const pb::MethodDescriptor& method) {
    return "rpc /" + method.service()->full_name() + "/" + method.name() +
           (method.client_streaming() ? " stream " : " ") + method.input_type()->full_name() +
           (method.server_streaming() ? " stream " : " ") + method.output_type()->full_name();
}

void add_message(const pb::Descriptor& type, Blocks& blocks) {
    blocks.insert(describe(type));
    for (int i = 0; i < type.nested_type_count(); ++i) {
        add_message(*type.nested_type(i), blocks);
    }
    for (int i = 0; i < type.enum_type_count(); ++i) {
        blocks.insert(describe(*type.enum_type(i)));
    }
}

void add_file(const pb::FileDescriptor& file, Blocks& blocks) {
    REQUIRE(file.syntax() == pb::FileDescriptor::SYNTAX_PROTO3);
    for (int i = 0; i < file.message_type_count(); ++i) {
        add_message(*file.message_type(i), blocks);
    }
    for (int i = 0; i < file.enum_type_count(); ++i) {
        blocks.insert(describe(*file.enum_type(i)));
    }
    for (int i = 0; i < file.service_count(); ++i) {
        for (int j = 0; j < file.service(i)->method_count(); ++j) {
            blocks.insert(describe(*file.service(i)->method(j)));
        }
    }
}

Blocks schema_blocks() {
    Blocks blocks;
    for (const pb::Descriptor* type :
         {mvccpb::KeyValue::descriptor(), authpb::Role::descriptor(),
          etcdserverpb::ResponseHeader::descriptor(), etcdserverpb::RangeRequest::descriptor(),
          etcdserverpb::WatchRequest::descriptor(), etcdserverpb::LeaseGrantRequest::descriptor(),
          etcdserverpb::Member::descriptor(), etcdserverpb::AlarmRequest::descriptor(),
          etcdserverpb::AuthEnableRequest::descriptor(), v3lockpb::LockRequest::descriptor(),
          v3electionpb::LeaderKey::descriptor(),
          grpc::health::v1::HealthCheckRequest::descriptor()}) {
        add_file(*type->file(), blocks);
    }
    return blocks;
}

Blocks expected_blocks() {
    std::ifstream file(CAIRN_API_TESTDATA "/wire_numbers.txt");
    REQUIRE(file.is_open());
    Blocks blocks;
    std::string line;
    std::string block;
    while (std::getline(file, line)) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        if (line[0] == ' ') {
            block += "\n" + line;
            continue;
        }
        if (!block.empty()) {
            blocks.insert(block);
        }
        block = line;
    }
    blocks.insert(block);
    return blocks;
}

template <class Message>
Message parsed(const std::string& bytes) {
    Message message;
    REQUIRE(message.ParseFromString(bytes));
    return message;
}

}  // namespace

TEST_CASE("the schemas are exactly the wire facts", "[api][proto]") {
    const Blocks expected = expected_blocks();
    const Blocks actual = schema_blocks();
    // 116 messages of etcd (all but the one that no call uses), 10 enums, 49 calls; and health's.
    REQUIRE(expected.size() == 116 + 10 + 49 + 2 + 1 + 2);
    std::string missing;
    std::string extra;
    for (const auto& block : expected) {
        missing += actual.count(block) == 0 ? block + "\n" : "";
    }
    for (const auto& block : actual) {
        extra += expected.count(block) == 0 ? block + "\n" : "";
    }
    CHECK(missing.empty());
    INFO("not in the schemas as expected:\n" << missing << "\nonly in the schemas:\n" << extra);
    REQUIRE(missing + extra == "");
}

TEST_CASE("known messages have their known bytes", "[api][proto]") {
    etcdserverpb::PutRequest put;
    put.set_key("foo");
    put.set_value("bar");
    put.set_lease(7);
    REQUIRE(put.SerializeAsString() == std::string("\x0a\x03"
                                                   "foo\x12\x03"
                                                   "bar\x18\x07"));

    const auto range = parsed<etcdserverpb::RangeRequest>(
        "\x0a\x03"
        "foo\x18\x01\x38\x01");
    REQUIRE(range.key() == "foo");
    REQUIRE(range.limit() == 1);
    REQUIRE(range.serializable());

    etcdserverpb::Compare compare;
    compare.set_target(etcdserverpb::Compare::MOD);
    compare.set_key("foo");
    compare.set_mod_revision(0);  // a member of a oneof is written even when it is zero
    REQUIRE(compare.SerializeAsString() == std::string("\x10\x02\x1a\x03"
                                                       "foo\x30\x00",
                                                       9));
    compare.Clear();
    compare.set_range_end("z");
    REQUIRE(compare.SerializeAsString() == "\x82\x04\x01z");

    const auto watch = parsed<etcdserverpb::WatchRequest>(
        "\x0a\x0a\x0a\x01"
        "a\x12\x01"
        "b\x18\x05\x30\x01");
    REQUIRE(watch.create_request().start_revision() == 5);
    REQUIRE(watch.create_request().prev_kv());
}

TEST_CASE("a repeated enum is taken packed and unpacked", "[api][proto]") {
    using etcdserverpb::WatchCreateRequest;
    const auto packed = parsed<WatchCreateRequest>(std::string("\x2a\x02\x00\x01", 4));
    const auto loose = parsed<WatchCreateRequest>(std::string("\x28\x00\x28\x01", 4));
    for (const auto& request : {packed, loose}) {
        REQUIRE(request.filters_size() == 2);
        REQUIRE(request.filters(0) == WatchCreateRequest::NOPUT);
        REQUIRE(request.filters(1) == WatchCreateRequest::NODELETE);
    }
}

}  // namespace cairn
