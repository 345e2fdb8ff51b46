#include "server/replica/transfers.h"

#include <algorithm>
#include <optional>

namespace cairn::server {

void Transfers::submit(const TransferLeader& transfer, raft::Raft& raft) {
    const auto answer = [&](std::optional<Errc> error) {
        calls_.answer(transfer.call, TransferDone{.error = error});
    };
    if (raft.role() != raft::Role::kLeader) {
        return answer(Errc::kNotLeader);
    }
    const std::vector<NodeId> voters = raft.status().conf.voters;
    const bool alone = voters.size() == 1 && voters.front() == raft.id();
    if (transfer.to == raft.id() || (!transfer.to && alone)) {
        return answer(std::nullopt);
    }
    if (transfer.to && !std::binary_search(voters.begin(), voters.end(), transfer.to)) {
        return answer(Errc::kBadLeaderTransferee);
    }
    if (calls_.full()) {
        return answer(Errc::kTooManyRequests);
    }
    waiters_.push_back(
        Waiter{.call = transfer.call, .to = transfer.to, .start_ticks = calls_.now_ticks()});
    calls_.open(transfer.call, CallSlot{.kind = CallKind::kTransfer, .number = 0});
    raft.step(raft::TransferLeader{.to = transfer.to});
}

void Transfers::cancel(CallId call) {
    std::erase_if(waiters_, [&](const Waiter& waiter) {
        if (waiter.call != call) {
            return false;
        }
        calls_.close(CallId{}, TransferDone{});
        return true;
    });
}

void Transfers::check(const raft::Raft& raft) {
    const NodeId leader = raft.leader();
    const bool moved = leader && leader != raft.id();
    std::erase_if(waiters_, [&](const Waiter& waiter) {
        const bool late = calls_.now_ticks() - waiter.start_ticks >= timeout_ticks_;
        if (!moved && !late) {
            return false;
        }
        const bool wanted = moved && (!waiter.to || waiter.to == leader);
        calls_.close(waiter.call,
                     TransferDone{.error = wanted ? std::nullopt
                                                  : std::optional(Errc::kTimeoutLeaderTransfer)});
        return true;
    });
}

}  // namespace cairn::server
