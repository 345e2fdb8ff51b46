// A client and a server session joined by two byte pipes, and frames written by hand.
// One test case owns it; one thread. Must never look inside a session.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "proto/wire/h2_session.h"

namespace cairn::wire::test {

// The seed of a randomised test: CAIRN_SEED, or `fallback`.
std::uint64_t test_seed(std::uint64_t fallback);

H2Session make_session(Role role, const H2Limits& limits = {});

// All output that is ready now.
std::string drain(H2Session& session);
std::vector<StreamEvent> events_of(H2Session& session);

// The events of one kind, in order.
template <class T>
std::vector<T> pick(const std::vector<StreamEvent>& events) {
    std::vector<T> found;
    for (const StreamEvent& event : events) {
        if (const T* one = std::get_if<T>(&event)) {
            found.push_back(*one);
        }
    }
    return found;
}

// Two sessions that talk to each other in pieces of random size.
struct Link {
    explicit Link(const H2Limits& server_limits = {}, const H2Limits& client_limits = {},
                  std::uint64_t seed = 1);

    // Moves bytes both ways until neither side has more to say. What arrived is added to
    // server_events and client_events.
    void settle();
    void to_server();
    void to_client();

    H2Session client;
    H2Session server;
    std::vector<StreamEvent> client_events;
    std::vector<StreamEvent> server_events;
    Prng prng;
    std::size_t piece_bytes_max = 4096;

  private:
    void carry(H2Session& from, H2Session& to, std::vector<StreamEvent>& events);
};

StreamId start_call(H2Session& client, std::string_view path,
                    std::vector<std::pair<std::string_view, std::string_view>> metadata = {},
                    std::optional<std::int64_t> timeout_ns = std::nullopt);

// --- Bytes by hand (RFC 9113 §4.1, RFC 7541 §6.2.2) ---

inline constexpr std::uint8_t kData = 0, kHeaders = 1, kPriority = 2, kRstStream = 3, kSettings = 4,
                              kPing = 6, kGoAway = 7, kWindowUpdate = 8, kContinuation = 9;
inline constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

struct FrameText {
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    StreamId stream = 0;
    std::string payload{};
};

std::string frame(const FrameText& text);
std::string u32(std::uint32_t value);
// Literals without indexing and without Huffman coding.
std::string header_block(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers);
// Preface and empty SETTINGS.
std::string client_hello();
// A HEADERS frame that starts a call of `path`, left open.
std::string request_frame(StreamId stream, std::string_view path = "/etcdserverpb.KV/Put");
// A gRPC message with its prefix.
std::string grpc_message(std::string_view payload, char flag = 0);
// Cuts output into frames. The bytes must be whole frames.
std::vector<FrameText> parse_frames(std::string_view bytes);
// The first frame of this type, if any.
std::optional<FrameText> find_frame(std::string_view bytes, std::uint8_t type);

}  // namespace cairn::wire::test
