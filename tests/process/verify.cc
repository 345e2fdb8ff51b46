#include "process/verify.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "process/load.h"
#include "process/raw_client.h"
#include "process/rebuild_log.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;
using etcdserverpb::RangeResponse;
using sim::HistoryOp;

constexpr std::size_t kReadsInFlight = 64;
constexpr auto kReadTimeout = 30s;
// A digest of a million keys takes its time.
constexpr auto kHashTimeout = 60s;
constexpr auto kAnswerLimit = 60s;

// Asks one node until it answers: on a busy machine a call may come too late.
template <class Ask>
auto ask_until_answered(const ProcessCluster& cluster, std::size_t node, Ask ask) {
    auto answer = ask(cluster.client_of(node));
    const auto answered = [&] {
        if (!answer) {
            answer = ask(cluster.client_of(node));
        }
        return answer.has_value();
    };
    if (!wait_until(answered, kAnswerLimit)) {
        throw Failure{fmt::format("node {}: {}", node, answer.error().message)};
    }
    return *answer;
}

// The store's revision once every node has it.
std::int64_t common_revision(const ProcessCluster& cluster) {
    std::int64_t revision = 0;
    for (const std::size_t node : cluster.members()) {
        const auto answer = ask_until_answered(
            cluster, node, [](client::Client client) { return client.get("x"); });
        revision = std::max(revision, answer.header.revision);
    }
    return revision;
}

std::optional<std::string> compare_hashes(const ProcessCluster& cluster, std::int64_t revision) {
    std::optional<client::HashKvResponse> first;
    for (const std::size_t node : cluster.members()) {
        const auto answer = ask_until_answered(cluster, node, [=](const client::Client& client) {
            return client.with_timeout(kHashTimeout).hash_kv(revision);
        });
        if (!first.has_value()) {
            first = answer;
        }
        if (answer.hash != first->hash || answer.compact_revision != first->compact_revision) {
            return fmt::format("at revision {} node {} has hash {} and node {} has {}", revision,
                               cluster.members().front(), first->hash, node, answer.hash);
        }
    }
    return std::nullopt;
}

// All keys at every revision, each asked of another node; every answer becomes part of the history.
class StateReader {
  public:
    StateReader(const ProcessCluster& cluster, std::vector<HistoryOp>& history)
        : history_(history) {
        for (const std::size_t node : cluster.members()) {
            clients_.push_back(std::make_unique<RawClient>(std::vector{cluster.endpoints()[node]},
                                                           0, kReadTimeout));
        }
    }

    std::vector<RangeResponse> read(std::int64_t newest) {
        for (std::int64_t revision = 1; revision <= newest; ++revision) {
            ask(revision);
            if (waiting_.size() >= kReadsInFlight) {
                take();
            }
        }
        while (!waiting_.empty()) {
            take();
        }
        return std::move(states_);
    }

  private:
    struct Waiting {
        HistoryOp op;
        std::future<client::Result<Bytes>> answer;
    };

    void ask(std::int64_t revision) {
        etcdserverpb::RangeRequest request;
        request.set_key(std::string(1, '\0'));
        request.set_range_end(std::string(1, '\0'));
        request.set_revision(revision);
        HistoryOp op;
        op.tag = static_cast<std::uint64_t>(revision);
        op.kind = sim::OpKind::kSerialRead;
        op.request = request.SerializeAsString();
        op.invoked = now();
        auto& client = *clients_[static_cast<std::size_t>(revision) % clients_.size()];
        auto answer = client.start(wire::MethodId::kKvRange, client::CallKind::kRead, op.request);
        waiting_.push_back({std::move(op), std::move(answer)});
    }

    void take() {
        auto [op, future] = std::move(waiting_.front());
        waiting_.pop_front();
        const auto answer = future.get();
        if (!answer) {
            throw Failure{fmt::format("range at revision {}: {}", op.tag, answer.error().message)};
        }
        RangeResponse state;
        state.ParseFromArray(answer->data(), static_cast<int>(answer->size()));
        op.returned = now();
        op.outcome = sim::OpOutcome::kDone;
        op.revision = state.header().revision();
        state.clear_header();
        op.body = state.SerializeAsString();
        history_.push_back(std::move(op));
        states_.push_back(std::move(state));
    }

    std::vector<HistoryOp>& history_;
    std::vector<std::unique_ptr<RawClient>> clients_;
    std::deque<Waiting> waiting_;
    std::vector<RangeResponse> states_;
};

}  // namespace

std::optional<std::string> compare_states(const ProcessCluster& cluster) {
    return compare_hashes(cluster, common_revision(cluster));
}

std::optional<std::string> verify(ProcessCluster& cluster, std::vector<HistoryOp> history) {
    cluster.wait_until_all_serve();
    const auto revision = common_revision(cluster);
    if (auto wrong = compare_hashes(cluster, revision)) {
        return wrong;
    }
    const auto states = StateReader(cluster, history).read(revision);
    const auto rebuilt = rebuild_log(history, states);
    if (rebuilt.wrong.has_value()) {
        return rebuilt.wrong;
    }
    fmt::print("{} calls, {} revisions, {} commands\n", history.size(), revision,
               rebuilt.commands.size());
    return check_linear(history, rebuilt.commands);
}

}  // namespace cairn::process
