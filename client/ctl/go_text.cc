#include "client/ctl/go_text.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/go_syntax.h"

namespace cairn::client::ctl {
namespace {

constexpr std::string_view kBlanks = " \t\r";

char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

// The base that a prefix means, which it takes away; a lone 0 in front stays and is octal.
int take_base(std::string_view& digits) {
    if (digits.empty() || digits.front() != '0') {
        return 10;
    }
    constexpr std::pair<char, int> kPrefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    for (const auto& [letter, base] : kPrefixes) {
        if (digits.size() > 2 && lower(digits[1]) == letter) {
            digits.remove_prefix(2);
            return base;
        }
    }
    return 8;
}

bool take_sign(std::string_view& text) {
    const bool negative = !text.empty() && text.front() == '-';
    if (negative || (!text.empty() && text.front() == '+')) {
        text.remove_prefix(1);
    }
    return negative;
}

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

void append_utf8(std::string& word, std::uint32_t code) {
    if (code < 0x80) {
        word += static_cast<char>(code);
        return;
    }
    const unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr std::uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
    word += static_cast<char>(kLead[more] | code >> (6U * more));
    for (unsigned i = more; i > 0; --i) {
        word += static_cast<char>(0x80U | (code >> (6U * (i - 1)) & 0x3FU));
    }
}

// How many digits of which base follow a letter that begins an escape by number.
struct NumberEscape {
    char letter;
    std::size_t digits;
    int base;
};

bool append_number(std::string& word, std::string_view& text, const NumberEscape& escape) {
    std::uint32_t code = 0;
    if (text.size() < escape.digits) {
        return false;
    }
    const char* last = text.data() + escape.digits;
    const auto [end, error] = std::from_chars(text.data(), last, code, escape.base);
    if (error != std::errc{} || end != last) {
        return false;
    }
    text.remove_prefix(escape.digits);
    if (escape.letter == 'x' || escape.base == 8) {
        word += static_cast<char>(code);
        return code < 0x100;
    }
    append_utf8(word, code);
    return code < 0xD800 || (code >= 0xE000 && code < 0x110000);
}

// What stands behind a backslash, as in a Go string. False: no escape.
bool append_escape(std::string& word, std::string_view& text) {
    constexpr NumberEscape kNumbers[] = {{'x', 2, 16}, {'u', 4, 16}, {'U', 8, 16}};
    constexpr std::pair<char, char> kLetters[] = {
        {'a', '\a'}, {'b', '\b'}, {'f', '\f'},  {'n', '\n'}, {'r', '\r'},
        {'t', '\t'}, {'v', '\v'}, {'\\', '\\'}, {'"', '"'},
    };
    if (text.empty()) {
        return false;
    }
    const char letter = text.front();
    if (is_digit(letter)) {
        return append_number(word, text, {letter, 3, 8});
    }
    text.remove_prefix(1);
    for (const NumberEscape& escape : kNumbers) {
        if (escape.letter == letter) {
            return append_number(word, text, escape);
        }
    }
    for (const auto& [from, to] : kLetters) {
        if (from == letter) {
            word += to;
            return true;
        }
    }
    return false;
}

}  // namespace

GoNumber parse_go_number(std::string_view text, int base) {
    std::string_view digits = text;
    const bool negative = take_sign(digits);
    base = base == 0 ? take_base(digits) : base;
    std::uint64_t magnitude = 0;
    const char* last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, magnitude, base);
    const auto failed = [&](std::string_view why) {
        return GoNumber{0, fmt::format("strconv.ParseInt: parsing {}: {}", quote_go(text), why)};
    };
    if (error == std::errc::invalid_argument || end != last) {
        return failed("invalid syntax");
    }
    const std::uint64_t most = (std::uint64_t{1} << 63U) - (negative ? 0U : 1U);
    if (error != std::errc{} || magnitude > most) {
        return failed("value out of range");
    }
    return {static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude), {}};
}

GoUnsigned parse_go_unsigned(std::string_view text, int base) {
    std::uint64_t value = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value, base);
    const auto failed = [&](std::string_view why) {
        return GoUnsigned{0, fmt::format("strconv.ParseUint: parsing {}: {}", quote_go(text), why)};
    };
    if (error == std::errc::invalid_argument || end != last) {
        return failed("invalid syntax");
    }
    return error == std::errc{} ? GoUnsigned{value, {}} : failed("value out of range");
}

std::string go_bool_error(std::string_view text) {
    return parse_go_bool(text)
               ? std::string()
               : fmt::format("strconv.ParseBool: parsing {}: invalid syntax", quote_go(text));
}

std::string go_duration_error(std::string_view text) {
    if (parse_go_duration(text)) {
        return {};
    }
    std::string_view rest = text;
    take_sign(rest);
    while (!rest.empty()) {
        const auto number = std::min(rest.find_first_not_of("0123456789."), rest.size());
        if (!std::any_of(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(number),
                         is_digit)) {
            break;
        }
        rest.remove_prefix(number);
        const auto length = std::min(rest.find_first_of("0123456789."), rest.size());
        const std::string_view unit = rest.substr(0, length);
        if (unit.empty()) {
            return fmt::format("time: missing unit in duration {}", quote_go(text));
        }
        if (!parse_go_duration("1" + std::string(unit))) {
            return fmt::format("time: unknown unit {} in duration {}", quote_go(unit),
                               quote_go(text));
        }
        rest.remove_prefix(length);
    }
    return fmt::format("time: invalid duration {}", quote_go(text));
}

std::optional<std::string> take_quoted(std::string_view& text) {
    const char quote = text.front();
    text.remove_prefix(1);
    std::string word;
    while (!text.empty()) {
        const char letter = text.front();
        text.remove_prefix(1);
        if (letter == quote) {
            return word;
        }
        if (quote != '"' || letter != '\\') {
            word += letter;
        } else if (!append_escape(word, text)) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

std::optional<std::vector<std::string>> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (true) {
        const std::size_t begin = text.find_first_not_of(kBlanks);
        if (begin == std::string_view::npos) {
            return words;
        }
        text.remove_prefix(begin);
        if (text.front() == '"' || text.front() == '\'') {
            const std::optional<std::string> word = take_quoted(text);
            if (!word) {
                return std::nullopt;
            }
            words.push_back(*word);
            continue;
        }
        const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

}  // namespace cairn::client::ctl
