// Threads for reads that may take long or wait for the disk.
// Owned by the Node; submit from the reactor, the work runs on the pool's threads.
// Never queues without bound.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace cairn::server::net {

class ReadPool {
  public:
    // Two, so that one long scan does not hold up every list. Hashes go one by one for the same.
    static constexpr std::size_t kThreads = 2;
    enum class Pace : std::uint8_t { kAny, kOneByOne };

    // Shared by who asked and the pool: false once the answer is of no use to anybody.
    using Wanted = std::shared_ptr<std::atomic<bool>>;
    static Wanted want() { return std::make_shared<std::atomic<bool>>(true); }

    ReadPool() : threads_(kThreads) {}

    // `work` is called with whether it is still wanted: it must come back to the reactor either
    // way, for it holds what may be destroyed there only. False: too many wait; nothing was queued.
    // Of those with Pace::kOneByOne one runs at a time, and the others take no thread meanwhile.
    template <class Work>
    [[nodiscard]] bool submit(Wanted wanted, Work work, Pace pace = Pace::kAny) {
        if (waiting_.fetch_add(1, std::memory_order_relaxed) >= kWaitingMax) {
            waiting_.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        auto run = [this, wanted, work = std::move(work)]() mutable {
            waiting_.fetch_sub(1, std::memory_order_relaxed);
            work(wanted->load());
        };
        if (pace == Pace::kAny) {
            boost::asio::post(threads_, std::move(run));
        } else if (!submit_next({std::move(wanted), std::move(run)})) {
            waiting_.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        return true;
    }

    // Drops what waits and ends when what runs has ended. Idempotent.
    void stop() {
        threads_.stop();
        threads_.join();
    }

  private:
    static constexpr std::size_t kWaitingMax = 4096;
    static constexpr std::size_t kOneByOneMax = 64;  // or they would leave no place for others

    struct Next {
        Wanted wanted;
        std::function<void()> run;
    };

    bool submit_next(Next next) {
        const std::lock_guard lock(next_lock_);
        if (next_.size() >= kOneByOneMax) {
            release_unwanted();
        }
        if (next_.size() >= kOneByOneMax) {
            return false;
        }
        next_.push_back(std::move(next));
        if (next_.size() == 1) {
            post_next();
        }
        return true;
    }
    // Whoever asks again after a timeout has left one in the queue each time. They still come back
    // to the reactor, which is all that they do.
    void release_unwanted() {
        const auto kept = std::stable_partition(next_.begin() + 1, next_.end(),
                                                [](const Next& one) { return one.wanted->load(); });
        for (auto one = kept; one != next_.end(); ++one) {
            boost::asio::post(threads_, std::move(one->run));
        }
        next_.erase(kept, next_.end());
    }
    // It stays the first of next_ until it has ended.
    void post_next() {
        boost::asio::post(threads_, [this, run = std::move(next_.front().run)] {
            run();
            const std::lock_guard lock(next_lock_);
            next_.pop_front();
            if (!next_.empty()) {
                post_next();
            }
        });
    }

    std::atomic<std::size_t> waiting_{0};
    std::mutex next_lock_;
    std::deque<Next> next_;  // Invariant: the first is posted or runs.
    boost::asio::thread_pool threads_;
};

}  // namespace cairn::server::net
