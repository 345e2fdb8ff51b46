// ReadGuard: what a long read asks of its caller on the way: whether anybody still wants the
// answer, and whether it may take more memory for it.
// Made by the caller for one read; called on the read's thread. Reads without one are not bounded.
// Never waits: a read that gets an error gives up everything it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace cairn::storage::mvcc {

// Keys (or versions) between two looks: with the largest values some ten milliseconds.
inline constexpr std::uint64_t kKeysPerLook = 16;

class ReadGuard {
  public:
    virtual ~ReadGuard() = default;
    // Error: kCanceled, nobody wants the answer any more.
    [[nodiscard]] virtual Result<void> go_on() = 0;
    // Before the read takes `bytes` more. Error: kMessageTooLarge, there is no room for them.
    [[nodiscard]] virtual Result<void> grow(std::uint64_t bytes) = 0;
    // The read has freed so much of it.
    virtual void shrink(std::uint64_t bytes) = 0;
    // How large to make a buffer that needs `bytes`.
    [[nodiscard]] virtual std::size_t room_for(std::size_t bytes) const = 0;
};

// Lets `buffer` take `bytes` more without growing by itself. A buffer at least doubles, so its new
// capacity also covers the moment when the old content is there twice: what is not written yet is
// no memory.
inline Result<void> make_room(std::string& buffer, std::size_t bytes, ReadGuard* guard) {
    const std::size_t needed = buffer.size() + bytes;
    if (guard == nullptr || needed <= buffer.capacity()) {
        return ok();
    }
    const std::size_t room = guard->room_for(needed);
    CAIRN_TRY(guard->grow(room - buffer.capacity()));
    buffer.reserve(room);
    return ok();
}

}  // namespace cairn::storage::mvcc
