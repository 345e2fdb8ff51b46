// Hand-off between threads: many push, one takes everything at once.
// Any thread pushes; one thread takes. Order is kept.
// Never grows past its byte budget: a push over it is refused, and the caller decides.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace cairn {

template <class T>
class BoundedQueue {
  public:
    explicit BoundedQueue(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

    // False when closed, or when the queue holds something and `bytes` more would not fit.
    // A single item always fits, however large.
    [[nodiscard]] bool push(T item, std::uint64_t bytes) {
        bool was_empty = false;
        {
            const std::lock_guard lock(mutex_);
            if (closed_ || (!items_.empty() && bytes_ + bytes > bytes_max_)) {
                return false;
            }
            was_empty = items_.empty();
            items_.push_back(std::move(item));
            bytes_ += bytes;
        }
        // A taker that is awake takes everything, so only the first item needs to wake it.
        if (was_empty) {
            ready_.notify_one();
        }
        return true;
    }

    // Waits until there is something, then swaps it all into `out` (cleared first).
    // False when closed and drained: the taker ends.
    bool take_all(std::vector<T>& out) {
        out.clear();
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return !items_.empty() || closed_ || poked_; });
        return swap_out(out);
    }

    // As take_all, without waiting.
    bool try_take_all(std::vector<T>& out) {
        out.clear();
        const std::lock_guard lock(mutex_);
        return swap_out(out);
    }

    // No more pushes; what is in it is still taken.
    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        ready_.notify_all();
    }

    // Wakes the taker once with nothing.
    void poke() {
        {
            const std::lock_guard lock(mutex_);
            poked_ = true;
        }
        ready_.notify_one();
    }

    [[nodiscard]] std::uint64_t bytes() const {
        const std::lock_guard lock(mutex_);
        return bytes_;
    }

  private:
    bool swap_out(std::vector<T>& out) {
        poked_ = false;
        if (items_.empty()) {
            return !closed_;
        }
        std::swap(out, items_);
        bytes_ = 0;
        return true;
    }

    const std::uint64_t bytes_max_;
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::vector<T> items_;
    std::uint64_t bytes_ = 0;
    bool closed_ = false;
    bool poked_ = false;
};

}  // namespace cairn
