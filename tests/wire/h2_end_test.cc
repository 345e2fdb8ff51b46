// How calls and connections end: resets, GOAWAY, broken bytes, answers that are none.
#include <string>
#include <vector>

#include "catch.h"

#include "proto/wire/h2_session.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

namespace {

constexpr std::string_view kWatchPath = "/etcdserverpb.Watch/Watch";
constexpr std::string_view kPutPath = "/etcdserverpb.KV/Put";

std::uint32_t code_value(H2Code code) { return static_cast<std::uint32_t>(code); }

// The GOAWAY error code in this output.
std::optional<std::string> goaway_code(std::string_view wire) {
    const auto goaway = find_frame(wire, kGoAway);
    if (!goaway.has_value()) {
        return std::nullopt;
    }
    return goaway->payload.substr(4, 4);
}

}  // namespace

TEST_CASE("a client's cancellation reaches the server once", "[wire][end]") {
    Link link;
    const StreamId id = start_call(link.client, kWatchPath);
    CHECK(link.client.send_message(id, ByteView("create")));
    link.settle();
    CHECK(link.client.reset(id, H2Code::kCancel));
    CHECK(!link.client.reset(id, H2Code::kCancel));
    CHECK(!link.client.send_message(id, ByteView("late")));
    link.settle();
    const auto resets = pick<StreamReset>(link.server_events);
    REQUIRE(resets.size() == 1);
    CHECK(resets[0].stream == id);
    CHECK(resets[0].code == code_value(H2Code::kCancel));
    // The answer that was under way is ignored, not an error.
    CHECK(!link.server.send_message(id, ByteView("answer")));
    CHECK(!link.server.send_trailers(id, {}));
    CHECK(!link.server.reset(id, H2Code::kCancel));
    CHECK(link.server.open_streams() == 0);
    CHECK(link.client.open_streams() == 0);
    CHECK(pick<StreamReset>(link.client_events).empty());
}

TEST_CASE("a cancellation after the answer is no event", "[wire][end]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath);
    CHECK(link.client.finish_sending(id));
    link.settle();
    CHECK(link.server.send_message(id, ByteView("answer")));
    CHECK(link.server.send_trailers(id, {}));
    CHECK(link.client.reset(id, H2Code::kCancel));
    link.to_server();
    CHECK(pick<StreamReset>(link.server_events).empty());
    CHECK(link.server.queued_bytes() == 0);
    link.settle();
}

TEST_CASE("a server's reset reaches the client with its code", "[wire][end]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath);
    link.settle();
    CHECK(link.server.reset(id, H2Code::kRefusedStream));
    link.settle();
    const auto resets = pick<StreamReset>(link.client_events);
    REQUIRE(resets.size() == 1);
    CHECK(resets[0].code == code_value(H2Code::kRefusedStream));
    CHECK(pick<StreamReset>(link.server_events).empty());
    CHECK(status_of_reset(resets[0].code).code == GrpcCode::kUnavailable);
}

TEST_CASE("a graceful shutdown lets calls end and starts none", "[wire][end]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath);
    link.settle();
    link.server.shutdown();
    // This call crosses the first GOAWAY on its way: it must still be served.
    const StreamId crossing = start_call(link.client, kPutPath);
    link.settle();
    const auto goaways = pick<GoAwayReceived>(link.client_events);
    REQUIRE(goaways.size() == 2);
    CHECK(goaways[0].last_stream == 0x7fffffff);
    CHECK(goaways[1].last_stream == crossing);
    CHECK(goaways[1].code == 0);
    CHECK(pick<RequestStarted>(link.server_events).size() == 2);

    RequestOptions options;
    options.path = kPutPath;
    options.authority = "x";
    const Result<StreamId> late = link.client.start_request(options);
    REQUIRE(!late.has_value());
    CHECK(late.error().code == Errc::kClosed);
    CHECK(!link.server.is_done());
    CHECK(!link.client.is_done());

    for (const StreamId one : {id, crossing}) {
        CHECK(link.server.send_message(one, ByteView("answer")));
        CHECK(link.server.send_trailers(one, {}));
    }
    link.settle();
    CHECK(pick<ResponseEnded>(link.client_events).size() == 2);
    CHECK(link.server.is_done());
    CHECK(link.client.is_done());
}

TEST_CASE("a second shutdown does not wait for the client", "[wire][end]") {
    Link link;
    link.settle();
    link.server.shutdown();
    drain(link.server);
    CHECK(!link.server.is_done());
    link.server.shutdown();
    CHECK(goaway_code(drain(link.server)) == u32(0));
    CHECK(link.server.is_done());
}

TEST_CASE("calls that a leaving server never saw are safe to send again", "[wire][end]") {
    Link link;
    link.settle();
    link.server.shutdown();
    link.server.shutdown();
    const StreamId id = start_call(link.client, kPutPath);
    drain(link.client);
    link.to_client();
    const auto resets = pick<StreamReset>(link.client_events);
    REQUIRE(resets.size() == 1);
    CHECK(resets[0].stream == id);
    CHECK(resets[0].code == code_value(H2Code::kRefusedStream));

    // The same for one that was still waiting to be written.
    Link other;
    other.settle();
    const StreamId waiting = start_call(other.client, kPutPath);
    other.server.shutdown();
    other.server.shutdown();
    other.to_client();
    other.settle();
    const auto refused = pick<StreamReset>(other.client_events);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].stream == waiting);
    CHECK(refused[0].code == code_value(H2Code::kRefusedStream));
}

