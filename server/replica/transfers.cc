#include "server/replica/transfers.h"

#include <optional>

namespace cairn::server {

void Transfers::submit(const TransferLeader& transfer, raft::Raft& raft) {
    if (calls_.full()) {
        calls_.answer(transfer.call, TransferDone{.error = Errc::kTooManyRequests});
        return;
    }
    const bool start = waiters_.empty();
    waiters_.push_back(Waiter{.call = transfer.call, .to = transfer.to});
    calls_.open(transfer.call, CallSlot{.kind = CallKind::kTransfer, .number = 0});
    if (start) {
        raft.step(raft::TransferLeader{.to = transfer.to});
    }
}

void Transfers::cancel(CallId call) {
    for (Waiter& waiter : waiters_) {
        if (waiter.call == call) {
            waiter.call = CallId{};  // its place stays: the transfer goes on
        }
    }
}

void Transfers::on_result(const raft::TransferResult& result) {
    // Who joined a transfer to somebody else did not get what it asked for.
    for (const Waiter& waiter : waiters_) {
        std::optional<Errc> error = result.error;
        if (!error && waiter.to && waiter.to != result.to) {
            error = Errc::kTimeoutLeaderTransfer;
        }
        calls_.close(waiter.call, TransferDone{.error = error});
    }
    waiters_.clear();
}

}  // namespace cairn::server
