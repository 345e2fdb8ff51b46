#include "base/empty_buffer.h"

#include <cstdint>
#include <string>
#include <vector>

#include "catch.h"

namespace cairn {

TEST_CASE("a large buffer gives its memory back, a small one is kept", "[base][empty_buffer]") {
    std::string text(1000, 'x');
    empty_buffer(text, 1000);
    CHECK((text.empty() && text.capacity() == 1000));
    empty_buffer(text, 999);
    CHECK(text.capacity() < 100);
    std::vector<std::uint64_t> numbers(100);
    empty_buffer(numbers, 800);
    CHECK((numbers.empty() && numbers.capacity() == 100));
    empty_buffer(numbers, 799);
    CHECK(numbers.capacity() == 0);
}

}  // namespace cairn
