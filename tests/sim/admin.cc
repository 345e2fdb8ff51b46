#include "sim/admin.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace cairn::sim {
namespace {

// How often the administrator looks, in ticks.
constexpr std::uint64_t kLookTicks = 4;

bool is_in(const raft::ConfState& conf, NodeId id) {
    const auto has = [&](const std::vector<NodeId>& ids) {
        return std::binary_search(ids.begin(), ids.end(), id);
    };
    return has(conf.voters) || has(conf.voters_outgoing) || has(conf.learners);
}

std::size_t member_count(const raft::ConfState& conf) {
    return conf.voters.size() + conf.learners.size();
}

}  // namespace

Admin::Admin(const WorldParts& world, Prng prng, Nodes& nodes, Workload& workload)
    : options_(world.options),
      prng_(prng),
      queue_(world.queue),
      safety_(world.safety),
      counters_(world.counters),
      nodes_(nodes),
      workload_(workload),
      verbose_(world.verbose) {}

void Admin::start() {
    if (options_.admin.sum() > 0) {
        next_change_ = draw_time(prng_, 1, options_.admin.gap_mean_ticks * options_.tick_us);
        queue_.after(kLookTicks * options_.tick_us, AdminEvent{});
    }
}

void Admin::handle() {
    follow();
    if (!healed_ && queue_.now() >= next_change_ && !workload_.admin_waits()) {
        next_change_ =
            queue_.now() + draw_time(prng_, 1, options_.admin.gap_mean_ticks * options_.tick_us);
        maybe_change();
    }
    queue_.after(kLookTicks * options_.tick_us, AdminEvent{});
}

void Admin::heal() {
    healed_ = true;
    follow();
}

// In the configuration that is applied, or in one that a member has in its log.
bool Admin::is_named(const SimNode& node) const {
    return node.is_member() || std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& other) {
               return other.get() != &node && other->up() && other->is_member() &&
                      is_in(safety_.newest_conf(other->index()),
                            SafetyChecker::id_of(node.index()));
           });
}

bool Admin::settled() const {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
        const bool has_vote =
            !node->up() || !node->is_member() || node->is_voter() == !node->view().is_learner;
        return node->lost() || node->retired() || (is_named(*node) == node->started() && has_vote);
    });
}

// A new member is started as soon as it stands in somebody's log. A removed one is taken down some
// time later, or at once when nothing may go wrong any more: until then it may disturb.
void Admin::follow() {
    for (const auto& node : nodes_) {
        const bool named = is_named(*node);
        if (named && !node->started()) {
            node->join();
        } else if (!named && node->started() && !node->retired() && !node->lost() &&
                   (healed_ || (safety_.was_member(node->index()) && prng_.chance(1, 12)))) {
            node->retire();
        }
    }
}

NodeIndex Admin::pick(const std::vector<NodeId>& ids) {
    return SafetyChecker::index_of(ids[prng_.below(ids.size())]);
}

std::optional<Admin::Change> Admin::addition(bool is_learner) {
    const auto spare = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& node) {
        return !node->started() && !node->is_member() && !safety_.was_member(node->index());
    });
    if (spare == nodes_.end() ||
        member_count(safety_.applied_conf()) >= options_.admin.members_max) {
        return std::nullopt;
    }
    return Change{
        .command = command::MEMBER_ADD,
        .kind = is_learner ? raft::ConfChangeKind::kAddLearner : raft::ConfChangeKind::kAddVoter,
        .node = (*spare)->index(),
        .is_learner = is_learner};
}

std::optional<Admin::Change> Admin::promotion() {
    const std::vector<NodeId>& learners = safety_.applied_conf().learners;
    if (learners.empty()) {
        return std::nullopt;
    }
    return Change{.command = command::MEMBER_PROMOTE,
                  .kind = raft::ConfChangeKind::kAddVoter,
                  .node = pick(learners)};
}

// First whom the cluster has lost for good.
std::optional<Admin::Change> Admin::removal(bool leader) {
    const raft::ConfState& conf = safety_.applied_conf();
    std::vector<NodeId> members = conf.voters;
    members.insert(members.end(), conf.learners.begin(), conf.learners.end());
    std::optional<NodeIndex> whom;
    for (const NodeId id : members) {
        const SimNode& node = *nodes_[SafetyChecker::index_of(id)];
        if (node.lost() || (leader && node.up() && node.view().is_leader)) {
            whom = node.index();
            if (node.lost()) {
                break;
            }
        }
    }
    if (!whom) {
        whom = pick(members);
    }
    return Change{
        .command = command::MEMBER_REMOVE, .kind = raft::ConfChangeKind::kRemove, .node = *whom};
}

std::optional<Admin::Change> Admin::update() {
    return Change{.command = command::MEMBER_UPDATE,
                  .kind = raft::ConfChangeKind::kUpdate,
                  .node = pick(safety_.applied_conf().voters)};
}

std::optional<Admin::Change> Admin::draw_change() {
    const AdminOptions& weights = options_.admin;
    std::uint64_t draw = prng_.below(weights.sum());
    const auto picked = [&](std::uint32_t weight) {
        if (draw < weight) {
            return true;
        }
        draw -= weight;
        return false;
    };
    if (picked(weights.add_learner)) {
        return addition(true);
    }
    if (picked(weights.add_voter)) {
        return addition(false);
    }
    if (picked(weights.promote)) {
        return promotion();
    }
    if (picked(weights.remove)) {
        return removal(false);
    }
    if (picked(weights.remove_leader)) {
        return removal(true);
    }
    return update();
}

// What the API's check before a reconfiguration is for: the members that still have their data
// decide alone, before the change and after it, and when all new voters have their votes.
bool Admin::leaves_quorum(const Change& change) const {
    const auto next = raft::apply_conf_change(
        safety_.applied_conf(),
        {.kind = change.kind, .node = SafetyChecker::id_of(change.node), .context = {}});
    if (!next) {
        return false;
    }
    const auto majority = [&](const std::vector<NodeId>& voters) {
        const auto well = std::count_if(voters.begin(), voters.end(), [&](NodeId id) {
            return !nodes_[SafetyChecker::index_of(id)]->damaged();
        });
        return static_cast<std::size_t>(well) > voters.size() / 2;
    };
    std::vector<NodeId> soon = next.value().voters;
    for (const NodeId id : next.value().learners) {
        if (workload_.votes_due().contains(SafetyChecker::index_of(id))) {
            soon.push_back(id);
        }
    }
    return majority(next.value().voters) && majority(soon);
}

void Admin::maybe_change() {
    if (safety_.applied_conf().voters.empty()) {
        return;
    }
    const auto change = draw_change();
    if (change && leaves_quorum(*change)) {
        propose(*change);
    }
}

void Admin::propose(const Change& change) {
    const NodeIndex through = pick(safety_.applied_conf().voters);
    if (!nodes_[through]->up()) {
        return;
    }
    command::MemberInfo info;
    info.set_id(SafetyChecker::id_of(change.node).value);
    info.set_is_learner(change.is_learner);
    info.add_peer_urls(fmt::format("http://node-{}:{}", change.node, prng_.below(1'000)));
    if (!workload_.administer(through, change.command, info.SerializeAsString())) {
        return;
    }
    counters_.strike(FaultClass::kMembership);
    if (verbose_) {
        fmt::print("{:>10} admin: {} node {} through {}\n", queue_.now(),
                   command::CommandKind_Name(change.command), change.node, through);
    }
}

}  // namespace cairn::sim
