// The text forms of gRPC: status codes, percent-encoding, deadlines, method paths, preface.
#include <string>
#include <vector>

#include "catch.h"

#include "proto/wire/deadline.h"
#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"
#include "proto/wire/h2_head.h"
#include "proto/wire/preface.h"
#include "tests/wire/wire_harness.h"

namespace cairn::wire::test {

TEST_CASE("grpc-status both ways", "[wire][grpc]") {
    for (std::uint8_t i = 0; i <= 16; ++i) {
        const auto code = static_cast<GrpcCode>(i);
        CHECK(encode_code(code) == std::to_string(i));
        CHECK(decode_code(std::to_string(i)) == code);
        CHECK(grpc_code_name(code) != "?");
    }
    CHECK(decode_code("17") == GrpcCode::kUnknown);
    CHECK(decode_code("99") == GrpcCode::kUnknown);
    for (const std::string_view bad : {"", "x", "1x", "-1", "100", " 1"}) {
        CHECK(!decode_code(bad).has_value());
    }
    CHECK(grpc_code_name(GrpcCode::kFailedPrecondition) == "FailedPrecondition");
}

TEST_CASE("grpc-message is percent-encoded UTF-8", "[wire][grpc]") {
    struct Row {
        std::string plain, wire;
    };
    const std::vector<Row> rows{
        {"", ""},
        {"etcdserver: key is not provided", "etcdserver: key is not provided"},
        {"100%", "100%25"},
        {"a\nb\x7f", "a%0Ab%7F"},
        {"gr\xc3\xbcn", "gr%C3%BCn"},
        {"\xe2\x82\xac", "%E2%82%AC"},
        {"\xf0\x9f\x98\x80", "%F0%9F%98%80"},
    };
    for (const Row& row : rows) {
        CHECK(encode_message(row.plain) == row.wire);
        CHECK(decode_message(row.wire) == row.plain);
    }
    // Not UTF-8: a stray byte, an overlong slash, a surrogate, beyond U+10FFFF, a cut sequence.
    CHECK(encode_message("\xff") == "%EF%BF%BD");
    CHECK(encode_message("\xc0\xaf") == "%EF%BF%BD%EF%BF%BD");
    CHECK(encode_message("\xed\xa0\x80") == "%EF%BF%BD%EF%BF%BD%EF%BF%BD");
    CHECK(encode_message("\xf4\x90\x80\x80").size() == 36);
    CHECK(encode_message("a\xe2\x82") == "a%EF%BF%BD%EF%BF%BD");
    // A reader takes what it gets.
    CHECK(decode_message("%") == "%");
    CHECK(decode_message("%4") == "%4");
    CHECK(decode_message("%zz%41%4a%4A") == "%zzAJJ");
}

TEST_CASE("grpc-message survives any bytes", "[wire][grpc][random]") {
    const std::uint64_t seed = test_seed(3);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    for (int i = 0; i < 500; ++i) {
        std::string text(prng.below(40), '\0');
        for (char& c : text) {
            c = static_cast<char>(static_cast<std::uint8_t>(prng.below(256)));
        }
        const std::string wire = encode_message(text);
        for (const char c : wire) {
            CHECK((c >= ' ' && c <= '~'));
        }
        // What was repaired once stays as it is.
        CHECK(encode_message(decode_message(wire)) == wire);
    }
}

TEST_CASE("what a client makes of resets and HTTP statuses", "[wire][grpc]") {
    CHECK(status_of_reset(0x7).code == GrpcCode::kUnavailable);
    CHECK(status_of_reset(0x8).code == GrpcCode::kCancelled);
    CHECK(status_of_reset(0xb).code == GrpcCode::kResourceExhausted);
    CHECK(status_of_reset(0xc).code == GrpcCode::kPermissionDenied);
    CHECK(status_of_reset(0x1).code == GrpcCode::kInternal);
    CHECK(code_of_http_status(404) == GrpcCode::kUnimplemented);
    CHECK(code_of_http_status(503) == GrpcCode::kUnavailable);
    CHECK(code_of_http_status(401) == GrpcCode::kUnauthenticated);
    CHECK(code_of_http_status(403) == GrpcCode::kPermissionDenied);
    CHECK(code_of_http_status(400) == GrpcCode::kInternal);
    CHECK(code_of_http_status(418) == GrpcCode::kUnknown);

    ResponseHead proxy;
    proxy.add(":status", "503");
    proxy.add("content-type", "text/html");
    CHECK(proxy.end_status().code == GrpcCode::kUnavailable);
    ResponseHead stranger;
    stranger.add(":status", "200");
    stranger.add("content-type", "text/html");
    CHECK(stranger.end_status().code == GrpcCode::kUnknown);
    ResponseHead nonsense;
    nonsense.add(":status", "200");
    nonsense.add("grpc-status", "five");
    CHECK(nonsense.end_status().code == GrpcCode::kUnknown);
}

TEST_CASE("grpc-timeout", "[wire][grpc]") {
    struct Row {
        std::string_view text;
        std::int64_t ns;
    };
    const std::vector<Row> good{
        {"1n", 1},
        {"0S", 0},
        {"99999999n", 99'999'999},
        {"7u", 7'000},
        {"250m", 250'000'000},
        {"5S", 5'000'000'000},
        {"2M", 120'000'000'000},
        {"1H", 3'600'000'000'000},
        {"00000001S", 1'000'000'000},
        {"99999999H", kTimeoutNsMax},
        {"2562047H", 2'562'047 * std::int64_t{3'600'000'000'000}},
        {"2562048H", kTimeoutNsMax},
    };
    for (const Row& row : good) {
        INFO(row.text);
        REQUIRE(parse_timeout(row.text).has_value());
        CHECK(parse_timeout(row.text).value() == row.ns);
    }
    for (const std::string_view bad :
         {"", "S", "5", "5s", "5h", "-1S", "+1S", " 1S", "1 S", "1.5S", "xS", "123456789S"}) {
        INFO(bad);
        REQUIRE(!parse_timeout(bad).has_value());
        CHECK(parse_timeout(bad).error().code == Errc::kMalformed);
    }
    CHECK(parse_timeout("").error().detail == "transport: timeout string is too short: \"\"");
    CHECK(parse_timeout("123456789S").error().detail ==
          "transport: timeout string is too long: \"123456789S\"");

    CHECK(format_timeout(-5) == "0n");
    CHECK(format_timeout(0) == "0n");
    CHECK(format_timeout(99'999'999) == "99999999n");
    CHECK(format_timeout(100'000'000) == "100000u");
    CHECK(format_timeout(5'000'000'000) == "5000000u");
    CHECK(format_timeout(kTimeoutNsMax) == "2562048H");
}

TEST_CASE("a formatted timeout is never shorter", "[wire][grpc][random]") {
    const std::uint64_t seed = test_seed(11);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    for (int i = 0; i < 2000; ++i) {
        const auto ns = static_cast<std::int64_t>(prng.next() >> prng.between(1, 63));
        const std::string text = format_timeout(ns);
        CHECK(text.size() <= 9);
        const std::int64_t back = parse_timeout(text).value();
        CHECK(back >= ns);
        CHECK(back - ns <= ns / 99'999 + 1);
    }
}

TEST_CASE("every method is found by its path, and nothing else", "[wire][grpc]") {
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const GrpcMethod& method = method_info(static_cast<MethodId>(i));
        CHECK(find_method(method.path) == &method);
        CHECK(std::string("/") + std::string(method.service()) + "/" + std::string(method.name()) ==
              method.path);
        CHECK(find_method(std::string(method.path) + "x") == nullptr);
        CHECK(find_method(method.path.substr(1)) == nullptr);
    }
    CHECK(kMethodCount == 51);  // 49 of etcd in 8 services, 2 of health
    CHECK(find_method("") == nullptr);
    CHECK(find_method("/etcdserverpb.KV/Range")->kind == StreamingKind::kUnary);
    CHECK(find_method("/etcdserverpb.KV/RangeStream")->kind == StreamingKind::kServerStream);
    CHECK(find_method("/etcdserverpb.Watch/Watch")->kind == StreamingKind::kBidi);
    CHECK(find_method("/etcdserverpb.Lease/LeaseKeepAlive")->kind == StreamingKind::kBidi);
    CHECK(find_method("/etcdserverpb.Maintenance/Snapshot")->kind == StreamingKind::kServerStream);
    CHECK(find_method("/v3electionpb.Election/Observe")->kind == StreamingKind::kServerStream);
    CHECK(find_method("/grpc.health.v1.Health/Watch")->kind == StreamingKind::kServerStream);
    CHECK(find_method("/grpc.health.v1.Health/Check")->id == MethodId::kHealthCheck);
    CHECK(find_method("/etcdserverpb.Auth/AuthStatus")->id == MethodId::kAuthStatus);
}

TEST_CASE("unknown methods are refused in grpc-go's words", "[wire][grpc]") {
    const auto refusal = [](std::string_view path) {
        const GrpcStatus status = unknown_method_status(path);
        CHECK(status.code == GrpcCode::kUnimplemented);
        return status.message;
    };
    CHECK(refusal("/etcdserverpb.KV/Nope") == "unknown method Nope for service etcdserverpb.KV");
    CHECK(refusal("/etcdserverpb.Nope/Range") == "unknown service etcdserverpb.Nope");
    CHECK(refusal("/a/b/c") == "unknown service a/b");
    CHECK(refusal("/nothing") == "malformed method name: \"/nothing\"");
    CHECK(refusal("/" + std::string(60'000, 'x') + "/y").size() < 300);
}

TEST_CASE("HTTP/2 is known by its first bytes", "[wire]") {
    for (std::size_t size = 0; size < kHttp2Preface.size(); ++size) {
        CHECK(looks_like_http2(kHttp2Preface.substr(0, size)) == Http2Guess::kNeedMore);
    }
    CHECK(looks_like_http2(kHttp2Preface) == Http2Guess::kYes);
    CHECK(looks_like_http2(client_hello()) == Http2Guess::kYes);
    for (const std::string_view http1 : {"GET /health HTTP/1.1\r\n", "P O", "POST", "PUT", "PRJ",
                                         "PRI * HTTP/1.1\r\n", "\x16\x03\x01"}) {
        CHECK(looks_like_http2(http1) == Http2Guess::kNo);
    }
}

TEST_CASE("content types", "[wire][grpc]") {
    for (const std::string_view good :
         {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"}) {
        CHECK(is_grpc_content_type(good));
    }
    for (const std::string_view bad :
         {"", "application/grp", "application/grpcx", "application/json", "application/grpc-web"}) {
        CHECK(!is_grpc_content_type(bad));
    }
}

}  // namespace cairn::wire::test
