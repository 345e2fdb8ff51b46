#include <utility>

#include <zlib.h>

#include "diff/build.h"
#include "diff/cases.h"
#include "proto/grpc/health.pb.h"

namespace cairn::diff {
namespace {

constexpr int kVarint = 0;
constexpr int kFixed64 = 1;
constexpr int kBytes = 2;
constexpr int kGroup = 3;
constexpr int kGroupEnd = 4;
constexpr int kFixed32 = 5;
constexpr int kUnknownField = 999;
constexpr int kNestedTooDeep = 151;
constexpr std::size_t kOverGrpcLimit = 3U * 1024U * 1024U;

std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80U; value >>= 7U) {
        out.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
    }
    out.push_back(static_cast<char>(value));
    return out;
}

std::string tag(int field, int type) {
    return varint((static_cast<std::uint64_t>(field) << 3U) | static_cast<std::uint64_t>(type));
}

std::string number(int field, std::uint64_t value) { return tag(field, kVarint) + varint(value); }

std::string bytes(int field, const std::string& value) {
    return tag(field, kBytes) + varint(value.size()) + value;
}

Step with(const Step& good, const std::string& trailing) {
    Step step = good;
    step.trailing = trailing;
    return step;
}

std::vector<Step> good_requests() {
    return {step_of(range("k/2")), step_of(put("k/2", "v")), step_of(erase("k/3")),
            Txn().then(put("k/2", "v")).step(), compact(1)};
}

// Behind a good request of each kind: what ends no message, and fields that nobody knows.
std::vector<Step> spoilt() {
    const std::vector<std::string> all{
        // A field cut off, in the tag, in the value, and with no end at all.
        "\x0a\x05x", "\xff", "\x08", std::string(11, '\xff'), tag(kUnknownField, kVarint),
        // Lengths past the end, below zero, and past all memory.
        tag(kUnknownField, kBytes) + varint(1U << 31U), tag(kUnknownField, kBytes) + varint(~0ULL),
        tag(kUnknownField, kBytes) + varint(1ULL << 62U),
        // Types that do not exist, a field number that must not, groups that do not pair.
        "\x0f", "\x0e", std::string("\x02\x00", 2), tag(kUnknownField, kGroup),
        tag(kUnknownField, kGroupEnd), tag(kUnknownField, kGroup) + tag(kUnknownField, kFixed32),
        // Fields that nobody knows, of each type.
        number(kUnknownField, 7), bytes(kUnknownField, "xyz"), bytes(kUnknownField, ""),
        tag(kUnknownField, kFixed32) + "1234", tag(kUnknownField, kFixed64) + "12345678",
        tag(kUnknownField, kGroup) + number(1, 1) + tag(kUnknownField, kGroupEnd),
        number((1 << 29) - 1, 1)};
    std::vector<Step> steps;
    for (const Step& good : good_requests()) {
        for (const auto& trailing : all) {
            steps.push_back(with(good, trailing));
        }
    }
    steps.push_back(step_of(range(kOpenEnd, kOpenEnd)));
    return steps;
}

// Fields twice, and numbers in more bytes than they need or can have: the last one counts. A
// request of an operation, twice, is whole the second time, by (11).
std::vector<Step> repeated() {
    const Step get = step_of(range("k/", "k0"));
    const std::string ten_bytes(9, '\xff');
    std::vector<Step> steps;
    for (const auto& trailing : std::vector<std::string>{
             bytes(1, "k/3"), bytes(2, "k/4"), bytes(1, "k/1") + bytes(1, "k/4"), bytes(1, ""),
             number(3, 2), number(3, 2) + number(3, 0), number(3, 0) + number(3, 3),
             std::string("\x18\x82\x80\x00", 4), "\x18" + ten_bytes + "\x01",
             "\x18" + ten_bytes + "\x7f", "\x18" + ten_bytes + "\x02",
             std::string("\x8a\x00", 2) + varint(3) + "k/3", number(3, 1ULL << 32U),
             number(5, (1ULL << 32U) + 2), number(6, (1ULL << 32U) + 3), number(8, 1ULL << 40U),
             number(9, ~0ULL), number(9, 1) + number(9, 0)}) {
        steps.push_back(with(get, trailing));
    }
    const auto put_a = bytes(2, bytes(1, "r/a") + bytes(2, "1"));
    const auto put_b = bytes(2, bytes(1, "r/b") + bytes(2, "2"));
    const auto get_r = bytes(1, bytes(1, "r/") + bytes(2, "r0"));
    for (const auto& operation : {put_a, get_r + put_a, put_a + get_r, put_a + put_b,
                                  put_b + number(kUnknownField, 1), put_a + put_a}) {
        steps.push_back(with(Txn().step(), bytes(2, operation)));
        steps.push_back(with(Txn().then(put("r/c", "3")).step(), bytes(2, operation)));
    }
    const auto key = bytes(3, "k/2");
    for (const auto& compare :
         {key + number(4, 1) + number(6, 1), key + number(6, 1) + number(4, 1),
          key + bytes(7, "2") + number(4, 0), number(2, 3) + key + bytes(7, "2") + bytes(7, "x"),
          key + number(2, 7) + number(2, 0) + number(4, 3)}) {
        steps.push_back(with(Txn().then(range("k/2")).step(), bytes(1, compare)));
    }
    steps.push_back(step_of(range(kOpenEnd, kOpenEnd)));
    return steps;
}

