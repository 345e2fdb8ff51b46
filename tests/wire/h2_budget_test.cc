// What all sessions of a server may hold together, and who is refused when it is too much.
#include <memory>
#include <string>

#include "catch.h"

#include "proto/wire/h2_session.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

namespace {

constexpr std::string_view kPutPath = "/etcdserverpb.KV/Put";
constexpr std::string_view kWatchPath = "/etcdserverpb.Watch/Watch";

H2Limits limits_with(std::shared_ptr<H2Budget> budget) {
    H2Limits limits;
    limits.budget = std::move(budget);
    return limits;
}

H2Session greeted(const H2Limits& limits) {
    H2Session server = make_session(Role::kServer, limits);
    REQUIRE(server.feed(client_hello()).has_value());
    drain(server);
    return server;
}

// A call that sends `bytes` of its message and does not end.
std::string request(StreamId stream, std::size_t bytes, std::string_view path = kPutPath) {
    return request_frame(stream, path) +
           frame(
               {.type = kData, .stream = stream, .payload = grpc_message(std::string(bytes, 'x'))});
}

std::size_t resets(H2Session& server) {
    std::size_t count = 0;
    for (const FrameText& one : parse_frames(drain(server))) {
        count += one.type == kRstStream ? 1U : 0U;
    }
    return count;
}

}  // namespace

