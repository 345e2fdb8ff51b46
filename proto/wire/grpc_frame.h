// gRPC's length-prefixed messages: one flag byte, four bytes of length, the message.
// One deframer per direction of a stream, owned by its stream; not for several threads.
// Must never keep more than one message, nor reserve what the peer has only announced.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace cairn::wire {

inline constexpr std::size_t kGrpcPrefixBytes = 5;
using GrpcPrefix = std::array<char, kGrpcPrefixBytes>;

// The prefix of an uncompressed message; `message_bytes` must fit 32 bits.
GrpcPrefix encode_prefix(std::size_t message_bytes);

// One message as it stood on the wire; `compressed` says it must still be inflated.
struct GrpcFrame {
    bool compressed = false;
    Bytes payload;
};

// Cuts a stream of bytes into messages, whatever pieces the bytes come in. Amortised linear: a
// message inside one piece is copied once, one spread over pieces twice.
class GrpcDeframer {
  public:
    // Takes bytes from the front of `input` until a message is complete or `input` is empty.
    // True: `frame` holds a message; call again while input is left. False: all was taken.
    // Errors, at the prefix already: kMessageTooLarge (announced length > `message_bytes_max`),
    // kMalformed (flag neither 0 nor 1); the texts are grpc-go's. After an error only reset().
    Result<bool> next(ByteView& input, std::size_t message_bytes_max, GrpcFrame& frame);

    // True between messages: an end of stream here cuts nothing off.
    [[nodiscard]] bool at_boundary() const { return prefix_count_ == 0; }
    // True before and inside of a prefix.
    [[nodiscard]] bool in_prefix() const { return prefix_count_ < kGrpcPrefixBytes; }
    // Bytes of the unfinished message that are kept.
    [[nodiscard]] std::size_t buffered_bytes() const { return partial_.size(); }
    // As new; keeps a small buffer for the next stream.
    void reset();

  private:
    Result<void> check_prefix(std::size_t message_bytes_max);
    bool take_prefix(ByteView& input);

    GrpcPrefix prefix_{};
    std::size_t prefix_count_ = 0;  // Invariant: <= kGrpcPrefixBytes.
    std::size_t length_ = 0;        // Valid once the prefix is whole.
    std::string partial_;           // Invariant: partial_.size() < length_ between calls, or empty.
};

}  // namespace cairn::wire
