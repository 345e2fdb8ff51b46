// A small deterministic random generator: xoshiro256**, seeded by splitmix64.
// One owner, no thread safety. Not for secrets.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "base/assert.h"

namespace cairn {

// One step of splitmix64; also a fair 64-bit mixer.
constexpr std::uint64_t splitmix64(std::uint64_t& state) {
    state += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
}

class Prng {
  public:
    explicit constexpr Prng(std::uint64_t seed) : seed_(seed) {
        for (auto& word : state_) {
            word = splitmix64(seed);
        }
    }

    // A generator of its own for one purpose: draws from it do not shift those of others.
    [[nodiscard]] constexpr Prng split(std::string_view label) const {
        std::uint64_t hash = 0xcbf29ce484222325U ^ seed_;
        for (char c : label) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
        }
        return Prng(splitmix64(hash));
    }

    constexpr std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Uniform in [0, bound); bound > 0.
    constexpr std::uint64_t below(std::uint64_t bound) {
        CAIRN_ASSERT(bound > 0);
        // The bias of the multiply-shift method is under 2^-32 for bounds under 2^32.
        return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64U);
    }

    // Uniform in [low, high], both included.
    constexpr std::uint64_t between(std::uint64_t low, std::uint64_t high) {
        CAIRN_ASSERT(low <= high);
        return low + below(high - low + 1);
    }

    // True `count` times out of `of`.
    constexpr bool chance(std::uint64_t count, std::uint64_t of) { return below(of) < count; }

  private:
    __extension__ using Wide = unsigned __int128;

    std::uint64_t seed_;
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace cairn
