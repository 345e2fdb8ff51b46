// Calls through the dispatcher, as scripts: what is asked of the node, and the reply of a read.
#include "server/api/dispatcher.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "catch.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include "proto/etcd/rpc.pb.h"
#include "proto/grpc/health.pb.h"
#include "server/api/read_answer.h"
#include "server/api/read_gate.h"
#include "tests/api/fake_view.h"
#include "tests/api/script.h"

namespace cairn::server::api {
namespace {

namespace pb = google::protobuf;

const Identity kIdentity{.cluster = ClusterId{11}, .member = NodeId{3}};
constexpr RequestLimits kLimits{.txn_ops_max = 4, .request_bytes_max = 120};

const pb::MethodDescriptor& descriptor_of(wire::MethodId method) {
    etcdserverpb::RangeRequest::descriptor();  // links and registers the schemas
    grpc::health::v1::HealthCheckRequest::descriptor();
    const wire::GrpcMethod& info = wire::method_info(method);
    const auto* found = pb::DescriptorPool::generated_pool()->FindMethodByName(
        std::string(info.service()) + "." + std::string(info.name()));
    REQUIRE(found != nullptr);
    return *found;
}

std::unique_ptr<pb::Message> new_message(const pb::Descriptor& type) {
    return std::unique_ptr<pb::Message>(
        pb::MessageFactory::generated_factory()->GetPrototype(&type)->New());
}

std::string from_hex(const std::string& hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    return bytes;
}

std::string length_delimited(char tag, const std::string& content) {
    std::string field(1, tag);
    std::size_t size = content.size();
    for (; size >= 0x80; size >>= 7U) {
        field += static_cast<char>((size & 0x7fU) | 0x80U);
    }
    return field + static_cast<char>(size) + content;
}

NodeView healthy_node() {
    NodeView node;
    node.member = kIdentity.member;
    node.leader = NodeId{5};
    node.term = Term{9};
    node.commit = Index{101};
    node.applied = Index{100};
    return node;
}

// One block of a script, ready to be called.
struct Case {
    Call call;
    NodeView node = healthy_node();
    std::string api_version;

    void take_option(const std::string& line) {
        if (line == "@no-leader") {
            node.leader = NodeId{};
        } else if (line == "@learner") {
            node.is_learner = true;
        } else if (line == "@leader") {
            node.is_leader = true;
        } else if (line == "@stopping") {
            node.stopping = true;
        } else if (line == "@hasleader") {
            call.has_leader = true;
        } else if (line == "@native-snapshot") {
            call.native_snapshot = true;
        } else if (line.starts_with("@api-version-hex ")) {
            api_version = from_hex(line.substr(17));
        } else {
            REQUIRE(line.starts_with("@hex "));
            call.request = Bytes::copy_of(from_hex(line.substr(5)));
        }
    }
};

// First line: the path. Then options (@...) and the request in protobuf's text form.
Case parse_case(const std::vector<std::string>& lines) {
    Case parsed;
    const wire::GrpcMethod* method = wire::find_method(lines.front());
    REQUIRE(method != nullptr);
    parsed.call.method = method->id;
    std::string text;
    bool has_bytes = false;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        if (lines[i][0] == '@') {
            has_bytes = has_bytes || lines[i].starts_with("@hex");
            parsed.take_option(lines[i]);
        } else {
            text += lines[i] + "\n";
        }
    }
    if (!has_bytes) {
        const auto request = new_message(*descriptor_of(method->id).input_type());
        REQUIRE(pb::TextFormat::ParseFromString(text, request.get()));
        parsed.call.request = Bytes::copy_of(request->SerializeAsString());
    }
    return parsed;
}

std::string describe(const Reply& reply, wire::MethodId method) {
    if (!reply.status.is_ok()) {
        return std::string(wire::grpc_code_name(reply.status.code)) + ": " + reply.status.message +
               "\n";
    }
    const auto message = new_message(*descriptor_of(method).output_type());
    REQUIRE(message->ParseFromArray(reply.body.data(), static_cast<int>(reply.body.size())));
    return "reply { " + message->ShortDebugString() + " }\n";
}

bool is_member_change(command::CommandKind kind) {
    return kind >= command::MEMBER_ADD && kind <= command::MEMBER_PROMOTE;
}

std::string describe_propose(const Propose& propose, const Case& given) {
    if (is_member_change(propose.kind)) {
        // Not the client's message: what the log has of members.
        command::MemberInfo info;
        REQUIRE(
            info.ParseFromArray(propose.request.data(), static_cast<int>(propose.request.size())));
        return "propose " + command::CommandKind_Name(propose.kind) + " { " +
               info.ShortDebugString() + " }\n";
    }
    REQUIRE(propose.request == given.call.request);
    return "propose " + command::CommandKind_Name(propose.kind) + "\n";
}

std::string describe_read(const Read& read, const Case& given) {
    REQUIRE(read.request == given.call.request);
    const StoreSize size{.allocated_bytes = 4096, .used_bytes = 1024, .quota_bytes = 8192};
    const Reply reply =
        answer_read(read, FakeView(), {.identity = kIdentity, .node = given.node, .size = size});
    return std::string("read ") + (read.linearizable ? "linearizable" : "local") + "\n" +
           describe(reply, given.call.method);
}

std::string run_case(const std::vector<std::string>& lines) {
    Case given = parse_case(lines);
    given.call.client_api_version = given.api_version;
    given.call.unix_nanos = 1'700'000'000;
    const Dispatcher dispatcher(kIdentity, kLimits);
    const Intent intent = dispatcher.on_request(given.call, given.node);
    if (const auto* reject = std::get_if<Reject>(&intent)) {
        return describe(format_error(reject->error), given.call.method);
    }
    if (const auto* propose = std::get_if<Propose>(&intent)) {
        return describe_propose(*propose, given);
    }
    if (const auto* read = std::get_if<Read>(&intent)) {
        return describe_read(*read, given);
    }
    if (const auto* move = std::get_if<MoveLeader>(&intent)) {
        return "move leader to " + std::to_string(move->to.value) + "\n";
    }
    if (std::holds_alternative<SendSnapshot>(intent)) {
        return "send a snapshot\n";
    }
    return "now\n" + describe(dispatcher.format(std::get<ReplyNow>(intent), 42, given.node.term),
                              given.call.method);
}

}  // namespace

