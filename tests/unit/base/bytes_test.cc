#include "base/bytes.h"

#include <string>

#include "catch.h"

#include "base/prng.h"

namespace cairn {

TEST_CASE("Bytes shares one buffer between slices", "[base][bytes]") {
    const Bytes whole = Bytes::copy_of("hello world");
    const Bytes part = whole.slice(6, 5);
    REQUIRE(part.view() == "world");
    REQUIRE(part.data() == whole.data() + 6);
    Bytes moved = Bytes(part);
    const Bytes taken = std::move(moved);
    REQUIRE(taken == part);
    REQUIRE(Bytes().empty());
    REQUIRE(Bytes::copy_of("") == Bytes());
    REQUIRE(Bytes::concat("ab", "cd").view() == "abcd");
}

TEST_CASE("Prng repeats by seed and splits by label", "[base][prng]") {
    Prng first(7);
    Prng second(7);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(first.next() == second.next());
    }
    REQUIRE(Prng(7).split("net").next() != Prng(7).split("disk").next());
    REQUIRE(Prng(7).split("net").next() == Prng(7).split("net").next());
    for (int i = 0; i < 1000; ++i) {
        const auto drawn = first.between(3, 5);
        REQUIRE(drawn >= 3);
        REQUIRE(drawn <= 5);
    }
}

}  // namespace cairn
