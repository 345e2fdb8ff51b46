#include "proto/wire/grpc_frame.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "base/empty_buffer.h"

namespace cairn::wire {

namespace {

constexpr std::size_t kKeptBufferBytes = 4096;

std::uint8_t byte_of(char c) { return static_cast<std::uint8_t>(c); }

}  // namespace

GrpcPrefix encode_prefix(std::size_t message_bytes) {
    CAIRN_ASSERT(message_bytes <= std::numeric_limits<std::uint32_t>::max());
    GrpcPrefix prefix{};
    for (std::size_t i = 0; i < 4; ++i) {
        prefix[i + 1] = static_cast<char>(static_cast<std::uint8_t>(message_bytes >> (24 - 8 * i)));
    }
    return prefix;
}

bool GrpcDeframer::take_prefix(ByteView& input) {
    const std::size_t count = std::min(kGrpcPrefixBytes - prefix_count_, input.size());
    std::copy_n(input.begin(), count, prefix_.begin() + static_cast<std::ptrdiff_t>(prefix_count_));
    prefix_count_ += count;
    input.remove_prefix(count);
    return prefix_count_ == kGrpcPrefixBytes;
}

// grpc-go looks at the length first, so an oversized message with a bad flag is ResourceExhausted.
Result<void> GrpcDeframer::check_prefix(std::size_t message_bytes_max) {
    length_ = 0;
    for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i) {
        length_ = (length_ << 8U) | byte_of(prefix_[i]);
    }
    if (length_ > message_bytes_max) {
        return Error{Errc::kMessageTooLarge, "grpc: received message larger than max (" +
                                                 std::to_string(length_) + " vs. " +
                                                 std::to_string(message_bytes_max) + ")"};
    }
    if (byte_of(prefix_[0]) > 1) {
        return Error{Errc::kMalformed, "grpc: received unexpected payload format " +
                                           std::to_string(byte_of(prefix_[0]))};
    }
    return ok();
}

Result<bool> GrpcDeframer::next(ByteView& input, std::size_t message_bytes_max, GrpcFrame& frame) {
    if (prefix_count_ < kGrpcPrefixBytes) {
        if (!take_prefix(input)) {
            return false;
        }
        CAIRN_TRY(check_prefix(message_bytes_max));
    }
    const std::size_t count = std::min(length_ - partial_.size(), input.size());
    const bool complete = partial_.size() + count == length_;
    if (!complete) {
        partial_.append(input.substr(0, count));
        input.remove_prefix(count);
        return false;
    }
    frame.compressed = prefix_[0] != 0;
    frame.payload = Bytes::concat(partial_, input.substr(0, count));
    input.remove_prefix(count);
    reset();
    return true;
}

void GrpcDeframer::reset() {
    prefix_count_ = 0;
    length_ = 0;
    empty_buffer(partial_, kKeptBufferBytes);
}

}  // namespace cairn::wire
