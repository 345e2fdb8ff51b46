#include "client/ctl/text_table.h"

#include <algorithm>
#include <cstddef>

#include "client/ctl/style.h"

namespace cairn::client::ctl {
namespace {

// Characters, not bytes: of UTF-8, every byte that does not continue one.
std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

std::string rule(const std::vector<std::size_t>& widths) {
    std::string line = "+";
    for (const std::size_t width : widths) {
        line += std::string(width + 2, '-') + "+";
    }
    return line + "\n";
}

std::string capitals(std::string text) {
    for (char& letter : text) {
        letter = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    }
    return text;
}

}  // namespace

std::string draw_table(bool bold, const std::vector<std::string>& titles,
                       const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (std::size_t column = 0; column < titles.size(); ++column) {
        std::size_t width = width_of(titles[column]);
        for (const auto& row : rows) {
            width = std::max(width, width_of(row[column]));
        }
        widths.push_back(width);
    }
    std::string text = rule(widths) + "|";
    for (std::size_t column = 0; column < titles.size(); ++column) {
        const std::size_t space = widths[column] - width_of(titles[column]);
        text += std::string(space / 2 + 1, ' ') +
                painted(bold, Paint::kBold, capitals(titles[column])) +
                std::string(space - space / 2 + 1, ' ') + "|";
    }
    text += "\n" + rule(widths);
    for (const auto& row : rows) {
        text += "|";
        for (std::size_t column = 0; column < titles.size(); ++column) {
            text +=
                std::string(widths[column] - width_of(row[column]) + 1, ' ') + row[column] + " |";
        }
        text += "\n";
    }
    return text + rule(widths);
}

}  // namespace cairn::client::ctl
