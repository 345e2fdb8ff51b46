#include "sim/world.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "sim/admin.h"
#include "sim/atlas.h"
#include "sim/check_linear.h"
#include "sim/check_member.h"
#include "sim/check_safety.h"
#include "sim/event_queue.h"
#include "sim/nemesis.h"
#include "sim/parts.h"
#include "sim/sim_buggifier.h"
#include "sim/sim_lanes.h"
#include "sim/sim_net.h"
#include "sim/sim_node.h"
#include "sim/workload.h"

namespace cairn::sim {
namespace {

// How many entries each of those has who lack some of the leader's.
struct Laggards {
    std::optional<NodeIndex> leader{};
    std::map<NodeIndex, std::uint64_t> have{};  // and has applied

    // One of them, who still lacks some, has more than before of the same leader's.
    [[nodiscard]] bool gain_on(const Laggards& before) const {
        return leader == before.leader &&
               std::any_of(have.begin(), have.end(), [&](const auto& it) {
                   const auto had = before.have.find(it.first);
                   return had != before.have.end() && it.second > had->second;
               });
    }
};

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
    void dispatch(const LaneEvent& event);
    void dispatch(const NemesisEvent& event);
    void dispatch(const AdminEvent& event);
    bool is_paused(NodeIndex node);
    bool defer(NodeIndex node, Action action);
    void report_losses();
    void run_faults();
    void check_calm();
    bool has_quorum();
    void converge();
    void call_everybody();
    void restart_all();
    [[nodiscard]] bool enough() const;
    [[nodiscard]] bool agreed() const;
    [[nodiscard]] bool converged() const { return agreed() && nothing_pending(); }
    [[nodiscard]] bool nothing_pending() const;
    [[nodiscard]] bool has_lost_member() const;
    [[nodiscard]] Pending pending_of(const SimNode& node) const;
    void fail_agreement(const char* invariant, std::string detail);
    void check_files();
    [[nodiscard]] bool needs_snapshot() const;
    [[nodiscard]] Laggards laggards() const;
    [[nodiscard]] Time catch_up_time() const;
    [[nodiscard]] Time replay_time() const;
    bool converges_within(Time budget);
    [[nodiscard]] Term newest_term() const;
    [[nodiscard]] std::string describe_nodes() const;
    [[nodiscard]] Time election_time() const {
        return options_.raft.election_ticks * options_.tick_us * 2;
    }
    // For so many elections, and calls that time out.
    [[nodiscard]] Time budget(Time elections) const {
        return elections * election_time() + 2 * options_.request_timeout_ticks * options_.tick_us;
    }

