#include "base/bytes.h"

#include <cstring>
#include <new>

#include "base/assert.h"

namespace cairn {

Bytes Bytes::allocate(std::size_t size) {
    Bytes bytes;
    if (size == 0) {
        return bytes;
    }
    void* memory = ::operator new(sizeof(Block) + size);
    bytes.block_ = new (memory) Block;
    bytes.data_ = static_cast<char*>(memory) + sizeof(Block);
    bytes.size_ = size;
    return bytes;
}

Bytes Bytes::copy_of(ByteView view) {
    return build(view.size(), [&](char* out) { std::memcpy(out, view.data(), view.size()); });
}

Bytes Bytes::concat(ByteView head, ByteView tail) {
    return build(head.size() + tail.size(), [&](char* out) {
        if (!head.empty()) {
            std::memcpy(out, head.data(), head.size());
        }
        if (!tail.empty()) {
            std::memcpy(out + head.size(), tail.data(), tail.size());
        }
    });
}

Bytes::Bytes(const Bytes& other) noexcept
    : block_(other.block_), data_(other.data_), size_(other.size_) {
    if (block_ != nullptr) {
        block_->owners.fetch_add(1, std::memory_order_relaxed);
    }
}

Bytes::Bytes(Bytes&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Bytes& Bytes::operator=(const Bytes& other) noexcept {
    Bytes copy(other);
    *this = std::move(copy);
    return *this;
}

Bytes& Bytes::operator=(Bytes&& other) noexcept {
    if (this != &other) {
        release();
        block_ = std::exchange(other.block_, nullptr);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Bytes::~Bytes() { release(); }

void Bytes::release() noexcept {
    if (block_ != nullptr && block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        block_->~Block();
        ::operator delete(static_cast<void*>(block_));
    }
    block_ = nullptr;
}

Bytes Bytes::slice(std::size_t offset, std::size_t count) const {
    CAIRN_ASSERT(offset <= size_ && count <= size_ - offset);
    Bytes part(*this);
    part.data_ += offset;
    part.size_ = count;
    return part;
}

}  // namespace cairn
