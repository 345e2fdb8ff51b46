#include "proto/wire/gzip.h"

#include <array>
#include <limits>
#include <string>
#include <string_view>

#include <zlib.h>

#include "base/assert.h"

namespace cairn::wire {

namespace {

constexpr int kGzipOnly = 16;  // zlib: added to the window bits, accept a gzip header and no other
constexpr std::size_t kChunkBytes = 16 * 1024;

Error malformed(std::string_view why) {
    return {Errc::kMalformed,
            "grpc: failed to decompress the received message: " + std::string(why)};
}

// Frees zlib's state on every way out.
class Inflater {
  public:
    Inflater() { ready_ = inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK; }
    ~Inflater() {
        if (ready_) {
            inflateEnd(&stream_);
        }
    }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    [[nodiscard]] bool ready() const { return ready_; }
    z_stream& stream() { return stream_; }

  private:
    z_stream stream_{};
    bool ready_ = false;
};

}  // namespace

Result<Bytes> gunzip(ByteView compressed, std::size_t bytes_max) {
    Inflater inflater;
    if (!inflater.ready()) {
        return malformed("out of memory");
    }
    CAIRN_ASSERT(compressed.size() <= std::numeric_limits<uInt>::max());
    z_stream& stream = inflater.stream();
    // zlib never writes through next_in; its type is older than const.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());

    std::string out;
    std::array<char, kChunkBytes> chunk{};
    int code = Z_OK;
    while (code == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
        stream.avail_out = static_cast<uInt>(chunk.size());
        code = inflate(&stream, Z_NO_FLUSH);
        out.append(chunk.data(), chunk.size() - stream.avail_out);
        if (out.size() > bytes_max) {
            return Error{Errc::kMessageTooLarge,
                         "grpc: received message after decompression larger than max (" +
                             std::to_string(out.size()) + " vs. " + std::to_string(bytes_max) +
                             ")"};
        }
    }
    if (code == Z_BUF_ERROR) {
        return malformed("unexpected EOF");
    }
    if (code != Z_STREAM_END) {
        return malformed("gzip: invalid header or checksum");
    }
    if (stream.avail_in != 0) {
        return malformed("gzip: bytes after the end");
    }
    return Bytes::copy_of(out);
}

}  // namespace cairn::wire
