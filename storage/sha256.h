// SHA-256: the checksum of what users keep, as etcd's tools have it.
// A value; one thread at a time. Never for the log or the wire between members: XXH3 is faster.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace cairn::storage {

inline constexpr std::size_t kSha256Bytes = 32;

// Of bytes that come in pieces.
class Sha256 {
  public:
    Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();

    void add(ByteView bytes);
    // Of everything added so far: kSha256Bytes, not hexadecimal.
    [[nodiscard]] std::string value() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace cairn::storage
