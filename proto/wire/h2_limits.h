// H2Limits: every bound of an HTTP/2 session, with the default and why it is that.
// Plain data, copied into the session at creation. Must never hold a bound in units of time: the
// session has no clock; what is by time is fed by on_tick().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "proto/wire/h2_budget.h"

namespace cairn::wire {

struct H2Limits {
    // SETTINGS_MAX_CONCURRENT_STREAMS. etcd's default is 2^32-1, that is none. A stream costs
    // about 1 KiB here before its first message, so this keeps one connection's idle streams
    // under 64 MiB and is still above what any etcd client opens; clients queue beyond it.
    std::uint32_t concurrent_streams_max = 1U << 16U;

    // Sum of name + value + 32 over one header block (RFC 9113 §6.5.2). Above: RST_STREAM
    // FRAME_SIZE_ERROR, as grpc-go does. Room for a large JWT.
    std::uint32_t header_list_bytes_max = 64 * 1024;

    // CONTINUATION frames after one HEADERS. Above: the connection ends.
    std::size_t continuation_frames_max = 8;

    // One received message, also after decompression. etcd: max-request-bytes + 512 KiB. Above:
    // the call ends with ResourceExhausted, decided at the five-byte prefix.
    std::size_t message_bytes_max = 1'572'864 + 524'288;

    // Receive windows. A stream that is held (hold_reading) stops its peer after one window.
    std::int32_t stream_window_bytes = 1 << 20;
    std::int32_t connection_window_bytes = 16 << 20;

    // Unfinished requests of all streams together: parts of messages, and whole messages of calls
    // that take one and whose end has not come. Their bytes are credited to the peer at once, or
    // messages larger than the window could never end; so this is what bounds memory. Above: the
    // stream that crosses it ends with ResourceExhausted.
    std::size_t partial_bytes_max = 64U << 20U;

    // Whole requests that wait for their answers. Above, the peer gets no new receive window until
    // half of it is answered.
    std::size_t pending_bytes_max = 16U << 20U;

    // Server: the same and more for all sessions together; none where there is no such bound.
    std::shared_ptr<H2Budget> budget;

    // Streams that the peer resets, or makes us reset, before they are done (rapid reset,
    // MadeYouReset), or opens beyond the bound. Each takes one from the budget; a finished stream
    // gives one back, a tick `resets_per_tick`. Empty: GOAWAY ENHANCE_YOUR_CALM.
    std::uint32_t resets_max = 1000;
    std::uint32_t resets_per_tick = 100;

    // Frames that bring no work: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, HEADERS of a
    // stream that is gone or answered. (Unknown types are skipped at no cost.)
    // Also what is inflated beyond 16 times its size, and in sum 1 MiB a tick, one for each 16 KiB.
    // Each takes one; every message received and every HEADERS or DATA frame sent gives two back, a
    // tick `idle_frames_per_tick`. Empty: GOAWAY ENHANCE_YOUR_CALM.
    std::uint32_t idle_frames_max = 10'000;
    std::uint32_t idle_frames_per_tick = 1'000;

    // Acknowledgements (SETTINGS, PING) that wait to be written. Above: the connection ends.
    std::size_t outbound_acks_max = 1000;

    // A client's keepalive pings must be this far apart when we send nothing; grpc-go's
    // enforcement with etcd's minimum of 5 s and two strikes, then GOAWAY "too_many_pings".
    // Only in force once on_tick() brings the time. 0: off.
    std::uint64_t ping_interval_ms_min = 5'000;

    // Above this many queued reply bytes the peer gets no new receive window until half of it
    // has left: a peer that asks without reading is held back.
    std::size_t queued_bytes_max = 4U << 20U;
};

}  // namespace cairn::wire
