// SimNode, its clients' calls: what server/net/client_session does with them, without the sockets.
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "proto/etcd/rpc_maintenance.pb.h"
#include "sim/sim_node.h"

namespace cairn::sim {
namespace {

// Virtual time began then.
constexpr std::int64_t kEpochNanos = 1'790'000'000'000'000'000;
constexpr std::int64_t kNanos = 1'000;     // in a unit of virtual time
constexpr std::uint64_t kReadersUs = 200;  // until a thread that reads gets to it, at most

}  // namespace

std::uint64_t SimNode::new_call(std::uint64_t op) {
    calls_.push_back(Call{.op = op});
    ++open_calls_;
    return calls_.size();
}

bool SimNode::call(std::uint64_t op, const Request& request) {
    if (!up()) {
        return false;
    }
    const server::api::Call call{
        .method = request.method,
        .request = Bytes::copy_of(request.op.request),
        .has_leader = request.has_leader,
        .client_api_version = {},
        .unix_nanos = kEpochNanos + static_cast<std::int64_t>(world_.queue.now()) * kNanos};
    server::Intent intent = dispatcher_->on_request(call, view());
    if (const auto* reject = std::get_if<server::Reject>(&intent)) {
        clients_.on_reply(op, server::api::format_error(reject->error), 0);
    } else if (auto* propose = std::get_if<server::Propose>(&intent)) {
        clients_.on_proposed(op, boot_, *propose);
        step(server::Submit{.call = CallId{new_call(op)},
                            .kind = propose->kind,
                            .request = std::move(propose->request)});
    } else if (auto* read = std::get_if<server::Read>(&intent)) {
        begin_read(op, std::move(*read));
    } else if (const auto* move = std::get_if<server::MoveLeader>(&intent)) {
        step(server::TransferLeader{.call = CallId{new_call(op)}, .to = move->to});
    } else {
        const auto& now = std::get<server::ReplyNow>(intent);  // nobody asks for a snapshot
        const std::int64_t revision = state_->view()->revision();
        clients_.on_reply(op, dispatcher_->format(now, revision, view().term), revision);
    }
    return true;
}

void SimNode::begin_read(std::uint64_t op, server::Read read) {
    const std::uint64_t call = new_call(op);
    const bool waits = read_gate_.needs_grant(read) &&
                       !(read.linearizable && sabotaged(Sabotage::kReadWithoutIndex));
    reads_.emplace(call, WaitingRead{.read = std::move(read)});
    if (waits) {
        return step(server::SubmitRead{.call = CallId{call}});
    }
    calls_[call - 1].answered = true;
    --open_calls_;
    run_read(call);
}

// One that looks at a single key runs at once, the others a little later beside the replica.
void SimNode::run_read(std::uint64_t call) {
    WaitingRead& it = reads_.at(call);
    it.facts.identity = dispatcher_->identity();
    it.facts.node = view();
    if (it.read.point) {
        return answer_read(call);
    }
    after(prng_.below(kReadersUs), NodeEventKind::kReadRun, call);
}

void SimNode::answer_read(std::uint64_t call) {
    const auto it = reads_.extract(call);
    const auto view = state_->view();
    const WaitingRead& waiting = it.mapped();
    clients_.on_reply(calls_[call - 1].op,
                      server::api::answer_read(waiting.read, *view, waiting.facts),
                      view->revision());
}

void SimNode::on_completion(const server::Completion& completion) {
    const std::uint64_t call = completion.call.value;
    if (call == 0 || call > calls_.size() || calls_[call - 1].answered) {
        return world_.verdict.fail("R3", fmt::format("node {}: call {} is answered twice or was "
                                                     "never made",
                                                     index_, call));
    }
    Call& it = calls_[call - 1];
    it.answered = true;
    if (it.cancelled) {
        return;
    }
    --open_calls_;
    world_.trace.mix(it.op * 8 + completion.result.index());
    if (const auto* granted = std::get_if<server::ReadGranted>(&completion.result)) {
        if (state_->view()->applied().index < granted->applied) {
            return world_.verdict.fail("R1", "a read is granted before its index is applied");
        }
        read_gate_.on_granted();
        return run_read(call);
    }
    reads_.erase(call);
    const auto* outcome = std::get_if<server::ProposalOutcome>(&completion.result);
    std::int64_t seen = 0;
    if (outcome != nullptr) {
        const auto* unknown = std::get_if<server::Unknown>(outcome);
        const auto* applied = std::get_if<server::Applied>(outcome);
        seen = applied != nullptr ? applied->revision : 0;
        clients_.on_outcome(it.op, unknown != nullptr && sabotaged(Sabotage::kLieNotApplied)
                                       ? server::NotApplied{unknown->reason}
                                       : *outcome);
    }
    clients_.on_reply(it.op, dispatcher_->format(completion), seen);
}

void SimNode::cancel(std::uint64_t op) {
    for (std::size_t at = 0; at < calls_.size(); ++at) {
        if (calls_[at].op == op && !calls_[at].answered && !calls_[at].cancelled) {
            calls_[at].cancelled = true;
            reads_.erase(at + 1);
            --open_calls_;
            return step(server::Cancel{.call = CallId{at + 1}});
        }
    }
}

void SimNode::transfer(NodeId to) {
    if (!up()) {
        return;
    }
    if (!to) {
        return step(server::TransferLeader{.call = CallId{new_call(0)}, .to = to});
    }
    etcdserverpb::MoveLeaderRequest request;
    request.set_targetid(to.value);
    call(0, Request{.op = {.request = request.SerializeAsString()},
                    .method = wire::MethodId::kMaintenanceMoveLeader});
}

}  // namespace cairn::sim
