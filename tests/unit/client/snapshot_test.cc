// save_snapshot: the only call that answers with a stream.
#include "client/snapshot.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "proto/etcd/rpc_maintenance.pb.h"
#include "tests/unit/client/test_client.h"

namespace cairn::client {
namespace {

std::string piece_of(const std::string& bytes, std::uint64_t remaining) {
    etcdserverpb::SnapshotResponse response;
    response.set_blob(bytes);
    response.set_remaining_bytes(remaining);
    response.set_version("test 1");
    return response.SerializeAsString();
}

// More than a window, so that it only comes to its end when the client credits what it took.
std::vector<std::string> many_pieces(int count) {
    std::vector<std::string> pieces;
    for (int i = 0; i < count; ++i) {
        pieces.push_back(piece_of(std::string(100'000, static_cast<char>('a' + i % 26)),
                                  static_cast<std::uint64_t>(count - 1 - i) * 100'000));
    }
    return pieces;
}

// Of a client that is judged by how long it waits for a server that it has reached.
ClientOptions options_once_reached(std::string endpoint) {
    ClientOptions options = options_for({std::move(endpoint)});
    options.dial_timeout = std::chrono::seconds(60);
    return options;
}

FakeReply stream_of(std::vector<std::string> pieces, wire::GrpcStatus status = {}) {
    return {FakeReply::Kind::kAnswer, std::move(status), {}, {}, std::move(pieces)};
}

}  // namespace

TEST_CASE("snapshot: pieces come in their order, and the client asks for cairn's format",
          "[client][snapshot]") {
    FakeRequest asked;
    FakeServer server([&asked](const FakeRequest& request) {
        asked = request;
        return stream_of(many_pieces(60));
    });
    std::string all;
    std::uint64_t remaining = 60 * 100'000;
    const auto answer =
        save_snapshot(options_for({server.endpoint()}), [&](const SnapshotPiece& piece) {
            remaining -= piece.bytes.size();
            CHECK(piece.remaining_bytes == remaining);
            all += piece.bytes;
            return true;
        });
    REQUIRE(answer);
    CHECK(answer->version == "test 1");
    REQUIRE(all.size() == 6'000'000);
    for (std::size_t i = 0; i < all.size(); i += 10'000) {
        CHECK(all[i] == static_cast<char>('a' + i / 100'000 % 26));
    }
    CHECK(asked.path == "/etcdserverpb.Maintenance/Snapshot");
    CHECK(asked.native_snapshot);
    ClientOptions patient = options_for({server.endpoint()});
    patient.request_timeout = std::chrono::nanoseconds(0);
    CHECK(save_snapshot(patient, [](const auto&) { return true; }));
}

TEST_CASE("snapshot: a sink that says no ends the call", "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) { return stream_of(many_pieces(60)); });
    int taken = 0;
    const auto answer = save_snapshot(options_for({server.endpoint()}),
                                      [&taken](const SnapshotPiece&) { return ++taken < 3; });
    REQUIRE_FALSE(answer);
    CHECK(answer.error() == Error{GrpcCode::kCancelled, "context canceled", false});
    CHECK(taken == 3);
}

TEST_CASE("snapshot: an error behind pieces is the call's, and nothing is asked for twice",
          "[client][snapshot]") {
    int calls = 0;
    FakeServer server([&calls](const FakeRequest&) {
        ++calls;
        return stream_of(many_pieces(2), {GrpcCode::kUnavailable, "going away"});
    });
    int taken = 0;
    const auto answer = save_snapshot(options_for({server.endpoint()}),
                                      [&taken](const SnapshotPiece&) { return ++taken > 0; });
    REQUIRE_FALSE(answer);
    CHECK(answer.error() == Error{GrpcCode::kUnavailable, "going away", false});
    CHECK(taken == 2);
    CHECK(calls == 1);
}

TEST_CASE("snapshot: the deadline holds, and nobody at all is Unavailable", "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) { return silence(); });
    ClientOptions options = options_for({server.endpoint()});
    options.request_timeout = std::chrono::milliseconds(50);
    const auto late = save_snapshot(options, [](const SnapshotPiece&) { return true; });
    REQUIRE_FALSE(late);
    CHECK(late.error().code == GrpcCode::kDeadlineExceeded);
    const auto gone =
        save_snapshot(options_for({dead_endpoint()}), [](const SnapshotPiece&) { return true; });
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == GrpcCode::kUnavailable);
}

TEST_CASE("snapshot: a server that falls silent is not waited for", "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) {
        FakeReply reply = stream_of(many_pieces(2));
        reply.kind = FakeReply::Kind::kFreeze;
        return reply;
    });
    ClientOptions options = options_once_reached(server.endpoint());
    options.request_timeout = std::chrono::nanoseconds(0);
    options.keepalive_time = std::chrono::milliseconds(20);
    options.keepalive_timeout = std::chrono::seconds(2);
    int taken = 0;
    const auto answer =
        save_snapshot(options, [&taken](const SnapshotPiece&) { return ++taken > 0; });
    REQUIRE_FALSE(answer);
    CHECK(answer.error() == Error{GrpcCode::kUnavailable,
                                  "connection error: the server says nothing any more", false});
    CHECK(taken == 2);
}

TEST_CASE("snapshot: one that only has nothing to say is", "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) { return silence(); });
    ClientOptions options = options_once_reached(server.endpoint());
    // Later than a client would know that does not hear the answers to its pings.
    options.request_timeout = std::chrono::seconds(5);
    options.keepalive_time = std::chrono::milliseconds(20);
    options.keepalive_timeout = std::chrono::seconds(2);
    const auto late = save_snapshot(options, [](const SnapshotPiece&) { return true; });
    REQUIRE_FALSE(late);
    CHECK(late.error().code == GrpcCode::kDeadlineExceeded);
}

TEST_CASE("snapshot: a keepalive time as long as time itself asks for nothing",
          "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) {
        FakeReply reply = stream_of(many_pieces(2));
        reply.kind = FakeReply::Kind::kFreeze;
        return reply;
    });
    ClientOptions options = options_once_reached(server.endpoint());
    options.request_timeout = std::chrono::seconds(1);
    options.keepalive_time = std::chrono::nanoseconds::max();
    options.keepalive_timeout = std::chrono::nanoseconds(1);
    const auto late = save_snapshot(options, [](const SnapshotPiece&) { return true; });
    REQUIRE_FALSE(late);
    CHECK(late.error().code == GrpcCode::kDeadlineExceeded);
}

TEST_CASE("snapshot: a stream that was given up says why", "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) {
        FakeReply reply;
        reply.kind = FakeReply::Kind::kReset;
        reply.reset_code = wire::H2Code::kEnhanceYourCalm;
        return reply;
    });
    const auto answer =
        save_snapshot(options_for({server.endpoint()}), [](const SnapshotPiece&) { return true; });
    REQUIRE_FALSE(answer);
    CHECK(answer.error() == Error{GrpcCode::kResourceExhausted,
                                  "server asks for calm: too little of the snapshot was taken in a "
                                  "minute",
                                  false});
}

TEST_CASE("snapshot: a message that is none ends the call", "[client][snapshot]") {
    FakeServer server([](const FakeRequest&) {
        return stream_of({piece_of("good", 9), std::string("\xff\xff\xff")});
    });
    const auto answer =
        save_snapshot(options_for({server.endpoint()}), [](const SnapshotPiece&) { return true; });
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == GrpcCode::kInternal);
}

}  // namespace cairn::client
