// Whatever a peer sends is refused or read; what is read survives the way back to bytes.

#include <cstddef>
#include <cstdint>
#include <string>

#include <google/protobuf/stubs/logging.h>

#include "base/assert.h"
#include "server/peer/peer_codec.h"
#include "server/peer/peer_frame.h"
#include "server/peer/peer_hello.h"
#include "server/peer/snapshot_codec.h"

namespace cairn::server::peer {
namespace {

// Protobuf prints a line for each text field that is no UTF-8.
[[maybe_unused]] auto* const kQuiet = google::protobuf::SetLogHandler(nullptr);

void check_message(ByteView payload) {
    const auto message = decode_message(payload);
    if (!message.has_value()) {
        return;
    }
    std::string bytes;
    encode_message(message.value(), bytes);
    const auto again = decode_message(bytes);
    CAIRN_ASSERT(again.has_value() && again.value() == message.value());
}

void check_snapshot_message(ByteView payload) {
    const auto message = decode_snapshot_message(payload);
    if (!message.has_value()) {
        return;
    }
    std::string bytes;
    append_snapshot_frame(message.value(), bytes);
    const auto again = decode_snapshot_message(ByteView(bytes).substr(kFrameHeaderBytes));
    CAIRN_ASSERT(again.has_value() && again.value() == message.value());
}

void check_hello_forms(ByteView payload) {
    if (const auto hello = decode_hello(payload); hello.has_value()) {
        const auto again = decode_hello(encode_hello(hello.value()));
        CAIRN_ASSERT(again.has_value() && again.value() == hello.value());
    }
    if (const auto reply = decode_hello_reply(payload); reply.has_value()) {
        const std::string bytes = encode_hello_reply(reply.value());
        const auto again = decode_hello_reply(bytes);
        CAIRN_ASSERT(again.has_value() && encode_hello_reply(again.value()) == bytes);
    }
}

// How the bytes are cut into reads must not matter.
std::string frames_of(ByteView stream, std::size_t cut) {
    constexpr std::size_t kFrameMax = 4096;
    FrameReader reader(kFrameMax);
    std::string frames;
    for (std::size_t begin = 0; begin < stream.size(); begin += cut) {
        reader.feed(stream.substr(begin, cut));
        for (;;) {
            const auto frame = reader.next();
            if (!frame.has_value()) {
                return frames + "refused";
            }
            if (!frame.value().has_value()) {
                break;
            }
            check_message(*frame.value());
            frames.append(*frame.value()).push_back('|');
        }
    }
    return frames;
}

}  // namespace
}  // namespace cairn::server::peer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cairn::server::peer;
    const cairn::ByteView input(reinterpret_cast<const char*>(data), size);
    check_message(input);
    check_snapshot_message(input);
    check_hello_forms(input);
    CAIRN_ASSERT(frames_of(input, size + 1) == frames_of(input, 3));
    return 0;
}