TEST_CASE("scripts of the KV service", "[api][dispatcher]") {
    run_script(CAIRN_API_TESTDATA "/kv.txt", run_case);
}

TEST_CASE("scripts of the other services", "[api][dispatcher]") {
    // Protobuf prints to stderr about text that is not UTF-8 unless it is told not to.
    auto* const previous = pb::SetLogHandler(nullptr);
    run_script(CAIRN_API_TESTDATA "/services.txt", run_case);
    pb::SetLogHandler(previous);
}

TEST_CASE("every method of the table is served or refused in grpc-go's words",
          "[api][dispatcher]") {
    const Dispatcher dispatcher(kIdentity, kLimits);
    int served = 0;
    for (std::size_t i = 0; i < wire::kMethodCount; ++i) {
        const auto method = static_cast<wire::MethodId>(i);
        const auto& info = wire::method_info(method);
        INFO(info.path);
        Call call;
        call.method = method;
        const Intent intent = dispatcher.on_request(call, healthy_node());
        const Result<void> valid = validate_method(method);
        if (valid) {
            ++served;
            CHECK((info.kind == wire::StreamingKind::kUnary ||
                   method == wire::MethodId::kMaintenanceSnapshot));
            continue;
        }
        REQUIRE(std::holds_alternative<Reject>(intent));
        CHECK(std::get<Reject>(intent).error == valid.error());
        const auto status = format_error(valid.error()).status;
        CHECK(status.code == wire::GrpcCode::kUnimplemented);
        const std::string service(info.service());
        const bool known = service == "etcdserverpb.KV" || service == "etcdserverpb.Cluster" ||
                           service == "etcdserverpb.Maintenance" ||
                           service == "grpc.health.v1.Health";
        CHECK(status.message ==
              (known ? "unknown method " + std::string(info.name()) + " for service " + service
                     : "unknown service " + service));
    }
    REQUIRE(served == 18);
}

