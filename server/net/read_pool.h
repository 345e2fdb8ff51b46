// Threads for reads that may take long or wait for the disk.
// Owned by the Node; submit from the reactor, the work runs on the pool's threads.
// Never queues without bound.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace cairn::server::net {

class ReadPool {
  public:
    // Two, so that one long scan or hash does not hold up every list.
    static constexpr std::size_t kThreads = 2;

    // Shared by who asked and the pool: false once the answer is of no use to anybody.
    using Wanted = std::shared_ptr<std::atomic<bool>>;
    static Wanted want() { return std::make_shared<std::atomic<bool>>(true); }

    ReadPool() : threads_(kThreads) {}

    // `work` is called with whether it is still wanted: it must come back to the reactor either
    // way, for it holds what may be destroyed there only. False: too many wait; nothing was queued.
    template <class Work>
    [[nodiscard]] bool submit(Wanted wanted, Work work) {
        if (waiting_.fetch_add(1, std::memory_order_relaxed) >= kWaitingMax) {
            waiting_.fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        boost::asio::post(threads_,
                          [this, wanted = std::move(wanted), work = std::move(work)]() mutable {
                              waiting_.fetch_sub(1, std::memory_order_relaxed);
                              work(wanted->load());
                          });
        return true;
    }

    // Drops what waits and ends when what runs has ended. Idempotent.
    void stop() {
        threads_.stop();
        threads_.join();
    }

  private:
    static constexpr std::size_t kWaitingMax = 4096;

    std::atomic<std::size_t> waiting_{0};
    boost::asio::thread_pool threads_;
};

}  // namespace cairn::server::net
