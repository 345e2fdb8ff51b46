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
constexpr std::size_t kHeaderBytes = 10;  // of a gzip member, at the least

// What grpc-go's reader says of a header, and of what stands behind it.
Error bad_header(std::string_view why) {
    return {Errc::kMalformed, "grpc: failed to decompress the message: " + std::string(why)};
}
Error bad_body(std::string_view why) {
    return {Errc::kMalformed, "grpc: failed to read decompressed data: " + std::string(why)};
}

// Frees zlib's state on every way out.
class Inflater {
  public:
    Inflater() {
        ready_ = inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK &&
                 inflateGetHeader(&stream_, &header_) == Z_OK;
    }
    ~Inflater() {
        if (ready_) {
            inflateEnd(&stream_);
        }
    }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    [[nodiscard]] bool ready() const { return ready_; }
    z_stream& stream() { return stream_; }
    // Why there was no end; `code` is inflate's.
    [[nodiscard]] Error failure(int code, std::size_t compressed_bytes) const {
        if (header_.done != 1) {
            // Go looks at a header when it has one.
            const bool cut = code == Z_BUF_ERROR || compressed_bytes < kHeaderBytes;
            const char* const why = cut ? "unexpected EOF" : "gzip: invalid header";
            return bad_header(compressed_bytes == 0 ? "EOF" : why);
        }
        if (code == Z_BUF_ERROR) {
            return bad_body("unexpected EOF");
        }
        const std::string_view said = stream_.msg == nullptr ? "" : stream_.msg;
        const bool at_end = said == "incorrect data check" || said == "incorrect length check";
        return bad_body(at_end ? "gzip: invalid checksum" : "flate: corrupt input");
    }

  private:
    z_stream stream_{};
    gz_header header_{};
    bool ready_ = false;
};

}  // namespace

Result<Bytes> gunzip(ByteView compressed, std::size_t bytes_max) {
    Inflater inflater;
    if (!inflater.ready()) {
        return bad_header("out of memory");
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
                         "grpc: received message after decompression larger than max " +
                             std::to_string(bytes_max)};
        }
    }
    if (code != Z_STREAM_END) {
        return inflater.failure(code, compressed.size());
    }
    if (stream.avail_in != 0) {
        return bad_body("gzip: bytes after the end");
    }
    return Bytes::copy_of(out);
}

}  // namespace cairn::wire