TEST_CASE("a proposal's outcome becomes a reply", "[api][dispatcher]") {
    const Dispatcher dispatcher(kIdentity, kLimits);
    etcdserverpb::PutResponse body;
    body.mutable_prev_kv()->set_key("k");
    const Reply applied = dispatcher.format(
        Applied{.error = {}, .revision = 7, .body = Bytes::copy_of(body.SerializeAsString())},
        Term{9});
    REQUIRE(applied.status.is_ok());
    etcdserverpb::PutResponse reply;
    REQUIRE(reply.ParseFromString(std::string(applied.body.view())));
    REQUIRE(reply.ShortDebugString() ==
            "header { cluster_id: 11 member_id: 3 revision: 7 raft_term: 9 } "
            "prev_kv { key: \"k\" }");

    const Applied refused{.error = Errc::kLeaseNotFound, .revision = 7, .body = {}};
    REQUIRE(dispatcher.format(refused, Term{9}) == format_error(Errc::kLeaseNotFound));
    REQUIRE(dispatcher.format(NotApplied{Errc::kTooManyRequests}, Term{9}) ==
            format_error(Errc::kTooManyRequests));
    REQUIRE(dispatcher.format(Unknown{Errc::kTimeout}, Term{9}) == format_error(Errc::kTimeout));
    REQUIRE(format_error(Errc::kTimeout).body.empty());
}

TEST_CASE("an answer that needs nothing has a header only when it is asked for",
          "[api][dispatcher]") {
    const Dispatcher dispatcher(kIdentity, kLimits);
    const Bytes body = Bytes::copy_of("\x10\x05");
    REQUIRE(dispatcher.format(ReplyNow{.body = body, .stamp_header = false}, 42, Term{9}).body ==
            body);
    const Reply stamped =
        dispatcher.format(ReplyNow{.body = body, .stamp_header = true}, 42, Term{9});
    etcdserverpb::HashResponse response;
    REQUIRE(response.ParseFromString(std::string(stamped.body.view())));
    REQUIRE(response.header().revision() == 42);
    REQUIRE(response.hash() == 5);
}

TEST_CASE("a Txn as deep as the operation limit allows is parsed", "[api][dispatcher]") {
    etcdserverpb::TxnRequest request;
    etcdserverpb::TxnRequest* level = &request;
    for (int depth = 1; depth < 128; ++depth) {
        level = level->add_success()->mutable_request_txn();
    }
    level->add_success()->mutable_request_put()->set_key("k");
    Call call;
    call.method = wire::MethodId::kKvTxn;
    call.request = Bytes::copy_of(request.SerializeAsString());
    const Dispatcher dispatcher(kIdentity, {});
    const Intent intent = dispatcher.on_request(call, healthy_node());
    REQUIRE(std::holds_alternative<Propose>(intent));

    // Far deeper: no message at all, and no deep recursion.
    std::string deep;
    for (int i = 0; i < 400; ++i) {
        deep = length_delimited('\x12', length_delimited('\x22', deep));  // success, request_txn
    }
    call.request = Bytes::copy_of(deep);
    const Intent refused = dispatcher.on_request(call, healthy_node());
    REQUIRE(std::holds_alternative<Reject>(refused));
    REQUIRE(std::get<Reject>(refused).error.code == Errc::kMalformedRequest);
}

TEST_CASE("until a read was granted, all reads of the store need it", "[api][reads]") {
    ReadGate gate;
    const auto waits = [&](ReadKind kind, bool linearizable) {
        return gate.needs_grant(Read{.kind = kind, .linearizable = linearizable, .request = {}});
    };
    for (const ReadKind kind : {ReadKind::kRange, ReadKind::kTxn, ReadKind::kMemberList,
                                ReadKind::kAlarmList, ReadKind::kHash, ReadKind::kHashKv}) {
        CHECK(waits(kind, false));
        CHECK(waits(kind, true));
    }
    // These say how the member is, with or without a leader.
    for (const ReadKind kind : {ReadKind::kStatus, ReadKind::kHealth}) {
        CHECK_FALSE(waits(kind, false));
    }
    CHECK(gate.needs_grant(SendSnapshot{}));
    gate.on_granted();
    CHECK_FALSE(gate.needs_grant(SendSnapshot{}));
    CHECK_FALSE(waits(ReadKind::kHash, false));
    CHECK_FALSE(waits(ReadKind::kRange, false));
    CHECK(waits(ReadKind::kRange, true));
}

}  // namespace cairn::server::api
