#include "base/go_syntax.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

#include <fmt/format.h>

namespace cairn {
namespace {

struct TimeUnit {
    std::string_view name;
    std::uint64_t ns = 0;
};

// Longer names first where one begins another.
constexpr TimeUnit kTimeUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"µs", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
};

// "ms" before "m": the unit is the longest run of letters, as Go reads it.
const TimeUnit* take_unit(std::string_view& text) {
    std::size_t length = 0;
    while (length < text.size() && text[length] != '.' &&
           (text[length] < '0' || text[length] > '9')) {
        ++length;
    }
    for (const TimeUnit& unit : kTimeUnits) {
        if (unit.name == text.substr(0, length)) {
            text.remove_prefix(length);
            return &unit;
        }
    }
    return nullptr;
}

// Digits up to the first that is not one; nothing when there are none or too many.
std::optional<std::uint64_t> take_digits(std::string_view& text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data()) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

// The digits after a point, as a share of `unit_ns`; what is finer than a nanosecond is cut.
std::uint64_t take_fraction(std::string_view& text, bool& any) {
    std::uint64_t value = 0;
    std::uint64_t scale = 1;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
        any = true;
        if (scale <= 1'000'000'000'000'000) {
            value = value * 10 + static_cast<std::uint64_t>(text.front() - '0');
            scale *= 10;
        }
        text.remove_prefix(1);
    }
    // As a number of 1e-15: exact for every unit up to hours to within one nanosecond.
    while (scale < 1'000'000'000'000'000) {
        value *= 10;
        scale *= 10;
    }
    return value;
}

// One "1.5h" from the front.
std::optional<std::uint64_t> take_duration_part(std::string_view& text) {
    const bool has_digits = text.front() >= '0' && text.front() <= '9';
    std::uint64_t whole = 0;
    if (has_digits) {
        const std::optional<std::uint64_t> digits = take_digits(text);
        if (!digits) {
            return std::nullopt;
        }
        whole = *digits;
    }
    bool has_fraction = false;
    std::uint64_t fraction = 0;
    if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        fraction = take_fraction(text, has_fraction);
    }
    if (!has_digits && !has_fraction) {
        return std::nullopt;
    }
    const TimeUnit* unit = take_unit(text);
    if (unit == nullptr ||
        whole > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / unit->ns) {
        return std::nullopt;
    }
    const auto share = static_cast<__uint128_t>(fraction) * unit->ns / 1'000'000'000'000'000U;
    return whole * unit->ns + static_cast<std::uint64_t>(share);
}

// "1.5" of a count and its number of decimals, without trailing zeros.
std::string with_fraction(std::uint64_t value, unsigned decimals) {
    std::string digits = fmt::format("{:0{}}", value, decimals + 1);
    const std::size_t point = digits.size() - decimals;
    std::string fraction = digits.substr(point);
    while (!fraction.empty() && fraction.back() == '0') {
        fraction.pop_back();
    }
    digits.resize(point);
    return fraction.empty() ? digits : digits + "." + fraction;
}

// The runes that terminals show as nothing or as something else; Go's table is finer.
bool is_printable(std::uint32_t code) {
    struct Span {
        std::uint32_t first;
        std::uint32_t last;
    };
    constexpr Span kHidden[] = {
        {0x00, 0x1F},     {0x7F, 0xA0},       {0xAD, 0xAD},        {0x1680, 0x1680},
        {0x180E, 0x180E}, {0x2000, 0x200F},   {0x2028, 0x202F},    {0x205F, 0x206F},
        {0x3000, 0x3000}, {0xE000, 0xF8FF},   {0xFEFF, 0xFEFF},    {0xFFF0, 0xFFFB},
        {0xFFFE, 0xFFFF}, {0xE0000, 0xE00FF}, {0xF0000, 0x10FFFF},
    };
    return std::none_of(std::begin(kHidden), std::end(kHidden),
                        [&](const Span& span) { return code >= span.first && code <= span.last; });
}

