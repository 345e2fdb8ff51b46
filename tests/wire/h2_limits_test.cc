// Every bound of H2Limits, reached by somebody who means harm, with frames written by hand.
#include <string>
#include <vector>

#include "catch.h"

#include "proto/wire/h2_session.h"
#include "proto/wire/h2_stream.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

namespace {

constexpr std::string_view kPutPath = "/etcdserverpb.KV/Put";

// A server that has said hello; its greeting is out of the way.
H2Session attacked(const H2Limits& limits) {
    H2Session server = make_session(Role::kServer, limits);
    REQUIRE(server.feed(client_hello() + frame({.type = kSettings, .flags = kAck})).has_value());
    drain(server);
    return server;
}

void check_calmed(H2Session& server, const Result<void>& fed, std::string_view word) {
    REQUIRE(!fed.has_value());
    CHECK(fed.error() == Error{Errc::kProtocol, std::string(word)});
    const auto goaway = find_frame(drain(server), kGoAway);
    REQUIRE(goaway.has_value());
    CHECK(goaway->payload.substr(4, 4) == u32(0xb));  // ENHANCE_YOUR_CALM
    CHECK(goaway->payload.substr(8) == word);
    CHECK(server.is_done());
}

std::string many(const std::string& one, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
        out += one;
    }
    return out;
}

}  // namespace

TEST_CASE("a message over the cap is refused at its prefix", "[wire][limits]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath);
    link.settle();
    CHECK(link.server
              .feed(frame(
                  {.type = kData, .stream = id, .payload = std::string(1, '\0') + u32(2'097'153)}))
              .has_value());
    CHECK(pick<StreamReset>(events_of(link.server)).size() == 1);
    CHECK(link.server.partial_bytes() == 0);
    link.to_client();
    const auto ended = pick<ResponseEnded>(link.client_events);
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].status ==
          GrpcStatus{GrpcCode::kResourceExhausted,
                     "grpc: received message larger than max (2097153 vs. 2097152)"});
    CHECK(link.server.open_streams() == 0);
}

TEST_CASE("unfinished messages of all streams together are bounded", "[wire][limits]") {
    H2Limits limits;
    limits.partial_bytes_max = 100'000;
    Link link(limits);
    std::vector<StreamId> ids;
    for (int i = 0; i < 12; ++i) {
        ids.push_back(start_call(link.client, kPutPath));
    }
    link.settle();
    for (const StreamId id : ids) {
        CHECK(
            link.server
                .feed(frame({.type = kData,
                             .stream = id,
                             .payload = grpc_message(std::string(20'000, 'x')).substr(0, 10'005)}))
                .has_value());
        CHECK(link.server.partial_bytes() <= 100'000);
    }
    const auto resets = pick<StreamReset>(events_of(link.server));
    CHECK(resets.size() == 2);  // ten fit exactly
    link.to_client();
    const auto ended = pick<ResponseEnded>(link.client_events);
    REQUIRE(!ended.empty());
    CHECK(ended[0].status.code == GrpcCode::kResourceExhausted);
}

TEST_CASE("a second message of a unary call is not looked into", "[wire][limits]") {
    Link link;
    const StreamId id = start_call(link.client, kPutPath, {{"grpc-encoding", "gzip"}});
    link.settle();
    CHECK(link.server
              .feed(frame({.type = kData,
                           .stream = id,
                           .payload = grpc_message("first") + grpc_message("no gzip", 1)}))
              .has_value());
    const std::vector<StreamEvent> events = events_of(link.server);
    CHECK(pick<Message>(events).size() == 1);
    CHECK(pick<StreamReset>(events).size() == 1);
    CHECK(link.server.partial_bytes() == 0);
    link.settle();
    const auto ended = pick<ResponseEnded>(link.client_events);
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].status ==
          GrpcStatus{GrpcCode::kInternal, "a unary call takes one message, two came"});
}

