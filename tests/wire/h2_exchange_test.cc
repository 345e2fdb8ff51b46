// Calls from end to end: golden bytes, and a client and a server that talk in random pieces.
#include <map>
#include <string>
#include <vector>

#include "catch.h"

#include "proto/wire/h2_session.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

namespace {

constexpr std::string_view kPutPath = "/etcdserverpb.KV/Put";

// Put key "foo" value "bar" lease 7.
const std::string kPutRequest = std::string(
    "\x0a\x03"
    "foo\x12\x03"
    "bar\x18\x07");

const GrpcStatus kOkStatus{};

// Answers each unary request with its own message.
void echo(Link& link) {
    for (const StreamEvent& event : link.server_events) {
        if (const Message* message = std::get_if<Message>(&event)) {
            CHECK(link.server.send_message(message->stream, message->payload));
        } else if (const RemoteClosed* closed = std::get_if<RemoteClosed>(&event)) {
            CHECK(link.server.send_trailers(closed->stream, kOkStatus));
        }
    }
    link.server_events.clear();
}

}  // namespace

TEST_CASE("a known unary call, byte for byte", "[wire][h2][golden]") {
    H2Session server = make_session(Role::kServer);
    CHECK(server
              .feed(client_hello() + request_frame(1) +
                    frame({.type = kData,
                           .flags = kEndStream,
                           .stream = 1,
                           .payload = grpc_message(kPutRequest)}))
              .has_value());
    const std::vector<StreamEvent> events = events_of(server);
    REQUIRE(events.size() == 3);
    const auto& started = std::get<RequestStarted>(events[0]);
    CHECK(started.stream == 1);
    REQUIRE(started.method != nullptr);
    CHECK(started.method->id == MethodId::kKvPut);
    CHECK(started.full_path() == kPutPath);
    CHECK(!started.timeout_ns.has_value());
    CHECK(std::get<Message>(events[1]).payload.view() == kPutRequest);
    CHECK(std::get<RemoteClosed>(events[2]).stream == 1);

    CHECK(server.send_message(1, ByteView("\x0a\x00", 2)));
    CHECK(server.send_trailers(1, kOkStatus));
    const std::string wire = drain(server);
    const std::vector<FrameText> frames = parse_frames(wire);
    REQUIRE(frames.size() == 6);
    CHECK(frames[0].type == kSettings);
    CHECK(frames[0].flags == 0);
    CHECK(frames[1].type == kSettings);
    CHECK(frames[1].flags == kAck);
    CHECK(frames[2].type == kWindowUpdate);
    CHECK(frames[2].stream == 0);
    // 16 MiB less the 65,535 bytes that every connection begins with.
    CHECK(frames[2].payload == u32((16U << 20U) - 65'535U));
    // ":status: 200" is entry 8 of the static table; "content-type" its entry 31.
    const std::string answer =
        frame({.type = kHeaders,
               .flags = kEndHeaders,
               .stream = 1,
               .payload = "\x88\x5f\x8b\x1d\x75\xd0\x62\x0d\x26\x3d\x4c"
                          "\x4d\x65\x64"}) +
        frame({.type = kData, .stream = 1, .payload = std::string("\0\0\0\0\x02\x0a\0", 7)}) +
        frame({.type = kHeaders,
               .flags = kEndHeaders | kEndStream,
               .stream = 1,
               .payload = "\x40\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x01"
                          "0"});
    CHECK(wire.substr(wire.size() - answer.size()) == answer);
    CHECK(server.open_streams() == 0);
    CHECK(server.queued_bytes() == 0);
}

TEST_CASE("headers of a call reach the server", "[wire][h2]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath,
                                   {{"token", "abc.7"},
                                    {"hasleader", "true"},
                                    {"cairn-snapshot-format", "native"},
                                    {"client-api-version", "3.5.30"},
                                    {"unknown-bin", "AAAA"}},
                                   std::int64_t{7'000'000'000});
    link.settle();
    const auto started = pick<RequestStarted>(link.server_events);
    REQUIRE(started.size() == 1);
    CHECK(started[0].stream == id);
    CHECK(started[0].token == "abc.7");
    CHECK(started[0].has_leader);
    CHECK(started[0].native_snapshot);
    CHECK(started[0].timeout_ns == 7'000'000'000);
    CHECK(link.server.client_api_version() == "3.5.30");
    CHECK(link.server.user_agent() == "cairn");

    start_call(link.client, "/no.Such/Method", {{"authorization", "Bearer x"}});
    link.settle();
    const auto unknown = pick<RequestStarted>(link.server_events);
    REQUIRE(unknown.size() == 2);
    CHECK(unknown[1].method == nullptr);
    CHECK(unknown[1].full_path() == "/no.Such/Method");
    CHECK(unknown[1].token == "Bearer x");
    CHECK(!unknown[1].has_leader);
    CHECK(!unknown[1].native_snapshot);
}

TEST_CASE("random unary calls, many at once, in random pieces", "[wire][h2][random]") {
    const std::uint64_t seed = test_seed(20'261'124);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    for (int round = 0; round < 12; ++round) {
        Link link({}, {}, prng.next());
        link.piece_bytes_max = round % 3 == 0 ? 7 : 9000;
        std::map<StreamId, std::string> sent;
        std::map<StreamId, std::string> answered;
        const std::uint64_t calls = prng.between(1, 60);
        for (std::uint64_t i = 0; i < calls; ++i) {
            const StreamId id = start_call(link.client, kPutPath);
            const std::size_t size = prng.chance(1, 10) ? prng.below(200'000) : prng.below(300);
            sent[id] = std::string(size, static_cast<char>('a' + i % 26));
            CHECK(link.client.send_message(id, ByteView(sent[id])));
            CHECK(link.client.finish_sending(id));
        }
        for (int step = 0; step < 2000 && answered.size() < sent.size(); ++step) {
            link.to_server();
            echo(link);
            link.to_client();
            for (const Message& message : pick<Message>(link.client_events)) {
                answered[message.stream] = message.payload.view();
            }
        }
        CHECK(answered == sent);
        link.settle();
        const auto ended = pick<ResponseEnded>(link.client_events);
        CHECK(ended.size() == sent.size());
        for (const ResponseEnded& end : ended) {
            CHECK(end.status == kOkStatus);
        }
        CHECK(link.client.open_streams() == 0);
        CHECK(link.server.open_streams() == 0);
        CHECK(link.client.queued_bytes() == 0);
        CHECK(link.server.queued_bytes() == 0);
        CHECK(link.server.partial_bytes() == 0);
    }
}

TEST_CASE("a bidirectional stream carries messages both ways and ends", "[wire][h2]") {
    Link link;
    const StreamId id = start_call(link.client, "/etcdserverpb.Watch/Watch");
    link.settle();
    CHECK(link.server.send_headers(id));
    link.settle();
    CHECK(pick<ResponseStarted>(link.client_events).size() == 1);
    for (int i = 0; i < 50; ++i) {
        CHECK(link.client.send_message(id, ByteView("ask " + std::to_string(i))));
        link.settle();
        CHECK(link.server.send_message(id, ByteView("answer " + std::to_string(i))));
        link.settle();
    }
    const auto asked = pick<Message>(link.server_events);
    const auto answers = pick<Message>(link.client_events);
    REQUIRE(asked.size() == 50);
    REQUIRE(answers.size() == 50);
    CHECK(asked[49].payload.view() == "ask 49");
    CHECK(answers[49].payload.view() == "answer 49");
    CHECK(pick<RemoteClosed>(link.server_events).empty());

    CHECK(link.client.finish_sending(id));
    CHECK(!link.client.send_message(id, ByteView("late")));
    link.settle();
    CHECK(pick<RemoteClosed>(link.server_events).size() == 1);
    CHECK(link.server.send_trailers(id, {GrpcCode::kUnavailable, "etcdserver: no leader"}));
    CHECK(!link.server.send_message(id, ByteView("late")));
    CHECK(!link.server.send_trailers(id, kOkStatus));
    link.settle();
    const auto ended = pick<ResponseEnded>(link.client_events);
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].status == GrpcStatus{GrpcCode::kUnavailable, "etcdserver: no leader"});
    CHECK(link.server.open_streams() == 0);
    CHECK(link.client.open_streams() == 0);
}

TEST_CASE("an error without an answer is one block: Trailers-Only", "[wire][h2]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath);
    CHECK(link.client.send_message(id, ByteView("x")));
    CHECK(link.client.finish_sending(id));
    link.settle();
    CHECK(link.server.send_trailers(id, {GrpcCode::kInvalidArgument, "50% grün\n"}));
    const std::string wire = drain(link.server);
    const std::vector<FrameText> frames = parse_frames(wire);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].type == kHeaders);
    CHECK(frames[0].flags == (kEndHeaders | kEndStream));
    CHECK(link.client.feed(wire).has_value());
    const std::vector<StreamEvent> events = events_of(link.client);
    REQUIRE(events.size() == 1);
    CHECK(std::get<ResponseEnded>(events[0]).status ==
          GrpcStatus{GrpcCode::kInvalidArgument, "50% grün\n"});
}

TEST_CASE("an answer before the request's end stops the client", "[wire][h2]") {
    Link link;
    const StreamId id = start_call(link.client, "/etcdserverpb.Lease/LeaseKeepAlive");
    link.to_server();
    CHECK(link.server.send_trailers(id, {GrpcCode::kUnimplemented, "no"}));
    const std::string wire = drain(link.server);
    const auto reset = find_frame(wire, kRstStream);
    REQUIRE(reset.has_value());
    CHECK(reset->payload == u32(0));  // NO_ERROR
    CHECK(link.server.open_streams() == 0);
    CHECK(link.client.feed(wire).has_value());
    const std::vector<StreamEvent> events = events_of(link.client);
    CHECK(pick<ResponseEnded>(events).size() == 1);
    CHECK(pick<StreamReset>(events).empty());
    link.settle();
    CHECK(link.client.open_streams() == 0);
}

TEST_CASE("what is no gRPC call is refused as grpc-go refuses it", "[wire][h2]") {
    struct Row {
        std::string_view method, type, timeout, encoding;
        std::string_view status;
        GrpcCode code;
        std::string_view text;
    };
    const std::vector<Row> rows{
        {"POST", "text/html", "1S", "identity", "415", GrpcCode::kInvalidArgument,
         "invalid gRPC request content-type \"text/html\""},
        {"GET", "application/grpcx", "1S", "identity", "415", GrpcCode::kInvalidArgument,
         "invalid gRPC request content-type \"application/grpcx\""},
        {"GET", "application/grpc", "1S", "identity", "405", GrpcCode::kInternal,
         "Received a HEADERS frame with :method \"GET\" which should be POST"},
        {"POST", "application/grpc+proto", "1x", "identity", "400", GrpcCode::kInternal,
         "malformed grpc-timeout: transport: timeout unit is not recognized: \"1x\""},
        {"POST", "application/grpc", "1S", "snappy", "200", GrpcCode::kUnimplemented,
         "grpc: Decompressor is not installed for grpc-encoding \"snappy\""},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        H2Session server = make_session(Role::kServer);
        const std::string block = header_block({{":method", row.method},
                                                {":scheme", "http"},
                                                {":path", kPutPath},
                                                {":authority", "x"},
                                                {"content-type", row.type},
                                                {"grpc-timeout", row.timeout},
                                                {"grpc-encoding", row.encoding}});
        CHECK(server
                  .feed(client_hello() + frame({.type = kHeaders,
                                                .flags = kEndHeaders | kEndStream,
                                                .stream = 1,
                                                .payload = block}))
                  .has_value());
        CHECK(events_of(server).empty());
        // A client session that believes to have asked reads the answer for us.
        H2Session client = make_session(Role::kClient);
        const StreamId id = start_call(client, kPutPath);
        CHECK(client.finish_sending(id));
        drain(client);
        const std::string wire = drain(server);
        CHECK(!find_frame(wire, kRstStream).has_value());
        CHECK(client.feed(wire).has_value());
        const auto ended = pick<ResponseEnded>(events_of(client));
        REQUIRE(ended.size() == 1);
        CHECK(ended[0].status == GrpcStatus{row.code, std::string(row.text)});
        const auto answer = find_frame(wire, kHeaders);
        REQUIRE(answer.has_value());
        const bool is_200 = answer->payload[0] == '\x88';
        CHECK(is_200 == (row.status == "200"));
    }
}

}  // namespace cairn::wire::test
