// H2Budget: what the sessions of one server may hold together of what their clients have sent.
// Shared by sessions of one thread, which count in it and give back what they counted when they
// end. Must never let those who hold much keep out those who ask for little: the last eighth of
// each bound is for small holders.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::wire {

struct H2Budget {
    // Bytes of requests, whole or in part, until their call is over. Above: the call that crosses
    // it ends with ResourceExhausted.
    std::size_t request_bytes_max = 256U << 20U;
    // A connection that holds no more than this has the last eighth, too.
    std::size_t request_bytes_small = 1U << 20U;

    // Open streams; each costs about 1 KiB before its first message. Above: RST_STREAM
    // REFUSED_STREAM, after which a client may try again (RFC 9113 §8.7).
    std::size_t streams_max = 1U << 17U;
    // As request_bytes_small.
    std::size_t streams_small = 128;

    // What is held now.
    std::size_t request_bytes = 0;
    std::size_t streams = 0;

    // Counted since the start, for metrics.
    std::uint64_t requests_refused = 0;
    std::uint64_t streams_refused = 0;
    std::uint64_t sessions_ended = 0;  // by a GOAWAY that says what the client did wrong

    // Whether all together hold too much for somebody who holds `own` of it.
    [[nodiscard]] bool is_over_bytes(std::size_t own) const {
        return request_bytes > ceiling(request_bytes_max, own <= request_bytes_small);
    }
    [[nodiscard]] bool is_over_streams(std::size_t own) const {
        return streams > ceiling(streams_max, own <= streams_small);
    }

  private:
    static std::size_t ceiling(std::size_t bound, bool small) {
        return small ? bound : bound - bound / 8;
    }
};

}  // namespace cairn::wire