    const Options options_;
    Prng root_;
    Verdict verdict_;
    TraceHash trace_;
    Counters counters_;
    EventQueue queue_;
    SimNet net_;
    SimLanes lanes_;
    SafetyChecker safety_;
    const WorldParts parts_;
    Workload workload_;
    std::vector<std::unique_ptr<SimNode>> nodes_;
    const Atlas atlas_;
    Admin admin_;
    Nemesis nemesis_;
    SimBuggifier buggifier_;
    Prng misc_;
    std::optional<Term> calm_term_;  // of a run in which nothing goes wrong, from its election on
    bool lost_quorum_ = false;
    bool was_enough_ = false;
};

World::World(const Options& options, bool verbose)
    : options_(options),
      root_(options.seed),
      queue_(root_.split("ties")),
      net_(options_, root_.split("net"), queue_, counters_),
      lanes_({.options = options_,
              .queue = queue_,
              .net = net_,
              .counters = counters_,
              .trace = trace_},
             root_.split("lanes")),
      safety_(options.slots(), verdict_,
              [this](const raft::Entry& entry) { workload_.on_first_apply(entry); }),
      parts_{.options = options_,
             .queue = queue_,
             .net = net_,
             .lanes = lanes_,
             .safety = safety_,
             .verdict = verdict_,
             .trace = trace_,
             .counters = counters_,
             .verbose = verbose},
      workload_(parts_, root_.split("clients")),
      atlas_(parts_, nodes_, workload_),
      admin_(parts_, root_.split("admin"), atlas_, nodes_, workload_),
      nemesis_(parts_, root_.split("nemesis"), atlas_, nodes_, workload_),
      buggifier_(root_.split("buggify"), options.buggify),
      misc_(root_.split("misc")) {
    for (NodeIndex node = 0; node < options.slots(); ++node) {
        nodes_.push_back(std::make_unique<SimNode>(node, parts_, workload_,
                                                   root_.split(fmt::format("node/{}", node))));
    }
    workload_.set_nodes(nodes_);
    lanes_.set_nodes(nodes_);
}

bool World::is_paused(NodeIndex node) {
    if (nodes_[node]->paused_until() <= queue_.now()) {
        return false;
    }
    if (nodes_[node]->up()) {
        counters_.saw(FaultClass::kPause);
    }
    return true;
}

// A paused node's events wait for it.
bool World::defer(NodeIndex node, Action action) {
    if (!is_paused(node)) {
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
    if (is_paused(to)) {
        queue_.at(nodes_[to]->paused_until(), std::move(delivery));
        return;
    }
    ++counters_.messages;
    trace_.mix(to * 64 + 32 + delivery.message.body.index());
    nodes_[to]->receive(std::move(delivery.message));
}

void World::dispatch(const LaneEvent& event) {
    if (!defer(event.node(), event)) {
        lanes_.handle(event);
    }
}

void World::dispatch(const AdminEvent& /*event*/) { admin_.handle(); }
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

// A run is worth its name when enough has happened in it; one that is made shorter has fewer calls
// and faults.
bool World::enough() const {
    const bool is_short = options_.only_faults || options_.only_calls;
    return counters_.events() >= options_.events_min &&
           (is_short || (workload_.done_count() >= options_.ops_min &&
                         (options_.faults.sum() == 0 ||
                          counters_.classes.count() >= options_.fault_classes_min)));
}

bool World::agreed() const {
    std::size_t leaders = 0;
    const SimNode* some = nullptr;
    if (!admin_.settled()) {
        return false;
    }
    for (const auto& node : nodes_) {
        if (!node->is_member() || node->lost()) {
            continue;
        }
        if (!node->up()) {
            return false;
        }
        some = some == nullptr ? node.get() : some;
        const server::NodeView& view = node->view();
        const server::NodeView& first = some->view();
        if (!view.leader || view.leader != first.leader || view.term != first.term ||
            view.applied != view.last || view.applied != first.applied) {
            return false;
        }
        leaders += view.is_leader ? 1 : 0;
    }
    return leaders == 1 && workload_.quiet();
}

bool World::has_lost_member() const {
    return std::any_of(nodes_.begin(), nodes_.end(),
                       [](const auto& node) { return node->is_member() && node->lost(); });
}

// Whoever is lost is sent a snapshot for ever.
Pending World::pending_of(const SimNode& node) const {
    Pending pending = node.pending();
    pending.sending = has_lost_member() ? 0 : pending.sending;
    return pending;
}

bool World::nothing_pending() const {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
        return !node->up() || !node->is_member() || pending_of(*node).nothing();
    });
}

// B2, where all agree and somebody has not ended.
void World::fail_agreement(const char* invariant, std::string detail) {
    for (const auto& node : nodes_) {
        if (agreed() && node->up() && node->is_member()) {
            check_quiet(node->index(), pending_of(*node), verdict_);
        }
    }
    verdict_.fail(invariant, std::move(detail));
}

// Somebody can go on with a snapshot alone, or receives one, as it shows from outside.
bool World::needs_snapshot() const {
    const std::optional<NodeIndex> leader = safety_.leader();
    return leader && std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
               return node->up() && node->index() != *leader && node->is_member() &&
                      (safety_.is_below_floor(node->index(), *leader) ||
                       lanes_.is_wanted(*leader, node->index()));
           });
}

// For snapshots that fail, and for one that comes: as many pieces as there may be, each with its
// answer, at the speed that the run's lanes and limits have.
Time World::catch_up_time() const {
    constexpr Time kFailuresUs = 30'000'000;
    constexpr std::uint64_t kStateBytes = 8'000'000;
    constexpr std::uint64_t kPiecesShipped = 8;  // in ship_mean_us
    const server::SnapshotLimits& limits = options_.snapshots;
    const std::uint64_t pieces = kStateBytes / limits.chunk_bytes + 1;
    Time takes = 2 * pieces * options_.net.ship_mean_us / kPiecesShipped;
    if (limits.bytes_per_tick > 0) {
        takes = std::max(takes, kStateBytes / limits.bytes_per_tick * options_.tick_us);
    }
    return kFailuresUs + takes;
}

