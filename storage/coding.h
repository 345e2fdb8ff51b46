// Integers as bytes: big-endian where order matters, varints where size does.
// Pure functions; any thread. The keys and values of docs/formats/keys.md are made of these.
// Never reads past the view it was given.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace cairn::storage {

inline void append_u32_be(std::string& out, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>(value >> static_cast<unsigned>(shift)));
    }
}

inline void append_u64_be(std::string& out, std::uint64_t value) {
    append_u32_be(out, static_cast<std::uint32_t>(value >> 32U));
    append_u32_be(out, static_cast<std::uint32_t>(value));
}

// Little-endian base 128, seven bits a byte: at most ten bytes.
inline void append_varint(std::string& out, std::uint64_t value) {
    while (value >= 0x80U) {
        out.push_back(static_cast<char>(value | 0x80U));
        value >>= 7U;
    }
    out.push_back(static_cast<char>(value));
}

// Takes bytes from the front of `in`; false (and an undefined `in`) when there are too few.
inline bool take_u32_be(ByteView& in, std::uint32_t& value) {
    if (in.size() < 4) {
        return false;
    }
    value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value = (value << 8U) | static_cast<unsigned char>(in[i]);
    }
    in.remove_prefix(4);
    return true;
}

inline bool take_u64_be(ByteView& in, std::uint64_t& value) {
    std::uint32_t high = 0;
    std::uint32_t low = 0;
    if (!take_u32_be(in, high) || !take_u32_be(in, low)) {
        return false;
    }
    value = (static_cast<std::uint64_t>(high) << 32U) | low;
    return true;
}

inline bool take_varint(ByteView& in, std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(in.front());
        in.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
        if (byte < 0x80U) {
            // The tenth byte has room for one bit only.
            return shift < 63 || byte <= 1;
        }
    }
    return false;
}

}  // namespace cairn::storage