TEST_CASE("requests that do not end are bounded over all sessions", "[wire][budget]") {
    const auto budget = std::make_shared<H2Budget>();
    budget->request_bytes_max = 80'000;
    budget->request_bytes_small = 10'000;
    {
        H2Session greedy = greeted(limits_with(budget));
        H2Session modest = greeted(limits_with(budget));
        std::string bytes;
        for (StreamId id = 1; id <= 19; id += 2) {
            bytes += request(id, 9'990);  // whole, but their calls go on
        }
        CHECK(greedy.feed(bytes).has_value());
        // Seven fit below seven eighths.
        CHECK(greedy.partial_bytes() == 7 * 9'990);
        CHECK(budget->request_bytes == 7 * 9'990);
        CHECK(budget->requests_refused == 3);
        CHECK(resets(greedy) == 3);
        CHECK(pick<StreamReset>(events_of(greedy)).size() == 3);
        // The last eighth is for those who hold little.
        CHECK(modest.feed(request(1, 9'990)).has_value());
        CHECK(pick<Message>(events_of(modest)).size() == 1);
        CHECK(modest.feed(request(3, 9'990)).has_value());
        CHECK(budget->requests_refused == 4);
        // An answer makes room.
        CHECK(greedy.send_trailers(1, {}));
        drain(greedy);
        CHECK(budget->request_bytes == 7 * 9'990);
    }
    CHECK(budget->request_bytes == 0);
    CHECK(budget->streams == 0);
}

TEST_CASE("messages of a stream that goes on are not held", "[wire][budget]") {
    const auto budget = std::make_shared<H2Budget>();
    H2Session server = greeted(limits_with(budget));
    CHECK(server.feed(request(1, 5'000, kWatchPath)).has_value());
    CHECK(pick<Message>(events_of(server)).size() == 1);
    CHECK(budget->request_bytes == 0);
}

TEST_CASE("open streams are bounded over all sessions", "[wire][budget]") {
    const auto budget = std::make_shared<H2Budget>();
    budget->streams_max = 16;
    budget->streams_small = 2;
    {
        H2Session greedy = greeted(limits_with(budget));
        H2Session modest = greeted(limits_with(budget));
        std::string bytes;
        for (StreamId id = 1; id <= 39; id += 2) {
            bytes += request_frame(id);
        }
        CHECK(greedy.feed(bytes).has_value());
        CHECK(pick<RequestStarted>(events_of(greedy)).size() == 14);
        CHECK(budget->streams_refused == 6);
        const auto reset = find_frame(drain(greedy), kRstStream);
        REQUIRE(reset.has_value());
        CHECK(reset->payload == u32(0x7));  // REFUSED_STREAM
        CHECK(budget->streams == 14);
        CHECK(modest.feed(request_frame(1) + request_frame(3)).has_value());
        CHECK(pick<RequestStarted>(events_of(modest)).size() == 2);
    }
    CHECK(budget->streams == 0);
}

TEST_CASE("a client with too much unanswered gets no window", "[wire][budget]") {
    H2Limits limits;
    limits.pending_bytes_max = 20'000;
    limits.connection_window_bytes = 100'000;
    H2Session server = greeted(limits);
    const auto asked = [&](StreamId id) {
        REQUIRE(server
                    .feed(request(id, 16'000) +
                          frame({.type = kData, .flags = kEndStream, .stream = id}))
                    .has_value());
    };
    const auto credited = [&] {
        std::size_t count = 0;
        for (const FrameText& one : parse_frames(drain(server))) {
            count += one.type == kWindowUpdate && one.stream == 0 ? 1U : 0U;
        }
        return count;
    };
    // nghttp2 announces what was consumed at half a window.
    for (StreamId id = 1; id <= 11; id += 2) {
        asked(id);
    }
    CHECK(credited() == 0);
    for (StreamId id = 1; id <= 11; id += 2) {
        CHECK(server.send_trailers(id, {}));
    }
    CHECK(credited() == 1);
}

TEST_CASE("a request is not counted while its answer waits to be read", "[wire][budget]") {
    const auto budget = std::make_shared<H2Budget>();
    H2Session server = greeted(limits_with(budget));
    for (StreamId id = 1; id <= 11; id += 2) {
        REQUIRE(server
                    .feed(request(id, 16'000) +
                          frame({.type = kData, .flags = kEndStream, .stream = id}))
                    .has_value());
    }
    CHECK(budget->request_bytes == 6 * 16'000);
    for (StreamId id = 1; id <= 11; id += 2) {
        CHECK(server.send_message(id, ByteView(std::string(200'000, 'a'))));
        CHECK(server.send_trailers(id, {}));
    }
    drain(server);
    CHECK(server.open_streams() == 6);
    CHECK(server.queued_bytes() > 1'000'000);
    CHECK(budget->request_bytes == 0);
}

TEST_CASE("the window that an answer made room for goes out behind it", "[wire][budget]") {
    H2Limits limits;
    limits.queued_bytes_max = 50'000;
    limits.connection_window_bytes = 100'000;
    H2Session server = greeted(limits);
    REQUIRE(server.feed(request_frame(1, kWatchPath)).has_value());
    CHECK(server.send_message(1, ByteView(std::string(60'000, 'a'))));
    std::string asked;
    for (int i = 0; i < 6; ++i) {
        asked +=
            frame({.type = kData, .stream = 1, .payload = grpc_message(std::string(10'000, 'q'))});
    }
    REQUIRE(server.feed(asked).has_value());
    std::string out;
    CHECK_FALSE(server.take_output(out, 1U << 20U));
    CHECK(server.queued_bytes() == 0);
    std::size_t windows = 0;
    for (const FrameText& one : parse_frames(out)) {
        windows += one.type == kWindowUpdate && one.stream == 0 ? 1U : 0U;
    }
    CHECK(windows == 1);
}

TEST_CASE("a session that its owner gives up says why, and takes no more", "[wire][budget]") {
    const auto budget = std::make_shared<H2Budget>();
    H2Session server = greeted(limits_with(budget));
    REQUIRE(server.feed(request_frame(1)).has_value());
    server.give_up(H2Code::kEnhanceYourCalm, "answers_not_taken");
    const auto goaway = find_frame(drain(server), kGoAway);
    REQUIRE(goaway.has_value());
    CHECK(goaway->payload.find("answers_not_taken") != std::string::npos);
    CHECK(server.is_done());
    CHECK(server.feed(request_frame(3)).has_error());
}

TEST_CASE("a session that is ended for what its client sent is counted", "[wire][budget]") {
    const auto budget = std::make_shared<H2Budget>();
    H2Session server = greeted(limits_with(budget));
    static_cast<void>(server.feed(frame({.type = kPing, .payload = "short"})));
    REQUIRE(find_frame(drain(server), kGoAway).has_value());
    CHECK(budget->sessions_ended == 1);
}

}  // namespace cairn::wire::test
