// H2Library: nghttp2 behind our own types; what the library reports goes to its H2Core.
// Owned by that H2Core, used from the session's thread only.
// Must never decide anything: limits and gRPC's rules are the core's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/wire/h2_limits.h"
#include "proto/wire/stream_event.h"

struct nghttp2_session;  // NOLINT: the library's own name, so that its header stays in one file

namespace cairn::wire {

class H2Core;
enum class Role : std::uint8_t;

// One header to send. `fixed`: both texts are constants of the program and need no copy.
struct Header {
    std::string_view name;
    std::string_view value;
    bool fixed = false;
};

inline constexpr std::size_t kHeadersMax = 80;  // in one block that we send
inline constexpr std::size_t kOpaqueBytes = 8;  // of a PING

// What the core wants to put into the next DATA frame of a stream.
struct DataPlan {
    std::size_t bytes = 0;
    bool wait = false;      // nothing now: the stream sleeps until resume_data
    bool last = false;      // the body ends with these bytes
    bool trailers = false;  // with `last`: trailers end the stream, not this frame
};

class H2Library {
  public:
    H2Library();
    ~H2Library();
    H2Library(const H2Library&) = delete;
    H2Library& operator=(const H2Library&) = delete;

    // Before anything else; `core` must outlive this object. Queues our SETTINGS.
    // Error: kInternal when out of memory.
    Result<void> open(H2Core& core, Role role, const H2Limits& limits);

    // Error: kProtocol, the session cannot go on; kTooManyRequests, it was flooded.
    Result<void> receive(ByteView bytes);
    // Appends output to `out` until it reaches `end` bytes or nothing is left.
    Result<void> send(std::string& out, std::size_t end);
    [[nodiscard]] bool wants_read() const;
    [[nodiscard]] bool wants_write() const;
    // Frames that wait to be sent, but for those of DATA.
    [[nodiscard]] std::size_t queued_frames() const;

    // These queue a frame; false when the stream's state does not allow it.
    bool submit_response(StreamId stream, std::span<const Header> headers, bool has_body);
    bool submit_trailers(StreamId stream, std::span<const Header> headers);
    void submit_reset(StreamId stream, H2Code code);
    void submit_goaway(H2Code code, std::string_view debug);
    void submit_shutdown_notice();
    void submit_ping(std::string_view opaque);  // kOpaqueBytes
    // Error: kClosed when the connection takes no new calls.
    Result<StreamId> submit_request(std::span<const Header> headers);
    // A stream whose plan said `wait` has something now.
    void resume_data(StreamId stream);
    // Received bytes that the peer may send again, on the connection and on a stream.
    void credit_connection(std::size_t bytes);
    void credit_stream(StreamId stream, std::size_t bytes);

    static bool is_header_name(std::string_view name);
    static bool is_header_value(std::string_view value);

  private:
    friend struct LibraryCallbacks;
    struct FreeSession {
        void operator()(nghttp2_session* session) const;
    };
    Result<void> submit_settings(Role role, const H2Limits& limits);

    std::unique_ptr<nghttp2_session, FreeSession> session_;
    H2Core* core_ = nullptr;
    std::string* output_ = nullptr;  // set during send() only
    std::size_t output_end_ = 0;
};

}  // namespace cairn::wire
