// Cuts the input of a fuzz target into several, so that what one does to a store the next one sees.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace cairn {

struct FuzzPiece {
    unsigned kind{};
    std::string_view bytes;
};

// One byte of kind, two of length (little-endian), then that many bytes or what is left of them.
inline std::vector<FuzzPiece> cut_into_pieces(std::string_view input, std::size_t count_max) {
    std::vector<FuzzPiece> pieces;
    while (input.size() >= 3 && pieces.size() < count_max) {
        const unsigned kind = static_cast<unsigned char>(input[0]);
        const std::size_t wanted = static_cast<unsigned char>(input[1]) |
                                   static_cast<std::size_t>(static_cast<unsigned char>(input[2]))
                                       << 8U;
        const std::size_t length = std::min(wanted, input.size() - 3);
        pieces.push_back({kind, input.substr(3, length)});
        input.remove_prefix(3 + length);
    }
    return pieces;
}

}  // namespace cairn
