#include "golden_bytes.h"

#include <cctype>
#include <cstddef>
#include <fstream>

#include "catch.h"

namespace cairn::test {
namespace {

constexpr const char* kDigits = "0123456789abcdef";

// Every two digits one byte, blanks between.
std::string spaced(const std::string& digits) {
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        text += i > 0 && i % 2 == 0 ? " " : "";
        text += digits[i];
    }
    return text;
}

std::string without_blanks(const std::string& text) {
    std::string digits;
    for (const char c : text) {
        if (std::isspace(static_cast<unsigned char>(c)) == 0) {
            digits += c;
        }
    }
    return digits;
}

}  // namespace

std::string hex(ByteView bytes) {
    std::string digits;
    for (const char c : bytes) {
        digits += kDigits[static_cast<unsigned char>(c) >> 4U];
        digits += kDigits[static_cast<unsigned char>(c) & 15U];
    }
    return spaced(digits);
}

GoldenBytes::GoldenBytes(const std::string& page) {
    std::ifstream file(std::string(CAIRN_SOURCE_DIR "/docs/formats/") + page);
    REQUIRE(file.is_open());
    bool inside = false;
    std::string name;
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("```", 0) == 0) {
            inside = line == "```golden";
            continue;
        }
        if (!inside || line.empty()) {
            continue;
        }
        line = line.substr(0, line.find('#'));
        if (line.front() != ' ') {
            const std::size_t end = line.find("  ");
            name = line.substr(0, end);
            line = end == std::string::npos ? "" : line.substr(end);
            INFO("shown twice: " << name);
            REQUIRE(shown_.emplace(name, "").second);
        }
        shown_[name] += without_blanks(line);
    }
    REQUIRE_FALSE(shown_.empty());
}

void GoldenBytes::expect(const std::string& name, ByteView bytes) {
    INFO(name);
    used_.insert(name);
    const auto found = shown_.find(name);
    CHECK(hex(bytes) == (found == shown_.end() ? "not shown" : spaced(found->second)));
}

std::string GoldenBytes::bytes(const std::string& name) {
    INFO(name);
    used_.insert(name);
    REQUIRE(shown_.count(name) == 1);
    const std::string& digits = shown_[name];
    REQUIRE_FALSE(digits.empty());
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    }
    return bytes;
}

void GoldenBytes::expect_all_used() const {
    for (const auto& [name, digits] : shown_) {
        INFO("shown but not checked: " << name);
        CHECK(used_.count(name) == 1);
    }
}

}  // namespace cairn::test
