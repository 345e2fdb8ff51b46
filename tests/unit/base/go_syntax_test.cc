#include "base/go_syntax.h"

#include "catch.h"

namespace cairn {

TEST_CASE("go: numbers and durations as Go reads them", "[base][go]") {
    CHECK(parse_go_int("0", false) == 0U);
    CHECK(parse_go_int("0x10", false) == 16U);
    CHECK(parse_go_int("010", false) == 8U);
    CHECK(parse_go_int("0b11", false) == 3U);
    CHECK(parse_go_int("18446744073709551615", false) == ~std::uint64_t{0});
    CHECK_FALSE(parse_go_int("18446744073709551616", false));
    CHECK_FALSE(parse_go_int("", false));
    CHECK_FALSE(parse_go_int("0x", false));
    CHECK_FALSE(parse_go_int("1 ", false));
    CHECK_FALSE(parse_go_int("-1", false));
    CHECK(parse_go_int("-1", true) == ~std::uint64_t{0});
    CHECK(parse_go_int("-9223372036854775808", true) == std::uint64_t{1} << 63U);
    CHECK_FALSE(parse_go_int("9223372036854775808", true));

    CHECK(parse_go_duration("0") == 0);
    CHECK(parse_go_duration("100ms") == 100'000'000);
    CHECK(parse_go_duration("1h30m") == 5'400'000'000'000);
    CHECK(parse_go_duration("1.5s") == 1'500'000'000);
    CHECK(parse_go_duration(".5s") == 500'000'000);
    CHECK(parse_go_duration("-2s") == -2'000'000'000);
    CHECK(parse_go_duration("3us") == 3'000);
    CHECK(parse_go_duration("0.000000001s") == 1);
    CHECK(parse_go_duration("2540400h") == 9'145'440'000'000'000'000);
    CHECK_FALSE(parse_go_duration("2562048h"));
    CHECK_FALSE(parse_go_duration("5"));
    CHECK_FALSE(parse_go_duration("s"));
    CHECK_FALSE(parse_go_duration(".s"));
    CHECK_FALSE(parse_go_duration("1d"));
    CHECK_FALSE(parse_go_duration(""));
    CHECK_FALSE(parse_go_duration("-"));
}

TEST_CASE("go: durations print as Go prints them", "[base][go]") {
    CHECK(format_go_duration(0) == "0s");
    CHECK(format_go_duration(1) == "1ns");
    CHECK(format_go_duration(1'500) == "1.5µs");
    CHECK(format_go_duration(2'341'293) == "2.341293ms");
    CHECK(format_go_duration(3'000'000) == "3ms");
    CHECK(format_go_duration(1'000'000'001) == "1.000000001s");
    CHECK(format_go_duration(5'400'000'000'000) == "1h30m0s");
    CHECK(format_go_duration(61'500'000'000) == "1m1.5s");
    CHECK(format_go_duration(-2'000'000'000) == "-2s");
}

TEST_CASE("go: %q", "[base][go]") {
    CHECK(quote_go("") == R"("")");
    CHECK(quote_go("a b") == R"("a b")");
    CHECK(quote_go("a\"b\\c") == R"("a\"b\\c")");
    CHECK(quote_go("\a\b\f\n\r\t\v") == R"("\a\b\f\n\r\t\v")");
    CHECK(quote_go(std::string_view("\0\x1f\x7f", 3)) == R"("\x00\x1f\x7f")");
    CHECK(quote_go("\xff\xc3") == R"("\xff\xc3")");
    CHECK(quote_go("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") ==
          "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    CHECK(quote_go("\xe2\x80\xa8") == R"("\u2028")");
    CHECK(quote_go("\xed\xa0\x80") == R"("\xed\xa0\x80")");
    CHECK(quote_go("\xc0\x80") == R"("\xc0\x80")");
}

TEST_CASE("go: edit distance", "[base][go]") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("data-dri", "data-dir") == 2);
    CHECK(edit_distance("kitten", "sitting") == 3);
}

}  // namespace cairn