TEST_CASE("what comes of a call after its end is dropped", "[wire][limits]") {
    H2Limits limits;
    limits.idle_frames_max = 5;
    Link link(limits);
    const StreamId id = start_call(link.client, "/etcdserverpb.Watch/Watch");
    link.settle();
    const std::string message = grpc_message("a message");
    const auto data = [id](std::string payload) {
        return frame({.type = kData, .stream = id, .payload = std::move(payload)});
    };
    CHECK(link.server.feed(data(message.substr(0, 8))).has_value());
    CHECK(link.server.partial_bytes() == 3);
    CHECK(link.server.send_trailers(id, {}));
    CHECK(link.server.partial_bytes() == 0);
    CHECK(link.server.feed(data(message.substr(8)) + data(message)).has_value());
    CHECK(link.server.partial_bytes() == 0);
    CHECK(events_of(link.server).empty());
    // As long as the end waits to be read, what the client says of the call counts.
    const std::string again =
        frame({.type = kHeaders, .flags = kEndHeaders, .stream = id, .payload = {}});
    CHECK_FALSE(link.server.feed(many(again, 10)).has_value());
}

TEST_CASE("too large a header list ends its stream", "[wire][limits]") {
    H2Limits limits;
    limits.header_list_bytes_max = 1000;
    H2Session server = attacked(limits);
    const auto request = [](StreamId stream, std::size_t extra) {
        return frame({.type = kHeaders,
                      .flags = kEndHeaders | kEndStream,
                      .stream = stream,
                      .payload = header_block({{":method", "POST"},
                                               {":scheme", "http"},
                                               {":path", kPutPath},
                                               {":authority", "x"},
                                               {"content-type", "application/grpc"},
                                               {"x", std::string(extra, 'x')}})});
    };
    // 268 bytes without the filler.
    CHECK(server.feed(request(1, 600) + request(3, 900)).has_value());
    const std::vector<StreamEvent> events = events_of(server);
    REQUIRE(pick<RequestStarted>(events).size() == 1);
    CHECK(pick<RequestStarted>(events)[0].stream == 1);
    const auto reset = find_frame(drain(server), kRstStream);
    REQUIRE(reset.has_value());
    CHECK(reset->stream == 3);
    CHECK(reset->payload == u32(0x6));  // FRAME_SIZE_ERROR
}

TEST_CASE("endless CONTINUATION frames end the connection", "[wire][limits]") {
    H2Session server = attacked({});
    const std::string piece = header_block({{"x", "y"}});
    const Result<void> fed = server.feed(
        frame({.type = kHeaders, .stream = 1, .payload = header_block({{":method", "POST"}})}) +
        many(frame({.type = kContinuation, .stream = 1, .payload = piece}), 9));
    REQUIRE(!fed.has_value());
    CHECK(fed.error().code == Errc::kProtocol);
    drain(server);
    CHECK(server.is_done());
}

TEST_CASE("more streams than allowed are refused", "[wire][limits]") {
    H2Limits limits;
    limits.concurrent_streams_max = 3;
    H2Session server = attacked(limits);
    std::string requests;
    for (StreamId id = 1; id <= 7; id += 2) {
        requests += request_frame(id);
    }
    static_cast<void>(server.feed(requests));
    CHECK(server.open_streams() <= 3);
    CHECK(pick<RequestStarted>(events_of(server)).size() == 3);
    // A well-behaved client waits instead.
    Link link(limits);
    for (int i = 0; i < 5; ++i) {
        const StreamId id = start_call(link.client, kPutPath);
        CHECK(link.client.finish_sending(id));
        if (i == 0) {
            link.settle();  // from now on it knows the limit
        }
    }
    link.settle();
    CHECK(pick<RequestStarted>(link.server_events).size() == 3);
    CHECK(link.server.send_trailers(1, {}));
    CHECK(link.server.send_trailers(3, {}));
    link.settle();
    CHECK(pick<RequestStarted>(link.server_events).size() == 5);
}

// Until it acknowledges our SETTINGS a client cannot be blamed for not keeping to them: the streams
// are refused one by one, and each refusal waits until it is read.
TEST_CASE("streams beyond the bound are not refused for ever", "[wire][limits]") {
    H2Limits limits;
    limits.concurrent_streams_max = 3;
    limits.resets_max = 50;
    limits.outbound_acks_max = 20;
    std::string_view word = "too_many_resets";
    std::size_t endured = 50;
    SECTION("by their number") {}
    SECTION("as long as nobody reads the refusals") {
        limits.resets_max = 1'000'000;
        word = "too_many_unread_frames";
        endured = 88;  // besides our SETTINGS and window
    }
    H2Session server = make_session(Role::kServer, limits);
    REQUIRE(server.feed(client_hello()).has_value());
    std::string requests;
    for (StreamId id = 1; id <= 5; id += 2) {
        requests += request_frame(id);
    }
    REQUIRE(server.feed(requests).has_value());
    std::size_t refused = 0;
    Result<void> fed = ok();
    for (StreamId id = 7; refused < 1000 && fed.has_value(); id += 2, ++refused) {
        fed = server.feed(frame({.type = kHeaders, .flags = kEndHeaders, .stream = id}));
    }
    CHECK(refused >= endured);
    CHECK(refused <= endured + 1);
    CHECK(pick<RequestStarted>(events_of(server)).size() == 3);
    check_calmed(server, fed, word);
}

