// Any bytes to the de-framer: whole at once and byte by byte must say the same; gzip is bounded.
#include "proto/wire/grpc_frame.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"
#include "proto/wire/gzip.h"

namespace cairn::wire {
namespace {

constexpr std::size_t kMessageBytesMax = 4096;

// One line for each message, and the error that ended it.
std::vector<std::string> deframe(ByteView input, std::size_t piece_bytes) {
    GrpcDeframer deframer;
    std::vector<std::string> said;
    while (!input.empty()) {
        ByteView piece = input.substr(0, piece_bytes);
        input.remove_prefix(piece.size());
        bool more = true;
        while (more) {
            GrpcFrame frame;
            const Result<bool> got = deframer.next(piece, kMessageBytesMax, frame);
            if (!got.has_value()) {
                said.push_back(to_string(got.error()));
                return said;
            }
            more = got.value();
            CAIRN_ASSERT(more || piece.empty());
            CAIRN_ASSERT(deframer.buffered_bytes() <= kMessageBytesMax);
            if (more) {
                CAIRN_ASSERT(frame.payload.size() <= kMessageBytesMax);
                said.push_back((frame.compressed ? "z" : "p") + std::string(frame.payload.view()));
            }
        }
    }
    return said;
}

}  // namespace
}  // namespace cairn::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cairn::wire;
    const cairn::ByteView input(reinterpret_cast<const char*>(data), size);
    CAIRN_ASSERT(deframe(input, size) == deframe(input, 1));
    const cairn::Result<cairn::Bytes> inflated = gunzip(input, kMessageBytesMax);
    CAIRN_ASSERT(!inflated.has_value() || inflated.value().size() <= kMessageBytesMax);
    return 0;
}
