#include "diff/pair.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "diff/ties.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {
namespace {

// 0 where the answer has no header.
std::int64_t revision_of(const Message& response) {
    const auto* header = response.GetDescriptor()->FindFieldByName("header");
    if (header == nullptr) {
        return 0;
    }
    const auto& message = response.GetReflection()->GetMessage(response, header);
    return dynamic_cast<const etcdserverpb::ResponseHeader&>(message).revision();
}

}  // namespace

Exchange Exchange::copy() const {
    return {.step = step, .etcd = etcd.copy(), .cairn = cairn.copy(), .candidates = candidates};
}

// Both know etcd's flags. Fast ticks make a lone member lead at once.
Pair::Server::Server(const std::string& program, const std::string& mutant)
    : cluster(1, program, {"--heartbeat-interval=10", "--election-timeout=100"}),
      channel(cluster.endpoints().front()) {
    if (!mutant.empty()) {
        cluster.use(program, {{"CAIRN_MUTANT", mutant}});
    }
    start();
    wait_until_serving();  // the next one finds the ports taken
}

void Pair::Server::start() {
    channel.close();
    cluster.start(0);
}

// Who it is, it says itself, and keeps to over a restart; the term alone may rise.
void Pair::Server::wait_until_serving() {
    cluster.wait_until_all_serve();
    const auto answer = call(step_of(etcdserverpb::MemberListRequest()));
    const auto* list = dynamic_cast<const etcdserverpb::MemberListResponse*>(answer.response.get());
    if (list == nullptr || list->members_size() != 1) {
        throw process::Failure{"no list of one member: " + describe(answer)};
    }
    const Identity now{.cluster_id = list->header().cluster_id(),
                       .member_id = list->members(0).id(),
                       .raft_term = list->header().raft_term()};
    const bool known = identity.cluster_id != 0;
    if (known && (now.cluster_id != identity.cluster_id || now.member_id != identity.member_id ||
                  now.raft_term < identity.raft_term)) {
        throw process::Failure{"another member after the restart: " + describe(answer)};
    }
    identity = now;
}

Answer Pair::Server::call(const Step& step) {
    channel.begin(raw_call(step, step.request->SerializeAsString()));
    return finish(step);
}

Answer Pair::Server::finish(const Step& step) {
    Answer answer = answer_of(step, channel.finish());
    answer.server = identity;
    if (step.odd != nullptr) {
        channel.close();  // what it left behind is no business of the next call
    }
    return answer;
}

Pair::Pair(const Programs& programs)
    : has_mutant_(!programs.mutant.empty()),
      etcd_(programs.etcd),
      cairn_(programs.cairnd, programs.mutant) {}

void Pair::restart() {
    for (Server* server : {&etcd_, &cairn_}) {
        server->cluster.send_signal(0, SIGTERM);
    }
    for (Server* server : {&etcd_, &cairn_}) {
        server->cluster.wait_for_exit(0);
        server->start();
    }
    etcd_.wait_until_serving();
    cairn_.wait_until_serving();
}

Exchange Pair::run(const Step& step) {
    if (step.call == Call::kRestart) {
        restart();
        return {.step = step, .etcd = {}, .cairn = {}};
    }
    const auto resolved = resolve(*step.request, revisions_);
    const std::string bytes = resolved->SerializeAsString() + step.trailing;
    etcd_.channel.begin(raw_call(step, bytes));
    cairn_.channel.begin(raw_call(step, bytes));
    Exchange exchange{.step = step, .etcd = etcd_.finish(step), .cairn = cairn_.finish(step)};
    check_alive(step);
    follow(step, bytes, exchange.etcd);
    if (const auto request = request_for_candidates(*resolved, exchange.etcd)) {
        exchange.candidates = etcd_.call(step_of(*request)).response;
    }
    return exchange;
}

void Pair::check_alive(const Step& step) {
    for (auto* server : {&etcd_, &cairn_}) {
        const bool may_end = has_mutant_ && server == &cairn_;
        if (!may_end && !server->cluster.is_running(0)) {
            throw process::Failure{fmt::format("{} ended at {}\n{}",
                                               server == &etcd_ ? "etcd" : "cairnd", describe(step),
                                               server->cluster.last_lines())};
        }
    }
}

void Pair::follow(const Step& step, const std::string& bytes, const Answer& etcd) {
    if (etcd.response == nullptr) {
        return;
    }
    revisions_.now = std::max(revisions_.now, revision_of(*etcd.response));
    if (step.call == Call::kCompact) {
        etcdserverpb::CompactionRequest request;
        request.ParseFromString(bytes);
        revisions_.floor = std::max(revisions_.floor, request.revision());
    }
}

}  // namespace cairn::diff
