// WaitingCalls: the calls of one session whose answers must wait: behind what the session has still
// to send, or for room in the budget. In the order of their streams, in which their client began
// them; the first keeps the others of its session waiting, not those of other sessions.
// Owned by the ClientSession; on the reactor's thread.
// Never lets a call that leaves keep back the one behind it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "proto/wire/stream_event.h"
#include "server/net/response_budget.h"

namespace cairn::server::net {

class WaitingCalls {
  public:
    explicit WaitingCalls(std::shared_ptr<ResponseBudget> budget) : budget_(std::move(budget)) {}
    ~WaitingCalls();
    WaitingCalls(const WaitingCalls&) = delete;
    WaitingCalls& operator=(const WaitingCalls&) = delete;

    // Until earlier answers have left.
    void hold(wire::StreamId stream) { held_.insert(stream); }
    [[nodiscard]] bool has_held() const { return !held_.empty(); }
    // There is one.
    wire::StreamId take_held() { return held_.extract(held_.begin()).value(); }

    // Until there is room for `claim` bytes; `waiter` will be told when to look.
    void starve(wire::StreamId stream, std::uint64_t claim,
                std::weak_ptr<ResponseBudget::Waiter> waiter);
    // `waiter` was told: the first, if there is room for it now, else it waits on.
    std::optional<wire::StreamId> take_fed(std::weak_ptr<ResponseBudget::Waiter> waiter);
    // Before take_fed, once for each time that the waiter was told.
    void on_told() { asked_ = false; }
    [[nodiscard]] std::vector<wire::StreamId> starved() const;

    // The call waits for nothing any more.
    void remove(wire::StreamId stream);

  private:
    void ask(std::uint64_t claim, std::weak_ptr<ResponseBudget::Waiter> waiter);

    const std::shared_ptr<ResponseBudget> budget_;
    std::set<wire::StreamId> held_;
    std::map<wire::StreamId, std::uint64_t> starved_;  // and what it claims
    bool asked_ = false;                               // the waiter will be told
};

}  // namespace cairn::server::net