TEST_CASE("pings are answered and counted", "[wire][end]") {
    Link link;
    link.settle();
    link.server.ping();
    link.client.ping();
    link.client.ping();
    link.settle();
    CHECK(link.server.pongs_received() == 1);
    CHECK(link.client.pongs_received() == 2);
}

TEST_CASE("what is no HTTP/2 ends the session", "[wire][end]") {
    H2Session server = make_session(Role::kServer);
    const Result<void> fed = server.feed("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(!fed.has_value());
    CHECK(fed.error().code == Errc::kProtocol);
    CHECK(!fed.error().detail.empty());
    drain(server);
    CHECK(server.is_done());
    // It stays ended.
    CHECK(server.feed(client_hello()).error() == fed.error());
    CHECK(events_of(server).empty());
}

TEST_CASE("broken frames end the connection with a GOAWAY", "[wire][end]") {
    const std::vector<std::string> broken{
        frame({.type = kSettings, .payload = "abc"}),         // not a multiple of six
        frame({.type = kPing, .payload = "short"}),           // not eight bytes
        frame({.type = kData, .stream = 0, .payload = "x"}),  // no stream
        frame({.type = kWindowUpdate, .payload = u32(0)}),    // no increment
        frame({.type = kHeaders, .flags = kEndHeaders, .stream = 2, .payload = "\x82"}),  // even id
        frame({.type = kHeaders, .flags = kEndHeaders, .stream = 1, .payload = "\xff\xff\xff"}),
        frame({.type = kContinuation, .flags = kEndHeaders, .stream = 1, .payload = "\x82"}),
        std::string("\xff\xff\xff\x00\x00\x00\x00\x00\x01", 9),  // 16 MiB frame
    };
    for (std::size_t i = 0; i < broken.size(); ++i) {
        INFO("row " << i);
        H2Session server = make_session(Role::kServer);
        CHECK(server.feed(client_hello()).has_value());
        drain(server);
        static_cast<void>(server.feed(broken[i]));
        const auto code = goaway_code(drain(server));
        REQUIRE(code.has_value());
        CHECK(*code != u32(0));
        CHECK(server.is_done());
        CHECK(events_of(server).empty());
    }
}

TEST_CASE("a request with broken headers ends its stream only", "[wire][end]") {
    H2Session server = make_session(Role::kServer);
    const std::string no_path =
        header_block({{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}});
    const std::string hop_header = header_block({{":method", "POST"},
                                                 {":scheme", "http"},
                                                 {":path", kPutPath},
                                                 {":authority", "x"},
                                                 {"connection", "close"},
                                                 {"content-type", "application/grpc"}});
    CHECK(
        server
            .feed(
                client_hello() +
                frame({.type = kHeaders, .flags = kEndHeaders, .stream = 1, .payload = no_path}) +
                frame(
                    {.type = kHeaders, .flags = kEndHeaders, .stream = 3, .payload = hop_header}) +
                request_frame(5))
            .has_value());
    const std::vector<StreamEvent> events = events_of(server);
    REQUIRE(events.size() == 1);
    CHECK(std::get<RequestStarted>(events[0]).stream == 5);
    const auto reset = find_frame(drain(server), kRstStream);
    REQUIRE(reset.has_value());
    CHECK(reset->stream == 1);
    CHECK(reset->payload == u32(code_value(H2Code::kProtocolError)));
    CHECK(server.open_streams() == 1);
}

TEST_CASE("a request's authority may be a URL", "[wire][end]") {
    H2Session server = make_session(Role::kServer);
    const std::string block = header_block({{":method", "POST"},
                                            {":scheme", "http"},
                                            {":path", kPutPath},
                                            {":authority", "http://127.0.0.1:2379"},
                                            {"content-type", "application/grpc"},
                                            {"te", "trailers"}});
    CHECK(server
              .feed(client_hello() +
                    frame({.type = kHeaders, .flags = kEndHeaders, .stream = 1, .payload = block}))
              .has_value());
    const auto started = pick<RequestStarted>(events_of(server));
    REQUIRE(started.size() == 1);
    CHECK(started[0].method != nullptr);
}

TEST_CASE("malformed request headers end their stream only", "[wire][end]") {
    const std::vector<std::pair<std::string, std::string>> rows{{"Upper", "x"},
                                                                {":status", "200"},
                                                                {"bad name", "x"},
                                                                {"", "x"},
                                                                {"token", "a\nb"},
                                                                {"upgrade", "h2c"},
                                                                {"token", std::string(1, '\0')},
                                                                {"transfer-encoding", "chunked"}};
    H2Session server = make_session(Role::kServer);
    REQUIRE(server.feed(client_hello()).has_value());
    StreamId stream = 1;
    for (const auto& [name, value] : rows) {
        const std::string block = header_block({{":method", "POST"},
                                                {":scheme", "http"},
                                                {":path", kPutPath},
                                                {":authority", "x"},
                                                {name, value},
                                                {"content-type", "application/grpc"}});
        CHECK(server
                  .feed(frame(
                      {.type = kHeaders, .flags = kEndHeaders, .stream = stream, .payload = block}))
                  .has_value());
        CHECK(pick<RequestStarted>(events_of(server)).empty());
        const auto reset = find_frame(drain(server), kRstStream);
        REQUIRE(reset.has_value());
        CHECK(reset->stream == stream);
        CHECK(reset->payload == u32(code_value(H2Code::kProtocolError)));
        stream += 2;
    }
    CHECK(server.open_streams() == 0);
}

TEST_CASE("a request cut inside a message is answered as etcd answers it", "[wire][end]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath);
    link.settle();
    CHECK(link.server
              .feed(frame({.type = kData,
                           .flags = kEndStream,
                           .stream = id,
                           .payload = grpc_message("whole") + std::string(2, '\0')}))
              .has_value());
    const std::vector<StreamEvent> events = events_of(link.server);
    REQUIRE(events.size() == 2);
    CHECK(std::get<Message>(events[0]).payload.view() == "whole");
    CHECK(std::get<StreamReset>(events[1]).stream == id);
    link.to_client();
    const auto ended = pick<ResponseEnded>(link.client_events);
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].status == GrpcStatus{GrpcCode::kUnknown, "EOF"});
}

