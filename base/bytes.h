// Immutable, reference-counted byte buffers: sliced and shared without copying.
// Safe to share between threads (the count is atomic); the bytes never change after creation.
// Never hands out a mutable pointer once a second owner can exist.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace cairn {

// A borrowed run of bytes; the owner must outlive it.
using ByteView = std::string_view;

// A slice of an immutable buffer. Copying shares the buffer; one allocation per buffer.
class Bytes {
  public:
    Bytes() = default;
    // Copies `view` into a new buffer.
    static Bytes copy_of(ByteView view);
    // Copies the two parts, one after the other, into one new buffer.
    static Bytes concat(ByteView head, ByteView tail);
    // A buffer of `size` bytes that `fill(char*)` writes before anybody else can see it.
    template <class Fill>
    static Bytes build(std::size_t size, Fill&& fill) {
        Bytes bytes = allocate(size);
        if (size > 0) {
            std::forward<Fill>(fill)(bytes.block_data());
        }
        return bytes;
    }

    Bytes(const Bytes& other) noexcept;
    Bytes(Bytes&& other) noexcept;
    Bytes& operator=(const Bytes& other) noexcept;
    Bytes& operator=(Bytes&& other) noexcept;
    ~Bytes();

    [[nodiscard]] ByteView view() const { return {data_, size_}; }
    [[nodiscard]] const char* data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    // The `count` bytes from `offset`; shares the buffer. Both must lie inside.
    [[nodiscard]] Bytes slice(std::size_t offset, std::size_t count) const;

    bool operator==(const Bytes& other) const { return view() == other.view(); }

  private:
    struct Block {
        std::atomic<std::uint32_t> owners{1};
    };
    static Bytes allocate(std::size_t size);
    char* block_data() { return const_cast<char*>(data_); }
    void release() noexcept;

    Block* block_ = nullptr;
    const char* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace cairn