// For what is to be applied, by as little at once as an entry, on healed disks.
Time World::replay_time() const {
    constexpr Time kTimesMean = 2;
    const DiskOptions& disk = options_.disk;
    const Time mean_us = std::min(disk.apply_mean_us, SimNode::kHealedMeanUs);
    Index newest;
    Index oldest{UINT64_MAX};
    for (const auto& node : nodes_) {
        if (node->up() && node->is_member()) {
            newest = std::max(newest, node->view().last);
            oldest = std::min(oldest, node->view().applied);
        }
    }
    const std::uint64_t entries = newest > oldest ? newest - oldest : 0;
    return entries * kTimesMean * (disk.apply_min_us + 2 * mean_us + options_.turn_delay_us);
}

Laggards World::laggards() const {
    Laggards out{.leader = safety_.leader()};
    for (const auto& node : nodes_) {
        if (out.leader && node->up() && node->is_member() &&
            node->view().applied < nodes_[*out.leader]->view().last) {
            out.have[node->index()] = node->view().last.value + node->view().applied.value;
        }
    }
    return out;
}

// The budget counts from when nobody needs a snapshot any more, or gets what he lacks: a member may
// have to wait for one or two snapshots that fail first, and limits may be so small that each entry
// takes a round trip, and each apply the disk's time. But not for ever.
bool World::converges_within(Time budget) {
    const Time end_of_snapshots = queue_.now() + catch_up_time();
    const Time end_of_catch_up = end_of_snapshots + replay_time();
    Time begin = queue_.now();
    Laggards before = laggards();
    bool late = false;
    run_until(end_of_catch_up + 2 * budget, [&] {
        Laggards now = laggards();
        if ((queue_.now() <= end_of_catch_up && now.gain_on(before)) ||
            (queue_.now() <= end_of_snapshots && needs_snapshot())) {
            begin = queue_.now();
        }
        before = std::move(now);
        late = queue_.now() > begin + budget;
        return late || converged();
    });
    return !late && !verdict_.failed() && converged();
}

std::string World::describe_nodes() const {
    std::string out;
    for (const auto& node : nodes_) {
        out += node->status_line();
        out += node->up() ? " " + node->pending().describe() + "\n" : "\n";
    }
    return out;
}

// Faults and load, until enough has happened, or there is no end to it: then the seed is named.
void World::run_faults() {
    constexpr std::uint64_t kFaultTicksTimes = 1'000;
    constexpr std::uint64_t kEventsTimes = 20;
    constexpr Time kElectionsMax = 10;  // a first vote may be split a few times
    if (options_.calm()) {
        run_until(kElectionsMax * election_time());
        calm_term_ = newest_term();
        workload_.expect_leader();
    }
    const Time fault_time = options_.fault_ticks * options_.tick_us;
    const auto run = [this, fault_time](std::uint64_t halves) {
        run_until(kFaultTicksTimes * fault_time * halves / 2, [this, fault_time, halves] {
            was_enough_ = enough();
            return (was_enough_ && queue_.now() >= fault_time) || !atlas_.has_quorum() ||
                   counters_.events() >= kEventsTimes * options_.events_min * halves / 2;
        });
    };
    run(1);
    // Where faults leave no time for calls the rest of these comes without them.
    if (!was_enough_ && counters_.classes.count() >= options_.fault_classes_min) {
        nemesis_.heal();
    }
    run(2);
}

// V4: where nothing goes wrong there is one election and no failed call.
void World::check_calm() {
    if (!calm_term_ || verdict_.failed()) {
        return;
    }
    if (workload_.failed_count() > 0) {
        verdict_.fail(
            "V4", fmt::format("{} calls failed though nothing is wrong", workload_.failed_count()));
    }
    if (newest_term() != *calm_term_) {
        verdict_.fail("V4", fmt::format("term {} became {} though nothing is wrong",
                                        calm_term_->value, newest_term().value));
    }
}

// Without one no liveness is claimed, and only an unbounded run may come to that.
bool World::has_quorum() {
    lost_quorum_ = !atlas_.has_quorum();
    if (lost_quorum_ && !options_.disk.unbounded) {
        verdict_.fail("atlas", "the bounded run has lost its quorum:\n" + describe_nodes());
    }
    return !lost_quorum_;
}