std::string escape_rune(std::uint32_t code) {
    switch (code) {
        case '\a': return "\\a";
        case '\b': return "\\b";
        case '\f': return "\\f";
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
        case '\v': return "\\v";
        case '"': return "\\\"";
        case '\\': return "\\\\";
        default: break;
    }
    if (code < 0x80) {
        return fmt::format("\\x{:02x}", code);
    }
    return code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

}  // namespace

std::optional<bool> parse_go_bool(std::string_view text) {
    for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
        if (text == yes) {
            return true;
        }
    }
    for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
        if (text == no) {
            return false;
        }
    }
    return std::nullopt;
}

std::optional<std::uint64_t> parse_go_int(std::string_view text, bool negative_ok) {
    bool negative = false;
    if (negative_ok && !text.empty() && (text.front() == '-' || text.front() == '+')) {
        negative = text.front() == '-';
        text.remove_prefix(1);
    }
    int base = 10;
    if (text.size() > 1 && text[0] == '0') {
        const char mark = static_cast<char>(text[1] | 0x20);
        base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
        text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (negative_ok && value > kMax + (negative ? 1 : 0)) {
        return std::nullopt;
    }
    return negative ? 0 - value : value;
}

std::optional<std::int64_t> parse_go_duration(std::string_view text) {
    bool negative = false;
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
        negative = text.front() == '-';
        text.remove_prefix(1);
    }
    if (text == "0") {
        return 0;
    }
    if (text.empty()) {
        return std::nullopt;
    }
    std::uint64_t sum = 0;
    while (!text.empty()) {
        const std::optional<std::uint64_t> part = take_duration_part(text);
        constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        if (!part || *part > kMax - sum) {
            return std::nullopt;
        }
        sum += *part;
    }
    const auto value = static_cast<std::int64_t>(sum);
    return negative ? -value : value;
}

std::string format_go_duration(std::int64_t duration_ns) {
    const bool negative = duration_ns < 0;
    const std::uint64_t ns = negative ? 0 - static_cast<std::uint64_t>(duration_ns)
                                      : static_cast<std::uint64_t>(duration_ns);
    std::string text = negative ? "-" : "";
    if (ns == 0) {
        return "0s";
    }
    if (ns < 1'000) {
        return text + fmt::format("{}ns", ns);
    }
    if (ns < 1'000'000) {
        return text + with_fraction(ns, 3) + "µs";
    }
    if (ns < 1'000'000'000) {
        return text + with_fraction(ns, 6) + "ms";
    }
    constexpr std::uint64_t kMinute = 60'000'000'000;
    const std::uint64_t minutes = ns / kMinute;
    if (minutes >= 60) {
        text += fmt::format("{}h", minutes / 60);
    }
    if (minutes > 0) {
        text += fmt::format("{}m", minutes % 60);
    }
    return text + with_fraction(ns % kMinute, 9) + "s";
}

Rune first_rune(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t head = byte(0);
    if (head < 0x80) {
        return {head, 1};
    }
    const std::size_t length = head >= 0xF0 ? 4 : head >= 0xE0 ? 3 : 2;
    if (head < 0xC2 || head > 0xF4 || text.size() < length) {
        return {};
    }
    std::uint32_t code = head & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) {
            return {};
        }
        code = code << 6U | (byte(i) & 0x3FU);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        return {};
    }
    return {code, length};
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t bytes = first_rune(text).bytes;
        if (bytes == 0) {
            return false;
        }
        text.remove_prefix(bytes);
    }
    return true;
}

std::string quote_go(std::string_view text) {
    std::string quoted = "\"";
    while (!text.empty()) {
        const Rune rune = first_rune(text);
        const std::size_t bytes = std::max<std::size_t>(rune.bytes, 1);
        if (rune.bytes == 0) {
            quoted += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text.front()));
        } else if (is_printable(rune.code) && rune.code != '"' && rune.code != '\\') {
            quoted += text.substr(0, bytes);
        } else {
            quoted += escape_rune(rune.code);
        }
        text.remove_prefix(bytes);
    }
    return quoted + "\"";
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({above + 1, row[j - 1] + 1, change});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace cairn
