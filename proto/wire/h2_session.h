// H2Session: one HTTP/2 connection that carries gRPC, either role, as a pure machine of bytes.
// Owned by one connection's owner and used from its thread only.
// Must never do I/O, lock, log or read a clock: bytes and time come in, bytes and events go out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/wire/grpc_status.h"
#include "proto/wire/h2_guard.h"
#include "proto/wire/h2_limits.h"
#include "proto/wire/stream_event.h"

namespace cairn::wire {

class H2Core;

enum class Role : std::uint8_t { kServer, kClient };

// What a client says to begin a call. Views are read during start_request only.
struct RequestOptions {
    std::string_view path;             // "/package.Service/Method"
    std::string_view authority;        // host:port, or what the server's certificate names
    std::string_view scheme = "http";  // "https" under TLS
    std::string_view user_agent = "cairn";
    std::optional<std::int64_t> timeout_ns;  // sent as grpc-timeout
    // Further headers; names in lower case.
    std::vector<std::pair<std::string_view, std::string_view>> metadata;
};

// The driver's loop: read -> feed -> take_events -> calls -> take_output -> write, until is_done().
// take_output can make events as well (a call that could not leave): look again after it.
// A frame that breaks HTTP/2 is no error of feed(): the session answers it with a GOAWAY, ignores
// what follows, and is_done() once that is written.
// Calls on a stream that has ended are ignored (they return false): the peer may end a stream
// while an answer to it is on its way.
class H2Session {
  public:
    // Error: kInternal when the library is out of memory. The first output (preface, SETTINGS)
    // is ready at once.
    static Result<H2Session> create(Role role, const H2Limits& limits);
    H2Session(H2Session&&) noexcept;
    H2Session& operator=(H2Session&&) noexcept;
    ~H2Session();

    // Takes all of `bytes`. Error: kProtocol, the connection is broken or abused; what take_output
    // still gives (a GOAWAY that says why) should be written, then the connection closed. Every
    // later call gives the same error.
    Result<void> feed(ByteView bytes);
    // Replaces `events` with what happened since the last call; reuse the vector.
    void take_events(std::vector<StreamEvent>& events);
    // Appends bytes for the peer to `out`, stops once `bytes_max` were appended (it may exceed
    // that by one frame, 16 KiB + 9). False when there is nothing more to write now.
    bool take_output(std::string& out, std::size_t bytes_max = 64 * 1024);

    // True when take_output would give bytes.
    [[nodiscard]] bool wants_write() const;
    // True when the connection has served its purpose: broken, or shut down with all streams
    // ended, and all output taken.
    [[nodiscard]] bool is_done() const;
    // Message bytes that wait to leave (for the peer's windows or for take_output).
    [[nodiscard]] std::size_t queued_bytes() const;
    // The same for one stream; 0 for a stream that has ended.
    [[nodiscard]] std::size_t queued_bytes(StreamId stream) const;
    [[nodiscard]] std::size_t open_streams() const;
    // Bytes of unfinished messages that are kept.
    [[nodiscard]] std::size_t partial_bytes() const;
    [[nodiscard]] const AbuseGuard::Counters& counters() const;
    // Text of the peer's latest user-agent and client-api-version headers; empty before.
    [[nodiscard]] std::string_view user_agent() const;
    [[nodiscard]] std::string_view client_api_version() const;

    // Server. Sends the response headers now; without it they go with the first message.
    bool send_headers(StreamId stream);
    // Both. Queues one message (< 4 GiB); the payload is shared, not copied. False: the stream
    // has ended or its sending side is closed.
    bool send_message(StreamId stream, Bytes payload);
    bool send_message(StreamId stream, ByteView payload);
    // The same without a copy: `owner` keeps the payload, and is let go when the last byte was
    // taken or the stream has ended.
    bool send_message(StreamId stream, ByteView payload, std::shared_ptr<const void> owner);
    // Server. Ends the call after what is queued. When nothing was sent before, headers and
    // trailers are one block (Trailers-Only). The message is cut to 8 KiB.
    bool send_trailers(StreamId stream, GrpcStatus status);
    // Client. No more messages on this stream (half close), after what is queued.
    bool finish_sending(StreamId stream);
    // Both. Ends the stream at once; queued messages are dropped. No event follows.
    bool reset(StreamId stream, H2Code code);

    // Both. Stops crediting received bytes of this stream to the peer, which may then send one
    // window more at most; messages received are still given out.
    void hold_reading(StreamId stream);
    // Credits what was held back.
    void resume_reading(StreamId stream);

    // Client. Begins a call; send_message and finish_sending follow. Errors: kClosed when the
    // connection takes no new calls (any more), kMalformed for a header that may not be sent.
    Result<StreamId> start_request(const RequestOptions& options);

    // Server: no new calls, those under way end in peace (GOAWAY with the highest id, and the
    // real last id once the client has seen that). A second call does not wait for the client.
    // Client: GOAWAY.
    void shutdown();
    // Both. Ends the connection for a reason of the caller's: GOAWAY with it, and as after an error
    // of feed() no call goes on.
    void give_up(H2Code code, std::string_view why);
    // Sends a PING; pongs_received() grows when the answer comes.
    void ping();
    [[nodiscard]] std::uint64_t pongs_received() const;
    // Whether the peer has begun as HTTP/2 demands, with its SETTINGS.
    [[nodiscard]] bool has_peer_settings() const;
    // Time goes on: about once a second, `now_ms` from any start. Refills the budgets of
    // H2Limits and puts ping_interval_ms_min in force.
    void on_tick(std::uint64_t now_ms);

  private:
    explicit H2Session(std::unique_ptr<H2Core> core);

    std::unique_ptr<H2Core> core_;
};

}  // namespace cairn::wire
