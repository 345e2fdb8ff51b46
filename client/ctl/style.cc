#include "client/ctl/style.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace cairn::client::ctl {
namespace {

// ECMA-48, "select graphic rendition".
int code_of(Paint paint) {
    switch (paint) {
        case Paint::kBold: return 1;
        case Paint::kRed: return 31;
        case Paint::kGreen: return 32;
        case Paint::kYellow: return 33;
        case Paint::kCyan: return 36;
    }
    return 0;
}

}  // namespace

std::string painted(bool on, Paint paint, std::string_view text) {
    return on ? fmt::format("\x1b[{}m{}\x1b[0m", code_of(paint), text) : std::string(text);
}

std::string with_bold_headings(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        const bool heading = line.size() > 1 && line.front() != ' ' && line.back() == ':';
        result += painted(heading, Paint::kBold, line);
        result += end < text.size() ? "\n" : "";
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return result;
}

}  // namespace cairn::client::ctl
