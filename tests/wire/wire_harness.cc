#include "tests/wire/wire_harness.h"

#include <algorithm>
#include <cstdlib>

#include "catch.h"

#include "proto/wire/preface.h"

namespace cairn::wire::test {

std::uint64_t test_seed(std::uint64_t fallback) {
    const char* text = std::getenv("CAIRN_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

H2Session make_session(Role role, const H2Limits& limits) {
    Result<H2Session> session = H2Session::create(role, limits);
    REQUIRE(session.has_value());
    return std::move(session).value();
}

std::string drain(H2Session& session) {
    std::string out;
    std::size_t before = 1;
    while (session.take_output(out) && out.size() != before) {
        before = out.size();
    }
    return out;
}

std::vector<StreamEvent> events_of(H2Session& session) {
    std::vector<StreamEvent> events;
    session.take_events(events);
    return events;
}

Link::Link(const H2Limits& server_limits, const H2Limits& client_limits, std::uint64_t seed)
    : client(make_session(Role::kClient, client_limits)),
      server(make_session(Role::kServer, server_limits)),
      prng(seed) {}

void Link::carry(H2Session& from, H2Session& to, std::vector<StreamEvent>& events) {
    const std::string bytes = drain(from);
    std::string_view rest = bytes;
    std::vector<StreamEvent> fresh = events_of(from);  // writing may end streams too
    std::vector<StreamEvent>& own = &to == &server ? client_events : server_events;
    std::move(fresh.begin(), fresh.end(), std::back_inserter(own));
    while (!rest.empty()) {
        const std::size_t piece =
            std::min<std::size_t>(rest.size(), prng.between(1, piece_bytes_max));
        const Result<void> fed = to.feed(rest.substr(0, piece));
        rest.remove_prefix(piece);
        to.take_events(fresh);
        std::move(fresh.begin(), fresh.end(), std::back_inserter(events));
        if (!fed.has_value()) {
            return;
        }
    }
}

void Link::to_server() { carry(client, server, server_events); }
void Link::to_client() { carry(server, client, client_events); }

void Link::settle() {
    while (client.wants_write() || server.wants_write()) {
        to_server();
        to_client();
    }
}

StreamId start_call(H2Session& client, std::string_view path,
                    std::vector<std::pair<std::string_view, std::string_view>> metadata,
                    std::optional<std::int64_t> timeout_ns) {
    RequestOptions options;
    options.path = path;
    options.authority = "127.0.0.1:2379";
    options.metadata = std::move(metadata);
    options.timeout_ns = timeout_ns;
    const Result<StreamId> id = client.start_request(options);
    REQUIRE(id.has_value());
    return id.value();
}

std::string u32(std::uint32_t value) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> shift)));
    }
    return out;
}

std::string frame(const FrameText& text) {
    std::string out = u32(static_cast<std::uint32_t>(text.payload.size())).substr(1);
    out.push_back(static_cast<char>(text.type));
    out.push_back(static_cast<char>(text.flags));
    out += u32(static_cast<std::uint32_t>(text.stream));
    return out + text.payload;
}

namespace {

// An integer with a 7-bit prefix (RFC 7541 §5.1), then the text.
std::string hpack_text(std::string_view text) {
    std::string out;
    std::size_t size = text.size();
    if (size < 127) {
        out.push_back(static_cast<char>(size));
        return out.append(text);
    }
    out.push_back(127);
    for (size -= 127; size >= 128; size /= 128) {
        out.push_back(static_cast<char>(static_cast<std::uint8_t>(size % 128 + 128)));
    }
    out.push_back(static_cast<char>(size));
    return out.append(text);
}

std::uint32_t read_number(std::string_view bytes, std::size_t offset, std::size_t count) {
    std::uint32_t value = 0;
    for (const char c : bytes.substr(offset, count)) {
        value = (value << 8U) | static_cast<std::uint8_t>(c);
    }
    return value;
}

}  // namespace

std::string header_block(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers) {
    std::string out;
    for (const auto& [name, value] : headers) {
        out.push_back(0);
        out += hpack_text(name) + hpack_text(value);
    }
    return out;
}

std::string client_hello() { return std::string(kHttp2Preface) + frame({.type = kSettings}); }

std::string request_frame(StreamId stream, std::string_view path) {
    return frame({.type = kHeaders,
                  .flags = kEndHeaders,
                  .stream = stream,
                  .payload = header_block({{":method", "POST"},
                                           {":scheme", "http"},
                                           {":path", path},
                                           {":authority", "x"},
                                           {"content-type", "application/grpc"},
                                           {"te", "trailers"}})});
}

std::string grpc_message(std::string_view payload, char flag) {
    return flag + u32(static_cast<std::uint32_t>(payload.size())) + std::string(payload);
}

std::vector<FrameText> parse_frames(std::string_view bytes) {
    std::vector<FrameText> frames;
    while (!bytes.empty()) {
        REQUIRE(bytes.size() >= 9);
        const std::size_t size = read_number(bytes, 0, 3);
        REQUIRE(bytes.size() >= 9 + size);
        frames.push_back({.type = static_cast<std::uint8_t>(bytes[3]),
                          .flags = static_cast<std::uint8_t>(bytes[4]),
                          .stream = static_cast<StreamId>(read_number(bytes, 5, 4)),
                          .payload = std::string(bytes.substr(9, size))});
        bytes.remove_prefix(9 + size);
    }
    return frames;
}

std::optional<FrameText> find_frame(std::string_view bytes, std::uint8_t type) {
    for (FrameText& one : parse_frames(bytes)) {
        if (one.type == type) {
            return std::move(one);
        }
    }
    return std::nullopt;
}

}  // namespace cairn::wire::test
