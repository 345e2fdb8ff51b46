#include "server/net/response_budget.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <malloc.h>

namespace cairn::server::net {
namespace {

// A buffer's first size, about.
constexpr std::size_t kFirstRoomBytes = 256;
// So many waiters are looked through for those that have gone.
constexpr std::size_t kSweepAtMin = 64;
// Blocks from the first size on are the system's own; up to so much stays free at a heap's end.
constexpr int kOwnBlockBytes = 4 * 1024 * 1024;
constexpr int kKeptBytes = 16 * 1024 * 1024;

}  // namespace

void give_back_large_blocks() {
    // Refused, everything works, with more memory.
    static_cast<void>(mallopt(M_MMAP_THRESHOLD, kOwnBlockBytes));
    static_cast<void>(mallopt(M_TRIM_THRESHOLD, kKeptBytes));
}

ResponseBudget::ResponseBudget(boost::asio::any_io_executor reactor, std::uint64_t bytes_max)
    : reactor_(std::move(reactor)), bytes_max_(bytes_max) {}

std::uint64_t ResponseBudget::ceiling(std::uint64_t total) const {
    if (total > kSmallBytesMax) {
        return answer_bytes_max();
    }
    return total >= kFirstWriteClaim ? bytes_max_ - bytes_max_ / 16 : bytes_max_;
}

bool ResponseBudget::take(std::uint64_t bytes, std::uint64_t total) {
    const std::uint64_t most = ceiling(total);
    std::uint64_t held = held_.load();
    do {
        if (bytes > most || held > most - bytes) {
            return false;
        }
    } while (!held_.compare_exchange_weak(held, held + bytes));
    return true;
}

// Together with wait() no waiter is missed: either this sees has_waiters_, or whoever set it sees
// the bytes that this gave back (both sequentially consistent).
void ResponseBudget::give_back(std::uint64_t bytes) {
    if (bytes == 0) {
        return;
    }
    held_.fetch_sub(bytes);
    if (has_waiters_.load()) {
        wake_soon();
    }
}

std::shared_ptr<const Bytes> ResponseBudget::keep(Bytes answer) {
    struct Kept {
        Kept(Bytes moved, std::shared_ptr<ResponseBudget> of)
            : bytes(std::move(moved)), budget(std::move(of)) {
            budget->held_.fetch_add(bytes.size());
        }
        ~Kept() { budget->give_back(bytes.size()); }
        Kept(const Kept&) = delete;
        Kept& operator=(const Kept&) = delete;

        const Bytes bytes;
        const std::shared_ptr<ResponseBudget> budget;
    };
    const auto kept = std::make_shared<const Kept>(std::move(answer), shared_from_this());
    return {kept, &kept->bytes};
}

std::shared_ptr<const void> ResponseBudget::claim_for_write(std::uint64_t bytes) {
    struct Claim {
        Claim(std::shared_ptr<ResponseBudget> of, std::uint64_t size)
            : budget(std::move(of)), bytes(size) {}
        ~Claim() { budget->give_back(bytes); }
        Claim(const Claim&) = delete;
        Claim& operator=(const Claim&) = delete;

        const std::shared_ptr<ResponseBudget> budget;
        const std::uint64_t bytes;
    };
    if (!take(bytes, bytes)) {
        return nullptr;
    }
    return std::make_shared<const Claim>(shared_from_this(), bytes);
}

std::uint64_t ResponseBudget::next_write_claim(std::uint64_t claim) const {
    const std::uint64_t most = 2 * write_answer_bytes_max();
    if (claim >= most) {
        return 0;
    }
    // A try that is too little costs every member as much as it claims, so the last one comes soon.
    const std::uint64_t next = claim == 0 ? kFirstWriteClaim : claim * kWriteClaimGrowth;
    return next > most / 4 ? most : next;
}

Error ResponseBudget::no_room() {
    return {Errc::kMessageTooLarge,
            "cairn: no room for the answer (--experimental-response-budget-bytes): clients have "
            "not yet read earlier ones; try again later"};
}

Error ResponseBudget::too_long_write() const {
    return {Errc::kMessageTooLarge,
            fmt::format("cairn: the answer of one write may have {} bytes, three eighths of "
                        "--experimental-response-budget-bytes, this one needs more; ask for less "
                        "at once",
                        write_answer_bytes_max())};
}

bool ResponseBudget::has_room(std::uint64_t bytes) const {
    const std::uint64_t least = std::max(bytes, kCountedBytesMin);
    const std::uint64_t most = ceiling(least);
    return least <= most && held_.load() <= most - least;
}

void ResponseBudget::wait(std::weak_ptr<Waiter> waiter) {
    if (waiters_.size() >= sweep_at_) {
        std::erase_if(waiters_, [](const auto& weak) { return weak.expired(); });
        sweep_at_ = std::max(kSweepAtMin, 2 * waiters_.size());
    }
    waiters_.push_back(std::move(waiter));
    has_waiters_.store(true);
}

void ResponseBudget::wake_soon() {
    if (!wake_posted_.exchange(true)) {
        boost::asio::post(reactor_, [self = shared_from_this()] { self->wake(); });
    }
}

void ResponseBudget::wake() {
    wake_posted_.store(false);
    has_waiters_.store(false);
    for (const auto& weak : std::exchange(waiters_, {})) {
        if (const auto waiter = weak.lock(); waiter != nullptr) {
            waiter->on_room();
        }
    }
}

void ResponseBudget::stop() {
    waiters_.clear();
    has_waiters_.store(false);
}

HeldAnswer::HeldAnswer(std::shared_ptr<ResponseBudget> budget,
                       std::shared_ptr<const std::atomic<bool>> wanted)
    : budget_(std::move(budget)), wanted_(std::move(wanted)) {}

HeldAnswer::~HeldAnswer() { budget_->give_back(charged_); }

Result<void> HeldAnswer::go_on() {
    if (wanted_ != nullptr && !wanted_->load(std::memory_order_relaxed)) {
        return Errc::kCanceled;
    }
    return ok();
}

Result<void> HeldAnswer::grow(std::uint64_t bytes) {
    CAIRN_TRY(go_on());
    const std::uint64_t total = used_ + bytes;
    const std::uint64_t free = std::max(charged_, ResponseBudget::kCountedBytesMin);
    if (total > free) {
        if (!budget_->take(total - charged_, total)) {
            short_of_ = total;
            return Error{Errc::kMessageTooLarge,
                         fmt::format("cairn: one answer may take {} bytes of "
                                     "--experimental-response-budget-bytes, this one needs more; "
                                     "ask for less at once",
                                     budget_->answer_bytes_max())};
        }
        charged_ = total;
    }
    used_ = total;
    return ok();
}

void HeldAnswer::shrink(std::uint64_t bytes) {
    used_ -= std::min(used_, bytes);
    charge_only(std::max(used_, reserved_));
}

// Sizes are what one answer may take, halved so and so often: the largest answer that may be then
// just fits, which doubling from anywhere else would miss by up to a half.
std::size_t HeldAnswer::room_for(std::size_t bytes) const {
    std::size_t room = budget_->answer_bytes_max();
    if (bytes > room) {
        return 2 * bytes;  // as a string does by itself: more than there can ever be
    }
    while (room / 2 >= std::max(bytes, kFirstRoomBytes)) {
        room /= 2;
    }
    return room;
}

bool HeldAnswer::reserve(std::uint64_t bytes) {
    if (bytes == 0) {
        return true;
    }
    if (!budget_->take(bytes, bytes)) {
        return false;
    }
    charged_ = bytes;
    reserved_ = bytes;
    return true;
}

void HeldAnswer::settle() {
    reserved_ = 0;
    charge_only(used_);
}

void HeldAnswer::drop() {
    // By swap: an assigned empty string may keep its memory.
    std::string().swap(body);
    used_ = 0;
    settle();
}

void HeldAnswer::charge_only(std::uint64_t bytes) {
    const std::uint64_t left = bytes < ResponseBudget::kCountedBytesMin ? 0 : bytes;
    if (charged_ > left) {
        budget_->give_back(charged_ - left);
        charged_ = left;
    }
}

}  // namespace cairn::server::net
