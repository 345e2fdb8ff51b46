#include "diff/pair.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::diff {
namespace {

using namespace std::chrono_literals;

constexpr auto kRequestTimeout = 20s;

Answer answer_of(const Step& step, const client::Result<Bytes>& result) {
    if (!result) {
        return {.code = result.error().code, .text = result.error().message};
    }
    Answer answer;
    answer.response.reset(info_of(step.call).response->New());
    const auto bytes = result->view();
    if (!answer.response->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        throw process::Failure{"an answer that is not a message, to " + describe(step)};
    }
    return answer;
}

std::int64_t revision_of(const Message& response) {
    const auto* header = response.GetDescriptor()->FindFieldByName("header");
    const auto& message = response.GetReflection()->GetMessage(response, header);
    return dynamic_cast<const etcdserverpb::ResponseHeader&>(message).revision();
}

}  // namespace

Answer Answer::copy() const {
    Answer result{.code = code, .text = text};
    if (response != nullptr) {
        result.response.reset(response->New());
        result.response->CopyFrom(*response);
    }
    return result;
}

std::string describe(const Answer& answer) {
    return answer.response == nullptr
               ? fmt::format("{} \"{}\"", wire::grpc_code_name(answer.code), answer.text)
               : describe(*answer.response);
}

// Both know etcd's flags. Fast ticks make a lone member lead at once.
Pair::Server::Server(const std::string& program)
    : cluster(1, program, {"--heartbeat-interval=10", "--election-timeout=100"}) {}

void Pair::Server::start() {
    client.reset();
    cluster.start(0);
}

void Pair::Server::wait_until_serving() {
    cluster.wait_until_all_serve();
    client.emplace(cluster.endpoints(), 0, kRequestTimeout);
}

std::future<client::Result<Bytes>> Pair::Server::send(const Step& step, const std::string& bytes) {
    const auto& info = info_of(step.call);
    return client->start(info.method, info.kind, bytes);
}

Pair::Pair(const Programs& programs, Plant plant)
    : etcd_(programs.etcd), cairn_(programs.cairnd), plant_(std::move(plant)) {
    etcd_.start();
    cairn_.start();
    etcd_.wait_until_serving();
    cairn_.wait_until_serving();
}

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
    auto etcd = etcd_.send(step, bytes);
    auto cairn = cairn_.send(step, bytes);
    Exchange exchange{
        .step = step, .etcd = answer_of(step, etcd.get()), .cairn = answer_of(step, cairn.get())};
    for (auto* server : {&etcd_, &cairn_}) {
        if (!server->cluster.is_running(0)) {
            throw process::Failure{fmt::format("{} ended at {}\n{}",
                                               server == &etcd_ ? "etcd" : "cairnd", describe(step),
                                               server->cluster.last_lines())};
        }
    }
    follow(step, *resolved, exchange.etcd);
    if (plant_) {
        plant_(step, exchange.cairn);
    }
    return exchange;
}

void Pair::follow(const Step& step, const Message& resolved, const Answer& etcd) {
    if (etcd.response == nullptr || step.call == Call::kAlarm) {
        return;
    }
    revisions_.now = std::max(revisions_.now, revision_of(*etcd.response));
    if (step.call == Call::kCompact) {
        const auto& request = dynamic_cast<const etcdserverpb::CompactionRequest&>(resolved);
        revisions_.floor = std::max(revisions_.floor, request.revision());
    }
}

}  // namespace cairn::diff
