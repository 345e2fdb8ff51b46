#include "base/result.h"

#include <memory>
#include <string>

#include "catch.h"

namespace cairn {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) {
        return Error{Errc::kMalformed, "odd"};
    }
    return number / 2;
}

Result<void> check_even(int number) {
    CAIRN_TRY(half(number));
    return ok();
}

Result<std::string> quarter_text(int number) {
    CAIRN_TRY(const int first, half(number));
    CAIRN_TRY(const int second, half(first));
    return std::to_string(second);
}

Result<std::unique_ptr<int>> boxed(int number) {
    CAIRN_TRY(const int value, half(number));
    return std::make_unique<int>(value);
}

Result<int> fails_by_code() { return Errc::kNotLeader; }

}  // namespace

TEST_CASE("a Result holds a value or an error", "[base][result]") {
    REQUIRE(half(4).value() == 2);
    REQUIRE(half(3).error() == Error{Errc::kMalformed, "odd"});
}

TEST_CASE("CAIRN_TRY hands the first error on", "[base][result]") {
    REQUIRE(quarter_text(8).value() == "2");
    REQUIRE(quarter_text(6).error().code == Errc::kMalformed);
    REQUIRE(check_even(2).has_value());
    REQUIRE(check_even(1).has_error());
}

TEST_CASE("a Result carries move-only values and converts from a code", "[base][result]") {
    auto box = boxed(10);
    REQUIRE(*std::move(box).value() == 5);
    REQUIRE(fails_by_code().error() == Error{Errc::kNotLeader});
    REQUIRE(to_string(Error{Errc::kCorrupt, "at 7"}) == "Corrupt: at 7");
}

}  // namespace cairn