TEST_CASE("rapid reset ends the connection", "[wire][limits]") {
    H2Limits limits;
    limits.resets_max = 50;
    H2Session server = attacked(limits);
    Result<void> fed = ok();
    StreamId id = 1;
    for (int i = 0; i < 50; ++i, id += 2) {
        fed = server.feed(request_frame(id) +
                          frame({.type = kRstStream, .stream = id, .payload = u32(0x8)}));
        REQUIRE(fed.has_value());
    }
    const std::vector<StreamEvent> events = events_of(server);
    CHECK(pick<RequestStarted>(events).size() == 50);
    CHECK(pick<StreamReset>(events).size() == 50);
    CHECK(server.open_streams() == 0);
    CHECK(server.counters().wasted_streams == 50);

    // A second of patience buys some more, and a finished call one.
    server.on_tick(1000);
    id += 2;
    fed = server.feed(request_frame(id) +
                      frame({.type = kRstStream, .stream = id, .payload = u32(0x8)}));
    CHECK(fed.has_value());
    for (int i = 0; i < 300 && fed.has_value(); ++i) {
        id += 2;
        fed = server.feed(request_frame(id) +
                          frame({.type = kRstStream, .stream = id, .payload = u32(0x8)}));
    }
    check_calmed(server, fed, "too_many_resets");
}

TEST_CASE("making us reset counts like resetting", "[wire][limits]") {
    H2Limits limits;
    limits.resets_max = 20;
    H2Session server = attacked(limits);
    Result<void> fed = ok();
    for (StreamId id = 1; id < 100 && fed.has_value(); id += 2) {
        // A window that overflows is a stream error: the server must reset the stream.
        fed = server.feed(request_frame(id) +
                          frame({.type = kWindowUpdate, .stream = id, .payload = u32(0x7fffffff)}));
        if (!fed.has_value()) {
            break;
        }
        drain(server);
    }
    if (fed.has_value()) {
        fed = server.feed(frame({.type = kSettings}));
    }
    check_calmed(server, fed, "too_many_resets");
}

TEST_CASE("calls that end well pay for some that do not", "[wire][limits]") {
    H2Limits limits;
    limits.resets_max = 5;
    Link link(limits);
    for (int i = 0; i < 100; ++i) {
        const StreamId gone = start_call(link.client, kPutPath);
        link.to_server();
        CHECK(link.client.reset(gone, H2Code::kCancel));
        const StreamId good = start_call(link.client, kPutPath);
        CHECK(link.client.finish_sending(good));
        link.settle();
        CHECK(link.server.send_trailers(good, {}));
        link.settle();
    }
    CHECK(!link.server.is_done());
    CHECK(link.server.counters().wasted_streams == 100);
}

TEST_CASE("frames that bring no work run out", "[wire][limits]") {
    H2Limits limits;
    limits.idle_frames_max = 500;
    const std::vector<std::string> floods{
        frame({.type = kSettings}),
        frame({.type = kPriority, .stream = 1, .payload = u32(0x7fffffff) + "\x01"}),
        frame({.type = kWindowUpdate, .payload = u32(1)}),
        frame({.type = kData, .stream = 1}),
        frame({.type = kPing, .flags = kAck, .payload = "12345678"}),
        frame({.type = kPing, .payload = "12345678"}),
    };
    for (std::size_t i = 0; i < floods.size(); ++i) {
        INFO("row " << i);
        H2Session server = attacked(limits);
        REQUIRE(server.feed(request_frame(1)).has_value());
        drain(server);
        Result<void> fed = ok();
        int rounds = 0;
        for (; rounds < 100 && fed.has_value(); ++rounds) {
            fed = server.feed(many(floods[i], 10));
            if (fed.has_value()) {
                drain(server);
            }
        }
        CHECK(rounds >= 49);
        CHECK(rounds <= 51);
        check_calmed(server, fed, "too_many_idle_frames");
    }
}

