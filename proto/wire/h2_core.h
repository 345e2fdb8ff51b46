// H2Core: what a session knows and decides, between its public face and the library.
// Owned by one H2Session and address-stable, because the library calls back into it.
// Must never be included outside proto/wire, and never see the library's types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/wire/h2_guard.h"
#include "proto/wire/h2_library.h"
#include "proto/wire/h2_session.h"
#include "proto/wire/h2_stream.h"

namespace cairn::wire {

// What our PINGs carry, to tell the answers apart.
inline constexpr std::string_view kShutdownPing = "shutdown";
inline constexpr std::string_view kProbePing = "probepng";

struct FrameHead {
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    StreamId stream = 0;
    std::size_t payload_bytes = 0;
};

class H2Core {
  public:
    H2Core(Role role, const H2Limits& limits) : role_(role), limits_(limits), guard_(limits) {}
    ~H2Core();
    H2Core(const H2Core&) = delete;
    H2Core& operator=(const H2Core&) = delete;

    // The public face's half; each is H2Session's function of that name. (h2_send.cc)
    Result<void> start() { return library_.open(*this, role_, limits_); }
    Result<void> feed(ByteView bytes);
    bool take_output(std::string& out, std::size_t bytes_max);
    bool send_headers(StreamId id);
    bool send_message(StreamId id, Bytes payload);
    bool send_message(StreamId id, ByteView payload, std::shared_ptr<const void> owner);
    bool send_trailers(StreamId id, GrpcStatus status);
    bool finish_sending(StreamId id);
    Result<StreamId> start_request(const RequestOptions& options);
    bool reset(StreamId id, H2Code code);
    void hold_reading(StreamId id);
    void resume_reading(StreamId id);
    void shutdown();
    void give_up(H2Code code, std::string_view why);
    void ping();
    void on_tick(std::uint64_t now_ms) { guard_.on_tick(now_ms); }
    void take_events(std::vector<StreamEvent>& events);

    [[nodiscard]] bool is_server() const { return role_ == Role::kServer; }
    [[nodiscard]] bool wants_write() const { return library_.wants_write(); }
    [[nodiscard]] bool is_done() const;
    [[nodiscard]] const StreamTable& streams() const { return streams_; }
    [[nodiscard]] std::size_t queued_bytes() const { return queued_bytes_; }
    [[nodiscard]] std::size_t partial_bytes() const { return partial_bytes_; }
    [[nodiscard]] const AbuseGuard::Counters& counters() const { return guard_.counters(); }
    [[nodiscard]] std::uint64_t pongs() const { return pongs_; }
    [[nodiscard]] bool has_peer_settings() const { return has_peer_settings_; }
    [[nodiscard]] std::string_view user_agent() const { return user_agent_; }
    [[nodiscard]] std::string_view client_api_version() const { return client_api_version_; }

    // The library's half, while it receives. (h2_receive.cc)
    void on_frame_begin(const FrameHead& head);
    void on_headers_begin(StreamId id, bool is_request);
    // The library did so itself: more streams than our SETTINGS allow, and the peer may not have
    // read them.
    void on_headers_refused(StreamId id);
    // False: the block is too large or malformed, the stream is being reset.
    bool on_header(StreamId id, std::string_view name, std::string_view value);
    void on_headers_end(StreamId id, bool end_stream);
    void on_data(StreamId id, ByteView bytes);
    void on_data_end(StreamId id);
    void on_pong(std::string_view opaque);
    void on_goaway(StreamId last_stream, std::uint32_t code, std::string_view debug);
    void on_stream_closed(StreamId id, std::uint32_t code);

    // The library's half, while it sends. (h2_send.cc)
    void on_work_sent(StreamId id, bool end_stream);
    void on_request_not_sent(StreamId id);
    // A GOAWAY that says what the peer did wrong.
    void on_error_goaway_sent();
    DataPlan plan_data(StreamId id, std::size_t size);
    void send_queued_trailers(StreamId id);
    void move_data(StreamId id, std::size_t size, std::string& out);

  private:
    void refuse_headers(H2Stream& stream, H2Code code);
    void on_request_head(H2Stream& stream);
    void on_response_head(H2Stream& stream, bool end_stream);
    void take_messages(H2Stream& stream, ByteView bytes);
    Result<bool> next_message(H2Stream& stream, ByteView& bytes, Bytes& message);
    // Nobody needs any more what came of it.
    void drop_request(H2Stream& stream);
    // After the stream's request grew, ended or was dropped: brings the sums up to date.
    void recount(H2Stream& stream);
    // Why no more may be held of requests; empty while more may.
    [[nodiscard]] std::string_view overdrawn() const;
    [[nodiscard]] bool holds_back() const;
    void on_remote_end(H2Stream& stream);
    void credit(H2Stream* stream, std::size_t bytes);
    // False: there is none to give, or no room yet.
    bool release_connection_credit();
    // Ends a call that the peer's bytes made impossible, for both sides.
    void fail_call(H2Stream& stream, GrpcStatus status);
    void end_response(H2Stream& stream, GrpcStatus status, bool given_up = false);
    // The stream if it may still send, else nullptr.
    [[nodiscard]] H2Stream* sendable(StreamId id) const;
    bool ensure_response(H2Stream& stream);
    template <class... Message>
    bool queue_message(StreamId id, Message&&... message);
    void resume_sending(H2Stream& stream);
    void send_trailers_only(H2Stream& stream, int http_status, const GrpcStatus& status);
    void send_final_goaway();

    const Role role_;
    const H2Limits limits_;
    AbuseGuard guard_;
    H2Library library_;
    StreamTable streams_;
    std::vector<StreamEvent> events_;
    std::optional<Error> failure_;  // why feed() refuses; set once

    std::size_t queued_bytes_ = 0;    // Invariant: the sum of out.bytes() over all streams.
    std::size_t partial_bytes_ = 0;   // Invariant: the sum of partial_bytes over all streams.
    std::size_t pending_bytes_ = 0;   // Invariant: the sum of pending_bytes over all streams.
    std::size_t withheld_bytes_ = 0;  // received, not yet credited to the connection window
    std::uint64_t pongs_ = 0;
    StreamId newest_stream_ = 0;  // server: the last one that the peer opened
    bool has_peer_settings_ = false;
    bool shutting_down_ = false;
    bool final_goaway_ = false;
    std::string user_agent_;
    std::string client_api_version_;
};

}  // namespace cairn::wire
