// A target with a fault that only the search can find and only AddressSanitizer can see: that a run
// of it fails shows that runs of the others can.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace {

constexpr std::string_view kTrigger = "cairn";

// Byte by byte, so that each right one is new coverage.
bool begins_with_trigger(const std::uint8_t* data, std::size_t size) {
    for (std::size_t i = 0; i < kTrigger.size(); ++i) {
        if (i == size || data[i] != static_cast<std::uint8_t>(kTrigger[i])) {
            return false;
        }
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (!begins_with_trigger(data, size)) {
        return 0;
    }
    const auto room = std::make_unique<std::uint8_t[]>(size);
    const volatile std::uint8_t* behind = room.get() + size;
    return *behind == 0 ? 0 : 0;
}
