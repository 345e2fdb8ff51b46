// ResponseBudget: the memory that answers to clients may take together, from the first byte a read
// writes until the socket has taken the last; HeldAnswer: one such answer.
// Shared by all sessions of a process and the threads that read; only waiting is for the reactor.
// Never lets a half-built answer wait for another one: a read that finds no room gives up what it
// has and may begin anew when there is more.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "storage/mvcc/read_guard.h"

namespace cairn::server::net {

// Tells the process's allocator to give large blocks back to the system as soon as they are freed;
// by itself it would keep some tens of MiB of them for each thread that reads. Before any other
// thread is there.
void give_back_large_blocks();

class ResponseBudget : public std::enable_shared_from_this<ResponseBudget> {
  public:
    // Who wants to know when there is room again. On the reactor's thread.
    class Waiter {
      public:
        virtual ~Waiter() = default;
        virtual void on_room() = 0;
    };

    // Smaller answers than the first are not counted: the call itself costs as much. Larger ones
    // than the second leave an eighth of the budget to the others, of which half is for those that
    // take less than a write claims at first.
    static constexpr std::uint64_t kCountedBytesMin = 1024;
    static constexpr std::uint64_t kSmallBytesMax = 256U * 1024U;
    // What a write claims at first, enough for nearly all, and how much more each next time: each
    // costs an entry of the log.
    static constexpr std::uint64_t kFirstWriteClaim = 128U * 1024U;
    static constexpr std::uint64_t kWriteClaimGrowth = 16;

    ResponseBudget(boost::asio::any_io_executor reactor, std::uint64_t bytes_max);

    // For an answer that takes `total` with them. False: nothing was taken.
    [[nodiscard]] bool take(std::uint64_t bytes, std::uint64_t total);
    void give_back(std::uint64_t bytes);
    // For an answer that cannot be refused any more: keeps it, counted even over the limit, for as
    // long as the pointer lives.
    [[nodiscard]] std::shared_ptr<const Bytes> keep(Bytes answer);

    // Once a write is applied its answer cannot be refused, so it takes what that may need before
    // it is proposed, and says in the log that it wants no effect if its answer would need more.
    // Null: there is no room; else taken for as long as the pointer lives.
    [[nodiscard]] std::shared_ptr<const void> claim_for_write(std::uint64_t bytes);
    // What to claim when `claim` was too little, 0: nothing yet. 0: that was all one write may
    // have.
    [[nodiscard]] std::uint64_t next_write_claim(std::uint64_t claim) const;
    // What an answer may have whose write claims so much: it is there twice while it is built.
    [[nodiscard]] static std::uint64_t bound_of(std::uint64_t write_claim) {
        return write_claim / 2;
    }
    [[nodiscard]] std::uint64_t write_answer_bytes_max() const { return bytes_max_ / 8 * 3; }

    // Whether an answer of `bytes` could begin now; 0: one whose size nobody knows yet.
    [[nodiscard]] bool has_room(std::uint64_t bytes) const;
    // The most that one answer may ever take.
    [[nodiscard]] std::uint64_t answer_bytes_max() const { return bytes_max_ - bytes_max_ / 8; }
    [[nodiscard]] std::uint64_t bytes_max() const { return bytes_max_; }
    // What a call is told that waited for room in vain, and a write that may never have enough.
    [[nodiscard]] static Error no_room();
    [[nodiscard]] Error too_long_write() const;
    [[nodiscard]] std::uint64_t held_bytes() const { return held_.load(); }

    // On the reactor. One call of on_room, once anything was given back after this call: look
    // whether there is room after it, not before.
    void wait(std::weak_ptr<Waiter> waiter);
    // Calls the waiters in the order in which they came.
    void wake_soon();
    [[nodiscard]] std::size_t waiters() const { return waiters_.size(); }
    // On the reactor. The calls that wait, of all sessions.
    void count_starved(std::int64_t more) { starved_ += more; }
    [[nodiscard]] bool is_short() const { return starved_ > 0; }
    // Wakes nobody any more: the reactor has stopped.
    void stop();

  private:
    [[nodiscard]] std::uint64_t ceiling(std::uint64_t total) const;
    void wake();

    const boost::asio::any_io_executor reactor_;
    const std::uint64_t bytes_max_;
    std::atomic<std::uint64_t> held_{0};
    std::atomic<bool> has_waiters_{false};
    std::atomic<bool> wake_posted_{false};
    // The reactor's. Invariant: fewer than sweep_at_, so at most twice those that live, and a few.
    std::vector<std::weak_ptr<Waiter>> waiters_;
    std::size_t sweep_at_ = 0;
    std::int64_t starved_ = 0;
};

// Used by one thread at a time: the one that reads, then the session's.
class HeldAnswer final : public storage::mvcc::ReadGuard {
  public:
    // `wanted` (null: always): false once nobody waits for the answer.
    HeldAnswer(std::shared_ptr<ResponseBudget> budget,
               std::shared_ptr<const std::atomic<bool>> wanted);
    ~HeldAnswer() override;
    HeldAnswer(const HeldAnswer&) = delete;
    HeldAnswer& operator=(const HeldAnswer&) = delete;

    [[nodiscard]] Result<void> go_on() override;
    [[nodiscard]] Result<void> grow(std::uint64_t bytes) override;
    void shrink(std::uint64_t bytes) override;
    [[nodiscard]] std::size_t room_for(std::size_t bytes) const override;

    // Takes before the read begins what an earlier try was short of. False: there is no room.
    [[nodiscard]] bool reserve(std::uint64_t bytes);
    // The answer is written: what was reserved and not needed goes back.
    void settle();
    // The read failed: everything goes back.
    void drop();
    // What the answer would have had to take in all when there was no room; 0: there was.
    [[nodiscard]] std::uint64_t short_of_bytes() const { return short_of_; }

    std::string body;

  private:
    void charge_only(std::uint64_t bytes);

    const std::shared_ptr<ResponseBudget> budget_;
    const std::shared_ptr<const std::atomic<bool>> wanted_;
    std::uint64_t used_ = 0;      // what the read takes now
    std::uint64_t reserved_ = 0;  // what it may take without asking again
    std::uint64_t charged_ = 0;   // taken from the budget
    std::uint64_t short_of_ = 0;
};

}  // namespace cairn::server::net
