// The de-framer, gzip messages, and the send queue that is its inverse.
#include "proto/wire/grpc_frame.h"

#include <string>
#include <vector>

#include "catch.h"
#include <zlib.h>

#include "proto/wire/gzip.h"
#include "proto/wire/h2_guard.h"
#include "proto/wire/h2_stream.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

namespace {

constexpr std::size_t kMax = 1000;

// Feeds `bytes` in pieces of `piece` and gives back the payloads.
std::vector<std::string> deframe(std::string_view bytes, std::size_t piece) {
    GrpcDeframer deframer;
    std::vector<std::string> messages;
    while (!bytes.empty()) {
        ByteView part = bytes.substr(0, piece);
        bytes.remove_prefix(part.size());
        GrpcFrame frame;
        for (Result<bool> got = deframer.next(part, kMax, frame);;
             got = deframer.next(part, kMax, frame)) {
            REQUIRE(got.has_value());
            if (!got.value()) {
                break;
            }
            messages.emplace_back(frame.payload.view());
        }
        CHECK(part.empty());
    }
    CHECK(deframer.at_boundary());
    CHECK(deframer.buffered_bytes() == 0);
    return messages;
}

Error error_of(std::string_view bytes) {
    GrpcDeframer deframer;
    GrpcFrame frame;
    ByteView rest = bytes;
    const Result<bool> got = deframer.next(rest, kMax, frame);
    REQUIRE(!got.has_value());
    return got.error();
}

std::string gzip(std::string_view text) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string input(text);
    std::string out(deflateBound(&stream, input.size()) + 32, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

}  // namespace

TEST_CASE("messages come out whole whatever pieces they come in", "[wire][grpc]") {
    const std::vector<std::string> sent{"", "a", std::string(300, 'b'), "", std::string(kMax, 'c')};
    std::string wire;
    for (const std::string& message : sent) {
        wire += grpc_message(message);
    }
    for (const std::size_t piece : {1UL, 2UL, 5UL, 6UL, 304UL, 5000UL}) {
        INFO(piece);
        CHECK(deframe(wire, piece) == sent);
    }
}

TEST_CASE("the prefix alone decides about size and format", "[wire][grpc]") {
    CHECK(error_of(std::string("\0\0\0\x03\xe9", 5)) ==
          Error{Errc::kMessageTooLarge, "grpc: received message larger than max (1001 vs. 1000)"});
    CHECK(error_of("\xff\xff\xff\xff\xff") ==
          Error{Errc::kMessageTooLarge,
                "grpc: received message larger than max (4294967295 vs. 1000)"});
    CHECK(error_of(std::string("\x02\0\0\0\x01", 5)) ==
          Error{Errc::kMalformed, "grpc: received unexpected payload format 2"});
}

TEST_CASE("a cut message is no boundary", "[wire][grpc]") {
    GrpcDeframer deframer;
    GrpcFrame frame;
    ByteView part("\0\0", 2);
    CHECK(!deframer.next(part, kMax, frame).value());
    CHECK(!deframer.at_boundary());
    part = ByteView("\0\0\x04xyz", 6);
    CHECK(!deframer.next(part, kMax, frame).value());
    CHECK(deframer.buffered_bytes() == 3);
    deframer.reset();
    CHECK(deframer.at_boundary());
}

TEST_CASE("prefixes are big-endian", "[wire][grpc][golden]") {
    CHECK(encode_prefix(0) == GrpcPrefix{0, 0, 0, 0, 0});
    CHECK(encode_prefix(0x01020304) == GrpcPrefix{0, 1, 2, 3, 4});
}

TEST_CASE("a send queue gives its messages in any portions", "[wire][grpc][random]") {
    const std::uint64_t seed = test_seed(7);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    SendQueue queue;
    std::string expected;
    std::string got;
    for (int i = 0; i < 3000; ++i) {
        if (prng.chance(1, 2)) {
            const std::string message(prng.below(40), static_cast<char>('a' + i % 26));
            expected += grpc_message(message);
            queue.push(Bytes::copy_of(message));
        }
        queue.copy_to(got, prng.below(queue.bytes() + 1));
        CHECK(got.size() + queue.bytes() == expected.size());
    }
    queue.copy_to(got, queue.bytes());
    CHECK(got == expected);
    queue.push(Bytes::copy_of("left over"));
    queue.clear();
    CHECK(queue.bytes() == 0);
}

TEST_CASE("gzip messages inflate within the bound", "[wire][grpc][gzip]") {
    const std::string text(50'000, 'z');
    const std::string packed = gzip(text);
    REQUIRE(packed.size() < 1000);
    CHECK(gunzip(packed, text.size()).value().view() == text);
    CHECK(gunzip(gzip(""), 0).value().empty());
    const Result<Bytes> bomb = gunzip(packed, text.size() - 1);
    REQUIRE(!bomb.has_value());
    CHECK(bomb.error().code == Errc::kMessageTooLarge);
    CHECK(bomb.error().detail ==
          "grpc: received message after decompression larger than max 49999");
}

// The texts of an etcd 3.5.30, but for where deflate breaks off and for what stands behind the end.
TEST_CASE("broken gzip is told in grpc-go's words", "[wire][grpc][gzip]") {
    const std::string packed = gzip(std::string(50'000, 'z'));
    std::string flipped = packed;
    flipped[packed.size() - 6] = static_cast<char>(flipped[packed.size() - 6] ^ 1);
    std::string corrupt = packed;
    corrupt[10] = '\x07';  // a block of a type that is none
    const std::string header = "grpc: failed to decompress the message: ";
    const std::string body = "grpc: failed to read decompressed data: ";
    const std::vector<std::pair<std::string, std::string>> rows{
        {"", header + "EOF"},
        {"garbage", header + "unexpected EOF"},
        {packed.substr(0, 5), header + "unexpected EOF"},
        {"long enough for a header", header + "gzip: invalid header"},
        {packed.substr(0, 20), body + "unexpected EOF"},
        {packed.substr(0, packed.size() - 3), body + "unexpected EOF"},
        {flipped, body + "gzip: invalid checksum"},
        {corrupt, body + "flate: corrupt input"},
        {packed + "x", body + "gzip: bytes after the end"},
    };
    for (const auto& [broken, text] : rows) {
        const Result<Bytes> got = gunzip(broken, 50'000);
        REQUIRE(!got.has_value());
        CHECK(got.error().code == Errc::kMalformed);
        CHECK(got.error().detail == text);
    }
}

TEST_CASE("a call with grpc-encoding gzip", "[wire][h2][gzip]") {
    struct Row {
        std::string_view encoding;
        std::string body;
        std::optional<GrpcStatus> refusal;
    };
    const std::string flagless = "grpc: compressed flag set with identity or empty encoding";
    const std::vector<Row> rows{
        {"gzip", grpc_message(gzip("hello"), 1), std::nullopt},
        {"gzip", grpc_message("hello", 0), std::nullopt},
        {"identity", grpc_message(gzip("hello"), 1), GrpcStatus{GrpcCode::kInternal, flagless}},
        {"gzip", grpc_message("hello", 1),
         GrpcStatus{GrpcCode::kInternal, "grpc: failed to decompress the message: unexpected EOF"}},
        {"gzip", grpc_message(gzip(std::string(3U << 20U, 'x')), 1),
         GrpcStatus{GrpcCode::kResourceExhausted, {}}},
    };
    for (const Row& row : rows) {
        Link link;
        const StreamId id =
            start_call(link.client, "/etcdserverpb.KV/Put", {{"grpc-encoding", row.encoding}});
        link.settle();
        CHECK(
            link.server.feed(frame({.type = kData, .flags = 0, .stream = id, .payload = row.body}))
                .has_value());
        const std::vector<StreamEvent> events = events_of(link.server);
        REQUIRE(events.size() == 1);
        if (!row.refusal.has_value()) {
            CHECK(std::get<Message>(events[0]).payload.view() == "hello");
            continue;
        }
        CHECK(std::get<StreamReset>(events[0]).stream == id);
        link.settle();
        const auto ended = pick<ResponseEnded>(link.client_events);
        REQUIRE(ended.size() == 1);
        CHECK(ended[0].status.code == row.refusal->code);
        if (!row.refusal->message.empty()) {
            CHECK(ended[0].status.message == row.refusal->message);
        }
    }
}

TEST_CASE("what inflates to far more than was sent runs out", "[wire][h2][gzip]") {
    H2Limits limits;
    limits.idle_frames_max = 1000;
    Link link(limits);
    const std::string bomb = gzip(std::string(2'000'000, 'x'));
    const std::string broken = bomb.substr(0, bomb.size() - 1);
    std::string text;
    Prng random(1);
    while (text.size() < 2'000'000) {
        text += std::to_string(random.below(10'000)) + ", a text like many others; ";
    }
    const auto put = [&link](std::string_view compressed) {
        const StreamId id =
            start_call(link.client, "/etcdserverpb.KV/Put", {{"grpc-encoding", "gzip"}});
        link.settle();
        const std::string body = grpc_message(compressed, 1);
        Result<void> fed = ok();
        for (std::size_t at = 0; at < body.size() && fed.has_value(); at += 16'384) {
            fed = link.server.feed(
                frame({.type = kData, .stream = id, .payload = body.substr(at, 16'384)}));
        }
        static_cast<void>(link.client.reset(id, H2Code::kCancel));
        return fed;
    };
    const std::string honest = gzip(text);
    REQUIRE(honest.size() * 16 > text.size());
    for (int i = 0; i < 20; ++i) {
        CHECK(put(honest).has_value());
    }
    // Of the first the grant of a tick is taken; 121 and a few more for each.
    int puts = 0;
    Result<void> fed = ok();
    for (; fed.has_value() && puts < 20; ++puts) {
        fed = put(puts % 2 == 0 ? bomb : broken);
    }
    CHECK(puts > 5);
    CHECK(puts <= 10);
    REQUIRE_FALSE(fed.has_value());
    CHECK(fed.error().detail == "too_much_to_inflate");
}

TEST_CASE("short messages of zeros are no attack, and many of them are", "[wire][h2][gzip]") {
    constexpr std::size_t kBytes = 64U * 1024U;
    const std::size_t compressed = gzip(std::string(kBytes, '\0')).size();
    AbuseGuard guard{H2Limits{}};
    const auto put = [&] {
        guard.on_inflated(compressed, kBytes);
        guard.on_work_received();
    };
    std::uint64_t now_ms = 0;
    for (int second = 0; second < 100; ++second) {
        guard.on_tick(now_ms += 1'000);
        for (int i = 0; i < 16; ++i) {
            put();
        }
    }
    CHECK(guard.counters().idle_frames == 0);
    // Of each in a tick that has had its share four are taken, and two given.
    int puts = 0;
    for (; guard.verdict().empty() && puts < 10'000; ++puts) {
        put();
    }
    CHECK(guard.verdict() == "too_much_to_inflate");
    CHECK(puts > 4'900);
    CHECK(puts < 5'100);
}

}  // namespace cairn::wire::test
