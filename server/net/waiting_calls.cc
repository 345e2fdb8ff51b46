#include "server/net/waiting_calls.h"

#include <utility>

namespace cairn::server::net {

WaitingCalls::~WaitingCalls() {
    budget_->count_starved(-static_cast<std::int64_t>(starved_.size()));
}

void WaitingCalls::starve(wire::StreamId stream, std::uint64_t claim,
                          std::weak_ptr<ResponseBudget::Waiter> waiter) {
    const bool is_new = starved_.insert_or_assign(stream, claim).second;
    budget_->count_starved(is_new ? 1 : 0);
    ask(claim, std::move(waiter));
}

void WaitingCalls::ask(std::uint64_t claim, std::weak_ptr<ResponseBudget::Waiter> waiter) {
    if (!std::exchange(asked_, true)) {
        budget_->wait(std::move(waiter));
    }
    // It may have come since it was last looked for.
    if (budget_->has_room(claim)) {
        budget_->wake_soon();
    }
}

std::optional<wire::StreamId> WaitingCalls::take_fed(std::weak_ptr<ResponseBudget::Waiter> waiter) {
    if (starved_.empty()) {
        return std::nullopt;
    }
    const auto [stream, claim] = *starved_.begin();
    if (!budget_->has_room(claim)) {
        ask(claim, std::move(waiter));
        return std::nullopt;
    }
    starved_.erase(starved_.begin());
    budget_->count_starved(-1);
    return stream;
}

std::vector<wire::StreamId> WaitingCalls::starved() const {
    std::vector<wire::StreamId> streams;
    for (const auto& [stream, claim] : starved_) {
        streams.push_back(stream);
    }
    return streams;
}

// Nothing is given back when the first leaves, so nobody else would tell the next, for whose
// smaller claim there may be room.
void WaitingCalls::remove(wire::StreamId stream) {
    held_.erase(stream);
    const auto found = starved_.find(stream);
    if (found == starved_.end()) {
        return;
    }
    const bool was_first = found == starved_.begin();
    starved_.erase(found);
    budget_->count_starved(-1);
    if (was_first && !starved_.empty()) {
        budget_->wake_soon();
    }
}

}  // namespace cairn::server::net