Step health(const std::string& service, const std::string& trailing = "") {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    return with(step_of(request), trailing);
}

std::vector<Step> healths() {
    return {health(""),
            health("etcdserverpb.KV"),
            health("nobody"),
            health("", bytes(1, "\xff")),
            health("", bytes(1, "a\xc3\x28z")),
            health("", number(kUnknownField, 1))};
}

Step odd(const Step& step, Oddity oddity) {
    Step result = step;
    result.odd = std::make_shared<const Oddity>(std::move(oddity));
    return result;
}

std::string gzipped(const std::string& text) {
    z_stream stream{};
    deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
    std::string in = text;
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

using Body = decltype(Oddity::body);

std::vector<Step> compressed() {
    const Body zipped = [](const std::string& m) { return framed(gzipped(m), true); };
    const Body marked = [](const std::string& m) { return framed(m, true); };
    std::vector<Step> steps;
    for (const Step& good : {step_of(put("z", std::string(1000, 'z'))), step_of(range("z"))}) {
        for (auto& oddity : std::vector<Oddity>{
                 {"gzip", {{"grpc-encoding", "gzip"}}, zipped},
                 {"gzip, the answer too",
                  {{"grpc-encoding", "gzip"}, {"grpc-accept-encoding", "gzip,identity"}},
                  zipped},
                 {"may answer in gzip", {{"grpc-accept-encoding", "gzip"}}},
                 {"gzip that no header names", {}, zipped},
                 {"gzip beside identity", {{"grpc-encoding", "identity"}}, zipped},
                 {"gzip announced, not used", {{"grpc-encoding", "gzip"}}},
                 {"gzip of nothing",
                  {{"grpc-encoding", "gzip"}},
                  [](const std::string&) { return framed(gzipped(""), true); }},
                 {"no bytes at all as gzip",
                  {{"grpc-encoding", "gzip"}},
                  [](const std::string&) { return framed("", true); }},
                 {"not gzip", {{"grpc-encoding", "gzip"}}, marked},
                 {"half of a gzip",
                  {{"grpc-encoding", "gzip"}},
                  [](const std::string& m) { return framed(gzipped(m).substr(0, 20), true); }},
                 {"gzip and more",
                  {{"grpc-encoding", "gzip"}},
                  [](const std::string& m) { return framed(gzipped(m) + "more", true); }},
                 {"gzip of too much",
                  {{"grpc-encoding", "gzip"}},
                  [](const std::string& m) {
                      return framed(gzipped(m + std::string(kOverGrpcLimit, '\0')), true);
                  }},
                 {"an unknown encoding", {{"grpc-encoding", "snappy"}}},
                 {"an unknown encoding, used", {{"grpc-encoding", "snappy"}}, marked},
             }) {
            steps.push_back(odd(good, std::move(oddity)));
        }
    }
    return steps;
}

std::vector<Step> frames() {
    std::vector<Step> steps;
    for (const Step& good : {step_of(put("f", "1")), step_of(range("f"))}) {
        for (auto& oddity : std::vector<Oddity>{
                 {"an empty message", {}, [](const std::string&) { return framed(""); }},
                 {"a frame of type 2",
                  {},
                  [](const std::string& m) { return "\x02" + framed(m).substr(1); }},
                 {"a prefix cut off",
                  {},
                  [](const std::string& m) { return framed(m).substr(0, 3); }},
                 {"a message cut off",
                  {},
                  [](const std::string& m) { return framed(m).substr(0, 7); }},
                 {"2 GiB announced",
                  {},
                  [](const std::string& m) { return std::string("\x00\x7f\xff\xff\xff", 5) + m; }},
             }) {
            steps.push_back(odd(good, std::move(oddity)));
        }
    }
    return steps;
}

std::vector<Step> paths() {
    std::vector<Step> steps;
    for (const char* path :
         {"/etcdserverpb.KV/Nope", "/etcdserverpb.KV/", "/etcdserverpb.KV/Range/",
          "/nobody.KV/Range", "/etcdserverpb.KV.Range", "/nothing", "/a/b/c", "/", "//",
          "/etcdserverpb.KV/range", "/etcdserverpb.KV/Range?x=y"}) {
        steps.push_back(odd(step_of(range("k")),
                            {.what = std::string("path ") + path, .headers = {{":path", path}}}));
    }
    return steps;
}

std::string name_of(const decltype(Oddity::headers)& headers) {
    std::string text;
    for (const auto& [name, value] : headers) {
        text += name + (value.has_value() ? ": " + value->substr(0, 40) : " absent") + " ";
    }
    return text;
}

std::vector<Step> headers() {
    using Pairs = decltype(Oddity::headers);
    std::vector<Pairs> all;
    for (const char* type :
         {"application/grpc+proto", "application/grpc+json", "application/grpc;x",
          "application/grpcx", "application/grpc-web", "text/plain", ""}) {
        all.push_back({{"content-type", type}});
    }
    for (const char* timeout :
         {"", "1", "S", "1X", "123456789S", "99999999H", "5S", "20000m", "20000000u"}) {
        all.push_back({{"grpc-timeout", timeout}});
    }
    for (const char* method : {"GET", "PUT", "post"}) {
        all.push_back({{":method", method}});
    }
    for (const char* name : {"content-type", "te", "user-agent", ":authority", ":scheme"}) {
        all.push_back({{name, std::nullopt}});
    }
    for (const Pairs& more :
         std::vector<Pairs>{{{"te", "gzip"}},
                            {{":scheme", "ftp"}},
                            {{":authority", ""}},
                            {{":authority", std::nullopt}, {"host", "somebody"}},
                            {{"host", "somebody"}},
                            {{"token", "bogus"}},
                            {{"authorization", "bogus"}},
                            {{"authorization", "Bearer bogus"}},
                            {{"hasleader", "true"}},
                            {{"hasleader", "false"}},
                            {{"hasleader", "nonsense"}},
                            {{"client-api-version", "3.5.0"}},
                            {{"client-api-version", "nonsense"}},
                            {{"grpc-foo", "bar"}},
                            {{"x-plain", "anything at all"}},
                            {{"x-bin", "AAEC"}},
                            {{"connection", "close"}},
                            {{"cookie", "a=b"}},
                            {{"x-many", std::string(8000, 'x')}}}) {
        all.push_back(more);
    }
    std::vector<Step> steps;
    for (const auto& pairs : all) {
        steps.push_back(odd(step_of(range("k/2")), {.what = name_of(pairs), .headers = pairs}));
    }
    return steps;
}

// What docs/compatibility.md says to differ, on reads: the stores stay the same.
std::vector<Step> known_differences() {
    const Step get = step_of(range("k/2"));
    std::vector<Step> steps;
    for (auto& oddity : std::vector<Oddity>{
             {"no message", {}, [](const std::string&) { return ""; }},
             {"no body",
              {{"grpc-timeout", "200m"}},  // etcd says nothing before it
              [](const std::string&) { return std::nullopt; }},
             {"two messages", {}, [](const std::string& m) { return framed(m) + framed(m); }},
             {"part of a second message",
              {},
              [](const std::string& m) { return framed(m) + "abc"; }},
             {"gzip in two members",
              {{"grpc-encoding", "gzip"}},
              [](const std::string& m) {
                  return framed(gzipped(m.substr(0, 1)) + gzipped(m.substr(1)), true);
              }},
             {"no path", {{":path", std::nullopt}}},
             {"an empty path", {{":path", ""}}},
             {"a path without a slash", {{":path", "etcdserverpb.KV/Range"}}},
             {"no method", {{":method", std::nullopt}}},
             {"a timeout that is no number", {{"grpc-timeout", "x1S"}}},
             {"a binary header that is not base64", {{"x-bin", "!!!"}}},
         }) {
        oddity.differs = 13;
        steps.push_back(odd(get, std::move(oddity)));
    }
    const auto get_twice = bytes(1, bytes(1, "k/1")) + bytes(1, number(7, 1));
    steps.push_back(odd(with(Txn().then(range("k/1")).step(), bytes(2, get_twice)),
                        {.what = "a request twice in one operation", .differs = 11}));
    std::string nested = bytes(1, bytes(1, "k/1"));
    for (int i = 0; i < kNestedTooDeep; ++i) {
        nested = bytes(4, bytes(2, nested));
    }
    steps.push_back(odd(with(Txn().then(range("k/1")).step(), bytes(2, nested)),
                        {.what = "deep nesting", .differs = 11}));
    return steps;
}

}  // namespace

std::vector<Case> wire_cases() {
    std::vector<Case> cases;
    for (auto& [name, steps] : std::vector<std::pair<std::string, std::vector<Step>>>{
             {"malformed and unknown fields", spoilt()},
             {"repeated fields", repeated()},
             {"health", healths()},
             {"compressed messages", compressed()},
             {"frames", frames()},
             {"paths", paths()},
             {"headers", headers()},
             {"documented differences", known_differences()}}) {
        Case it{.name = name, .steps = sample_data()};
        std::move(steps.begin(), steps.end(), std::back_inserter(it.steps));
        cases.push_back(std::move(it));
    }
    return cases;
}

}  // namespace cairn::diff
