// Empties a string or vector that is used again and again, and gives back what was for a large one.
// A pure function; any thread.
// Never by assignment: that of an empty std::string keeps the memory (libstdc++).
#pragma once

#include <cstddef>

namespace cairn {

template <class Buffer>
void empty_buffer(Buffer& buffer, std::size_t kept_bytes_max) {
    buffer.clear();
    if (buffer.capacity() * sizeof(typename Buffer::value_type) > kept_bytes_max) {
        Buffer().swap(buffer);
    }
}

}  // namespace cairn
