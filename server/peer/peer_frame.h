// Frames between members: length, checksum, payload (docs/formats/peer.md).
// Pure; one reader for each connection, on its thread.
// Never trusts a length: a frame over the cap or with a wrong checksum ends the connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace cairn::server::peer {

inline constexpr std::size_t kFrameHeaderBytes = 8;
// Larger than the largest Append: append_bytes_max or one entry of max-request-bytes, and change.
inline constexpr std::size_t kFrameBytesMax = 64U * 1024U * 1024U;

// Appends the frame of `payload` to `out`. The payload must not exceed kFrameBytesMax (asserted).
void append_frame(ByteView payload, std::string& out);
// The same for a payload that is written straight to `out`: between the two calls, the second of
// which gets what the first returned.
std::size_t begin_frame(std::string& out);
void finish_frame(std::size_t begin, std::string& out);

// Cuts a stream of bytes into payloads.
class FrameReader {
  public:
    explicit FrameReader(std::size_t bytes_max = kFrameBytesMax) : bytes_max_(bytes_max) {}

    void feed(ByteView bytes) { buffer_.append(bytes); }
    // The next payload, nothing when more bytes are needed; borrowed until the next call of any
    // method. kTooLarge or kCorrupt: the connection must be closed.
    Result<std::optional<ByteView>> next();
    // Whether nothing came after what next() has returned.
    [[nodiscard]] bool at_end() const { return consumed_ == buffer_.size(); }

  private:
    void drop_consumed();

    std::size_t bytes_max_;
    std::string buffer_;
    std::size_t consumed_ = 0;
};

}  // namespace cairn::server::peer
