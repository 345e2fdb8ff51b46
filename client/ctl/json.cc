#include "client/ctl/json.h"

#include <cstddef>

#include <fmt/format.h>

#include "base/go_syntax.h"

namespace cairn::client::ctl {
namespace {

std::string escaped(std::uint32_t code) {
    switch (code) {
        case '"': return "\\\"";
        case '\\': return "\\\\";
        case '\b': return "\\b";
        case '\f': return "\\f";
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
        default: return fmt::format("\\u{:04x}", code);
    }
}

bool needs_escape(std::uint32_t code) {
    return code < 0x20 || code == '"' || code == '\\' || code == '<' || code == '>' ||
           code == '&' || code == 0x2028 || code == 0x2029;
}

}  // namespace

std::string json_string(std::string_view text) {
    std::string result = "\"";
    while (!text.empty()) {
        const Rune rune = first_rune(text);
        if (rune.bytes == 0) {
            result += "\\ufffd";
            text.remove_prefix(1);
            continue;
        }
        result +=
            needs_escape(rune.code) ? escaped(rune.code) : std::string(text.substr(0, rune.bytes));
        text.remove_prefix(rune.bytes);
    }
    return result + "\"";
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view kLetters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string result;
    result.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            group = group << 8U | (j < count ? static_cast<std::uint8_t>(bytes[i + j]) : 0U);
        }
        for (std::size_t j = 0; j < 4; ++j) {
            result += j <= count ? kLetters[group >> (18U - 6U * j) & 63U] : '=';
        }
    }
    return result;
}

JsonObject& JsonObject::raw(std::string_view name, std::string_view json) {
    body_ += fmt::format("{}{}:{}", body_.empty() ? "" : ",", json_string(name), json);
    return *this;
}

JsonObject& JsonObject::number(std::string_view name, std::uint64_t value) {
    return value == 0 ? *this : raw(name, std::to_string(value));
}

JsonObject& JsonObject::signed_number(std::string_view name, std::int64_t value) {
    return value == 0 ? *this : raw(name, std::to_string(value));
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
    return value.empty() ? *this : raw(name, json_string(value));
}

JsonObject& JsonObject::bytes(std::string_view name, std::string_view value) {
    return value.empty() ? *this : raw(name, "\"" + base64(value) + "\"");
}

JsonObject& JsonObject::flag(std::string_view name, bool value) {
    return value ? raw(name, "true") : *this;
}

JsonArray& JsonArray::add(std::string_view json) {
    body_ += body_.empty() ? "" : ",";
    body_ += json;
    return *this;
}

}  // namespace cairn::client::ctl
