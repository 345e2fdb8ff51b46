#include "sim/world.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "sim/check_linear.h"
#include "sim/check_safety.h"
#include "sim/event_queue.h"
#include "sim/nemesis.h"
#include "sim/parts.h"
#include "sim/sim_net.h"
#include "sim/sim_node.h"
#include "sim/workload.h"

namespace cairn::sim {
namespace {

class World {
  public:
    World(const Options& options, bool verbose);
    RunResult run();

  private:
    void run_until(Time end);
    template <class Done>
    bool run_until(Time end, Done done);
    void dispatch(Action action);
    void dispatch(const NodeEvent& event);
    void dispatch(Delivery delivery);
    void dispatch(const ClientEvent& event);
    void dispatch(const NemesisEvent& event);
    bool defer(NodeIndex node, Action action);
    void report_losses();
    void check_calm();
    void converge();
    void finish();
    [[nodiscard]] bool converged() const;
    [[nodiscard]] Term newest_term() const;
    [[nodiscard]] std::string describe_nodes() const;
    [[nodiscard]] Time election_time() const {
        return options_.raft.election_ticks * options_.tick_us * 2;
    }

    const Options options_;
    Prng root_;
    Verdict verdict_;
    TraceHash trace_;
    EventQueue queue_;
    SimNet net_;
    SafetyChecker safety_;
    const WorldParts parts_;
    Workload workload_;
    std::vector<std::unique_ptr<SimNode>> nodes_;
    Nemesis nemesis_;
    Prng misc_;
};

World::World(const Options& options, bool verbose)
    : options_(options),
      root_(options.seed),
      queue_(root_.split("ties")),
      net_(options_, root_.split("net"), queue_),
      safety_(options.nodes, verdict_,
              [this](const raft::Entry& entry) { workload_.on_first_apply(entry); }),
      parts_{.options = options_,
             .queue = queue_,
             .net = net_,
             .safety = safety_,
             .verdict = verdict_,
             .trace = trace_,
             .verbose = verbose},
      workload_(parts_, root_.split("clients")),
      nemesis_(parts_, root_.split("nemesis"), nodes_),
      misc_(root_.split("misc")) {
    for (NodeIndex node = 0; node < options.nodes; ++node) {
        nodes_.push_back(std::make_unique<SimNode>(node, parts_, workload_,
                                                   root_.split(fmt::format("node/{}", node))));
    }
    workload_.set_nodes(nodes_);
}

// A paused node's events wait for it.
bool World::defer(NodeIndex node, Action action) {
    if (nodes_[node]->paused_until() <= queue_.now()) {
        return false;
    }
    queue_.at(nodes_[node]->paused_until(), std::move(action));
    return true;
}

void World::dispatch(const NodeEvent& event) {
    if (!defer(event.node, event)) {
        trace_.mix(event.node * 16 + static_cast<std::uint64_t>(event.kind));
        nodes_[event.node]->handle(event);
    }
}

void World::dispatch(Delivery delivery) {
    const NodeIndex to = delivery.to;
    if (nodes_[to]->paused_until() > queue_.now()) {
        queue_.at(nodes_[to]->paused_until(), std::move(delivery));
        return;
    }
    trace_.mix(to * 64 + 32 + delivery.message.body.index());
    nodes_[to]->receive(std::move(delivery.message));
}

void World::dispatch(const ClientEvent& event) { workload_.handle(event); }
void World::dispatch(const NemesisEvent& event) { nemesis_.handle(event); }

void World::dispatch(Action action) {
    std::visit([this](auto& alternative) { dispatch(std::move(alternative)); }, action);
}

// Broken connections are noticed a little later, by who is still alive then.
void World::report_losses() {
    for (const SimNet::Loss& loss : net_.losses()) {
        queue_.after(misc_.between(1, 2'000), NodeEvent{.node = loss.at,
                                                        .life = nodes_[loss.at]->life(),
                                                        .kind = NodeEventKind::kPeerLost,
                                                        .arg = loss.peer});
    }
    net_.losses().clear();
}

void World::run_until(Time end) {
    run_until(end, [] { return false; });
}

// True when `done` came first; it is asked once a tick.
template <class Done>
bool World::run_until(Time end, Done done) {
    Time next_question = queue_.now();
    while (!verdict_.failed() && !queue_.empty() && queue_.now() < end) {
        if (queue_.now() >= next_question) {
            if (done()) {
                return true;
            }
            next_question = queue_.now() + options_.tick_us;
        }
        Action action = queue_.pop();
        trace_.mix(queue_.now());
        dispatch(std::move(action));
        report_losses();
    }
    return !verdict_.failed() && done();
}

Term World::newest_term() const {
    Term newest{};
    for (const auto& node : nodes_) {
        newest = std::max(newest, node->up() ? node->view().term : Term{});
    }
    return newest;
}

bool World::converged() const {
    std::size_t leaders = 0;
    for (const auto& node : nodes_) {
        if (!node->up() || !node->idle()) {
            return false;
        }
        const server::NodeView& view = node->view();
        const server::NodeView& first = nodes_.front()->view();
        if (!view.leader || view.leader != first.leader || view.term != first.term ||
            view.applied != view.last || view.applied != first.applied) {
            return false;
        }
        leaders += view.is_leader ? 1 : 0;
    }
    return leaders == 1 && workload_.quiet();
}

std::string World::describe_nodes() const {
    std::string out;
    for (const auto& node : nodes_) {
        out += node->status_line() + (node->up() && !node->idle() ? " busy\n" : "\n");
    }
    return out;
}

// V4: where nothing goes wrong there is one election and no failed call.
void World::check_calm() {
    if (!options_.calm() || verdict_.failed()) {
        return;
    }
    if (workload_.failed_count() > 0) {
        verdict_.fail(
            "V4", fmt::format("{} calls failed though nothing is wrong", workload_.failed_count()));
    }
}

// V1 to V3: after everything is healed, all ends well within a bounded time.
void World::converge() {
    workload_.stop();
    nemesis_.heal();
    const Time budget =
        20 * election_time() + 2 * options_.request_timeout_ticks * options_.tick_us;
    if (!run_until(queue_.now() + budget, [this] { return converged(); }) && !verdict_.failed()) {
        verdict_.fail(
            "V1-V3", fmt::format("no agreement {} us after the end of all faults:\n{}{}", budget,
                                 describe_nodes(), workload_.quiet() ? "" : "calls are pending\n"));
    }
}

void World::finish() {
    const Term term = newest_term();
    workload_.start_final();
    const Time budget =
        10 * election_time() + 2 * options_.request_timeout_ticks * options_.tick_us;
    if (!run_until(queue_.now() + budget, [this] { return converged(); }) && !verdict_.failed()) {
        verdict_.fail("V2", "the last calls did not end:\n" + describe_nodes());
    }
    if (!verdict_.failed() && newest_term() != term) {
        verdict_.fail("V4", fmt::format("term {} became {} though nothing was wrong", term.value,
                                        newest_term().value));
    }
    for (const auto& node : nodes_) {
        if (!verdict_.failed()) {
            node->check_digest();
        }
    }
}

RunResult World::run() {
    for (const auto& node : nodes_) {
        node->start();
    }
    workload_.start();
    nemesis_.start();
    run_until(options_.fault_ticks * options_.tick_us);
    check_calm();
    if (!verdict_.failed()) {
        converge();
    }
    if (!verdict_.failed()) {
        finish();
    }
    if (!verdict_.failed()) {
        if (const auto wrong = check_linear(workload_.history(), workload_.log()); wrong) {
            verdict_.fail("R1", *wrong);
        }
    }
    RunResult result{.failed = verdict_.failed(),
                     .invariant = verdict_.invariant(),
                     .detail = verdict_.detail(),
                     .trace_hash = trace_.value(),
                     .final_draw = queue_.final_draw(),
                     .events = queue_.popped(),
                     .ops = workload_.history().size(),
                     .ops_done = workload_.done_count(),
                     .entries = safety_.applied_log().size(),
                     .virtual_time = queue_.now(),
                     .last_events = {}};
    if (result.failed) {
        for (const auto& node : nodes_) {
            result.last_events += node->last_events();
        }
    }
    return result;
}

}  // namespace

RunResult run_world(const Options& options, bool verbose) { return World(options, verbose).run(); }

}  // namespace cairn::sim