// V1 to V3: after everything is healed, all ends well within a bounded time.
void World::converge() {
    Time end_of_faults = queue_.now();
    for (const auto& node : nodes_) {
        end_of_faults = std::max(end_of_faults, node->troubled_until());
    }
    workload_.stop();
    nemesis_.heal();
    lanes_.heal();
    buggifier_.heal();
    admin_.heal();
    const Time budget = this->budget(20);
    if (!has_quorum()) {
        run_until(end_of_faults + budget);
        return;
    }
    // Who has heard nobody meanwhile may still give up his leader, until he hears of him again. It
    // is of the time that all may take to agree.
    const Time aftermath = election_time() + (options_.uneven_ticks ? election_time() / 3 : 0);
    run_until(end_of_faults + aftermath);
    if (!converges_within(budget - aftermath) && !verdict_.failed()) {
        fail_agreement(
            "V1-V3", fmt::format("no agreement {} us after the end of all faults{}:\n{}{}", budget,
                                 needs_snapshot() ? ", and a snapshot is needed" : "",
                                 describe_nodes(), workload_.quiet() ? "" : "calls are pending\n"));
    }
}

// V2, V4: when all is quiet, everybody writes and reads everything, and nobody else is elected.
void World::call_everybody() {
    const Term term = newest_term();
    workload_.start_final();
    if (!run_until(queue_.now() + budget(10), [this] { return converged(); }) &&
        !verdict_.failed()) {
        fail_agreement("V2", "the last calls did not end:\n" + describe_nodes());
    }
    if (!verdict_.failed() && newest_term() != term) {
        verdict_.fail("V4", fmt::format("term {} became {} though nothing was wrong", term.value,
                                        newest_term().value));
    }
    for (const auto& node : nodes_) {
        if (!verdict_.failed() && node->up()) {
            node->check_digest();
        }
    }
}

// B2, of files: what nobody wants any more goes, some of it when nobody has come back for a while.
void World::check_files() {
    constexpr Time kTidyTicks = 1'000;
    const server::SnapshotLimits& limits = options_.snapshots;
    const Time ticks = 2 * (limits.keep_built_ticks + limits.keep_partial_ticks + kTidyTicks);
    const auto files_of = [](SimNode& node) {
        return node.up() && node.is_member() ? node.files_left() : std::vector<std::string>{};
    };
    const auto none_left = [&] {
        return std::all_of(nodes_.begin(), nodes_.end(),
                           [&](const auto& node) { return files_of(*node).empty(); });
    };
    if (has_lost_member() || run_until(queue_.now() + ticks * options_.tick_us, none_left)) {
        return;
    }
    for (const auto& node : nodes_) {
        check_quiet(node->index(), {.files = files_of(*node)}, verdict_);
    }
}

// D1, D2: what everybody has is on their disks. A leader may just have proposed something itself,
// which some have applied and some not: that is waited for.
void World::restart_all() {
    if (!has_quorum()) {
        return;  // damage that the files' keepers met
    }
    if (!converges_within(budget(20))) {
        if (!verdict_.failed()) {
            fail_agreement("V1-V3",
                           "no agreement before all are started again:\n" + describe_nodes());
        }
        return;
    }
    std::vector<std::pair<SimNode*, std::uint64_t>> digests;
    for (const auto& node : nodes_) {
        if (node->up()) {
            digests.emplace_back(node.get(), node->digest());
        }
    }
    const Time down_max = 2 * options_.tick_us;
    for (const auto& [node, digest] : digests) {
        node->crash(misc_.between(1, down_max));
    }
    run_until(queue_.now() + 2 * down_max);
    if (!has_quorum()) {
        return;  // damage that nobody had looked at
    }
    if (!converges_within(budget(20)) && !verdict_.failed()) {
        fail_agreement("V1-V3", "no agreement after all were started again:\n" + describe_nodes());
    }
    for (const auto& [node, digest] : digests) {
        if (!verdict_.failed() && !node->lost() && node->digest() != digest) {
            verdict_.fail("D1", fmt::format("node {} has another state than before all of them "
                                            "were started again",
                                            node->index()));
        }
    }
}

RunResult World::run() {
    for (NodeIndex node = 0; node < options_.nodes; ++node) {
        nodes_[node]->start();
    }
    workload_.start();
    nemesis_.start();
    admin_.start();
    run_faults();
    check_calm();
    if (!verdict_.failed()) {
        converge();
    }
    using Step = void (World::*)();
    for (const Step step : {&World::call_everybody, &World::check_files, &World::restart_all,
                            &World::call_everybody}) {
        if (!verdict_.failed() && !lost_quorum_) {
            (this->*step)();
        }
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
                     .counters = counters_,
                     .ops = workload_.history().size(),
                     .ops_done = workload_.done_count(),
                     .entries = safety_.applied_log().size(),
                     .virtual_time = queue_.now(),
                     .lost_quorum = lost_quorum_,
                     .was_enough = was_enough_ || lost_quorum_,
                     .calls = workload_.drawn_count(),
                     .strikes = nemesis_.strikes(),
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
