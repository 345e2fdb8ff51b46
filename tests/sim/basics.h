// What every part of the simulator shares: virtual time, the trace hash, the first violation.
// One world owns one of each; one thread.
// Never looks at a real clock.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace cairn::sim {

using Time = std::uint64_t;       // virtual microseconds
using NodeIndex = std::uint32_t;  // position of a node in its cluster, from 0

// Proves that two runs were the same: everything that happens is mixed in, in order.
class TraceHash {
  public:
    void mix(std::uint64_t value) {
        hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15U;
        hash_ ^= hash_ >> 32U;
    }
    [[nodiscard]] std::uint64_t value() const { return hash_; }

  private:
    std::uint64_t hash_ = 0x243f6a8885a308d3U;
};

// The first violated invariant; later ones are its consequences.
class Verdict {
  public:
    // `invariant` is an id of the list in check_safety.h, or a word.
    void fail(std::string invariant, std::string detail) {
        if (!failed()) {
            invariant_ = std::move(invariant);
            detail_ = std::move(detail);
        }
    }
    [[nodiscard]] bool failed() const { return !invariant_.empty(); }
    [[nodiscard]] const std::string& invariant() const { return invariant_; }
    [[nodiscard]] const std::string& detail() const { return detail_; }

  private:
    std::string invariant_;
    std::string detail_;
};

// A fair 64-bit hash of bytes, equal on all machines.
std::uint64_t hash_bytes(const char* data, std::size_t size, std::uint64_t seed);

}  // namespace cairn::sim
