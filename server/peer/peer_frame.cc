#include "server/peer/peer_frame.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/empty_buffer.h"

namespace cairn::server::peer {
namespace {

// A reader that had a large frame gives its memory back.
constexpr std::size_t kKeptBytesMax = 4U * 1024U * 1024U;

void put_u32(std::uint32_t value, char* out) {
    for (unsigned i = 0; i < 4; ++i) {
        out[i] = static_cast<char>(static_cast<unsigned char>(value >> (8U * i)));
    }
}

std::uint32_t get_u32(const char* bytes) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8U * i);
    }
    return value;
}

std::uint32_t frame_checksum(ByteView payload) {
    return static_cast<std::uint32_t>(xxh3_64(payload));
}

}  // namespace

void append_frame(ByteView payload, std::string& out) {
    const std::size_t begin = begin_frame(out);
    out.append(payload);
    finish_frame(begin, out);
}

std::size_t begin_frame(std::string& out) {
    const std::size_t begin = out.size();
    out.append(kFrameHeaderBytes, '\0');
    return begin;
}

void finish_frame(std::size_t begin, std::string& out) {
    const ByteView payload = ByteView(out).substr(begin + kFrameHeaderBytes);
    CAIRN_ASSERT(payload.size() <= kFrameBytesMax);
    put_u32(static_cast<std::uint32_t>(payload.size()), out.data() + begin);
    put_u32(frame_checksum(payload), out.data() + begin + 4);
}

void FrameReader::drop_consumed() {
    // Moving the rest down for every frame would be quadratic; once a read is enough.
    if (consumed_ == buffer_.size()) {
        empty_buffer(buffer_, kKeptBytesMax);
        consumed_ = 0;
    } else if (consumed_ > buffer_.size() / 2) {
        buffer_.erase(0, consumed_);
        consumed_ = 0;
    }
}

Result<std::optional<ByteView>> FrameReader::next() {
    drop_consumed();
    const ByteView rest = ByteView(buffer_).substr(consumed_);
    if (rest.size() < kFrameHeaderBytes) {
        return std::optional<ByteView>{};
    }
    const std::size_t length = get_u32(rest.data());
    if (length > bytes_max_) {
        return Error{Errc::kTooLarge, "peer frame of " + std::to_string(length) +
                                          " bytes, at most " + std::to_string(bytes_max_)};
    }
    if (rest.size() - kFrameHeaderBytes < length) {
        return std::optional<ByteView>{};
    }
    const ByteView payload = rest.substr(kFrameHeaderBytes, length);
    if (get_u32(rest.data() + 4) != frame_checksum(payload)) {
        return Error{Errc::kCorrupt, "peer frame with a wrong checksum"};
    }
    consumed_ += kFrameHeaderBytes + length;
    return std::optional<ByteView>{payload};
}

}  // namespace cairn::server::peer
