// Strong integers: a term cannot be passed where an index is wanted.
// Values; free of threads and of any domain.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace cairn {

// An unsigned 64-bit integer that only compares with, and converts to, its own kind.
template <class Tag>
struct Tagged {
    std::uint64_t value{};

    constexpr auto operator<=>(const Tagged&) const = default;

    // Counting is allowed; mixing kinds is not.
    constexpr Tagged operator+(std::uint64_t step) const { return Tagged{value + step}; }
    constexpr Tagged operator-(std::uint64_t step) const { return Tagged{value - step}; }
    constexpr std::uint64_t operator-(Tagged other) const { return value - other.value; }
    constexpr Tagged& operator++() {
        ++value;
        return *this;
    }
    constexpr explicit operator bool() const { return value != 0; }
};

}  // namespace cairn

template <class Tag>
struct std::hash<cairn::Tagged<Tag>> {
    std::size_t operator()(cairn::Tagged<Tag> tagged) const noexcept {
        return std::hash<std::uint64_t>{}(tagged.value);
    }
};
