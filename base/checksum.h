// XXH3-64: the checksum of everything the project writes or sends by itself.
// Pure functions and a value; any thread. Finds accidents, not attackers.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace cairn {

std::uint64_t xxh3_64(ByteView bytes);

// The same of bytes that come in pieces.
class Xxh3Stream {
  public:
    Xxh3Stream();
    Xxh3Stream(Xxh3Stream&&) noexcept;
    Xxh3Stream& operator=(Xxh3Stream&&) noexcept;
    ~Xxh3Stream();

    void add(ByteView bytes);
    // Of everything added so far.
    [[nodiscard]] std::uint64_t value() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace cairn