TEST_CASE("a client survives servers that do not speak gRPC", "[wire][end]") {
    struct Row {
        std::string name;
        std::string bytes;
        GrpcCode code;
    };
    const auto headers = [](std::string block, std::uint8_t flags) {
        return frame({.type = kHeaders,
                      .flags = static_cast<std::uint8_t>(flags | kEndHeaders),
                      .stream = 1,
                      .payload = std::move(block)});
    };
    const std::string html = header_block({{":status", "502"}, {"content-type", "text/html"}});
    const std::string good =
        header_block({{":status", "200"}, {"content-type", "application/grpc"}});
    const std::vector<Row> rows{
        {"a proxy's error page", headers(html, 0), GrpcCode::kUnavailable},
        {"a proxy's empty error", headers(html, kEndStream), GrpcCode::kUnavailable},
        {"no trailers",
         headers(good, 0) +
             frame({.type = kData, .flags = kEndStream, .stream = 1, .payload = grpc_message("x")}),
         GrpcCode::kInternal},
        {"trailers inside a message",
         headers(good, 0) + frame({.type = kData, .stream = 1, .payload = "\x01"}) +
             headers(header_block({{"grpc-status", "0"}}), kEndStream),
         GrpcCode::kInternal},
        {"an early hint, then the answer",
         headers(header_block({{":status", "103"}}), 0) + headers(good, 0) +
             headers(header_block({{"grpc-status", "5"}, {"grpc-message", "a%20b"}}), kEndStream),
         GrpcCode::kNotFound},
        {"an oversized message",
         headers(good, 0) +
             frame({.type = kData, .stream = 1, .payload = std::string("\0\x7f\0\0\0", 5)}),
         GrpcCode::kResourceExhausted},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        H2Session client = make_session(Role::kClient);
        REQUIRE(start_call(client, kPutPath) == 1);
        CHECK(client.send_message(1, ByteView("request")));
        CHECK(client.finish_sending(1));
        drain(client);
        CHECK(client.feed(frame({.type = kSettings}) + row.bytes).has_value());
        const auto ended = pick<ResponseEnded>(events_of(client));
        REQUIRE(ended.size() == 1);
        CHECK(ended[0].status.code == row.code);
        drain(client);
        CHECK(client.open_streams() == 0);
        CHECK(events_of(client).empty());
    }
}

TEST_CASE("a client may not send what would break its own headers", "[wire][end]") {
    H2Session client = make_session(Role::kClient);
    const auto error_of = [&client](RequestOptions options) {
        const Result<StreamId> id = client.start_request(options);
        REQUIRE(!id.has_value());
        return id.error().code;
    };
    RequestOptions good;
    good.path = kPutPath;
    good.authority = "x";
    RequestOptions bad = good;
    bad.path = "no slash";
    CHECK(error_of(bad) == Errc::kMalformed);
    bad = good;
    bad.authority = "a\nb";
    CHECK(error_of(bad) == Errc::kMalformed);
    bad = good;
    bad.metadata = {{"Upper", "x"}};
    CHECK(error_of(bad) == Errc::kMalformed);
    bad.metadata = {{":path", "x"}};
    CHECK(error_of(bad) == Errc::kMalformed);
    bad.metadata = {{"token", "line\r\nbreak"}};
    CHECK(error_of(bad) == Errc::kMalformed);
    bad.metadata.assign(65, {"x", "y"});
    CHECK(error_of(bad) == Errc::kMalformed);
    CHECK(client.start_request(good).has_value());
}

}  // namespace cairn::wire::test
