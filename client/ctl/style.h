// Colours for people: escape sequences around a text, or nothing at all.
// Pure; any thread. Must never decide by itself whether to paint: Streams::terminal says it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::client::ctl {

enum class Paint : std::uint8_t { kBold, kRed, kGreen, kYellow, kCyan };

// The text in that colour, or as it is unless `on`.
std::string painted(bool on, Paint paint, std::string_view text);
// Headings in bold: lines that begin with a letter and end with a colon.
std::string with_bold_headings(std::string_view text);

}  // namespace cairn::client::ctl