TEST_CASE("unread acknowledgements are bounded", "[wire][limits]") {
    H2Limits limits;
    limits.outbound_acks_max = 100;
    for (const std::uint8_t type : {kPing, kSettings}) {
        H2Session server = attacked(limits);
        const std::string one =
            frame({.type = type, .payload = type == kPing ? "12345678" : std::string()});
        const Result<void> fed = server.feed(many(one, 200));
        REQUIRE(!fed.has_value());
        CHECK(fed.error().code == Errc::kProtocol);
    }
}

TEST_CASE("pings closer than five seconds end the connection, once there is time",
          "[wire][limits]") {
    const std::string ping = frame({.type = kPing, .payload = "12345678"});
    SECTION("no time, no rule") {
        H2Session server = attacked({});
        CHECK(server.feed(many(ping, 100)).has_value());
    }
    SECTION("four in a row are too many") {
        H2Session server = attacked({});
        server.on_tick(1000);
        drain(server);
        // The greeting was work sent: the first ping only clears that.
        REQUIRE(server.feed(request_frame(1)).has_value());
        CHECK(server.feed(many(ping, 3)).has_value());
        check_calmed(server, server.feed(many(ping, 2)), "too_many_pings");
    }
    SECTION("one in five seconds never is") {
        H2Session server = attacked({});
        for (std::uint64_t now_ms = 1000; now_ms < 200'000; now_ms += 1000) {
            server.on_tick(now_ms);
            if (now_ms % 5000 == 0) {
                REQUIRE(server.feed(ping).has_value());
                drain(server);
            }
        }
    }
    SECTION("pings beside answers are how a client measures the line") {
        Link link;
        link.settle();
        link.server.on_tick(1000);
        const StreamId id = start_call(link.client, "/etcdserverpb.Watch/Watch");
        link.settle();
        for (int i = 0; i < 50; ++i) {
            CHECK(link.server.send_message(id, ByteView("event")));
            link.client.ping();
            link.settle();
        }
        CHECK(link.client.pongs_received() == 50);
    }
}

TEST_CASE("the answers to our own pings are free", "[wire][limits]") {
    H2Limits limits;
    limits.idle_frames_max = 10;
    Link link({}, limits);
    link.settle();
    for (int i = 0; i < 100; ++i) {
        link.client.ping();
        link.settle();
    }
    CHECK(link.client.pongs_received() == 100);
    CHECK(!link.client.is_done());
}

TEST_CASE("a burst of streams gives its memory back", "[wire][limits]") {
    StreamTable table;
    for (StreamId id = 1; id < 20'000; id += 2) {
        H2Stream& stream = table.open(id);
        stream.request.token = "x";
    }
    CHECK(table.size() == 10'000);
    for (StreamId id = 1; id < 20'000; id += 2) {
        REQUIRE(table.find(id) != nullptr);
        CHECK(table.find(id)->id == id);
    }
    CHECK(table.find(2) == nullptr);
    CHECK(table.find(20'001) == nullptr);
    for (StreamId id = 19'999; id > 0; id -= 2) {
        table.close(id);
    }
    CHECK(table.size() == 0);
    CHECK(table.open(7).request.token.empty());
    CHECK(table.find(7)->id == 7);
}

// A server that ends thousands of calls at once is about to stop, and means no harm.
TEST_CASE("a client takes as many resets as the server likes", "[wire][limits]") {
    constexpr int kCalls = 20;
    H2Limits limits;
    limits.resets_max = 3;
    H2Session client = make_session(Role::kClient, limits);
    REQUIRE(client.feed(frame({.type = kSettings})).has_value());
    for (int call = 0; call < kCalls; ++call) {
        const StreamId id = start_call(client, kPutPath);
        drain(client);
        CHECK(
            client.feed(frame({.type = kRstStream, .stream = id, .payload = u32(7)})).has_value());
    }
    CHECK(pick<StreamReset>(events_of(client)).size() == kCalls);
    CHECK_FALSE(client.is_done());
}

}  // namespace cairn::wire::test
