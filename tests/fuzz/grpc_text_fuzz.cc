// Any text as deadline, status, message, path and first bytes: what is read can be written again.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "proto/wire/deadline.h"
#include "proto/wire/grpc_method.h"
#include "proto/wire/grpc_status.h"
#include "proto/wire/preface.h"

namespace cairn::wire {
namespace {

void check_timeout(std::string_view text) {
    const Result<std::int64_t> parsed = parse_timeout(text);
    if (!parsed.has_value()) {
        CAIRN_ASSERT(parsed.error().detail.size() < 200);
        return;
    }
    CAIRN_ASSERT(parsed.value() >= 0);
    const Result<std::int64_t> again = parse_timeout(format_timeout(parsed.value()));
    CAIRN_ASSERT(again.has_value() && again.value() >= parsed.value());
}

void check_message(std::string_view text) {
    const std::string wire = encode_message(text);
    CAIRN_ASSERT(wire.size() <= text.size() * 9);
    CAIRN_ASSERT(encode_message(decode_message(wire)) == wire);
    CAIRN_ASSERT(decode_message(text).size() <= text.size());
}

void check_path(std::string_view text) {
    const GrpcMethod* method = find_method(text);
    CAIRN_ASSERT(method == nullptr || method->path == text);
    CAIRN_ASSERT(unknown_method_status(text).message.size() < 1000);
}

}  // namespace
}  // namespace cairn::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace cairn::wire;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_timeout(text);
    check_message(text);
    check_path(text);
    const std::optional<GrpcCode> code = decode_code(text);
    CAIRN_ASSERT(!code.has_value() || decode_code(encode_code(*code)) == code);
    CAIRN_ASSERT(looks_like_http2(text) != Http2Guess::kYes || text.size() >= kHttp2Preface.size());
    return 0;
}
