#include "sim/admin.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "proto/etcd/rpc_cluster.pb.h"
#include "raft/conf_change.h"
#include "sim/shadow_conf.h"
#include "sim/weighted_draw.h"

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

Admin::Admin(const WorldParts& world, Prng prng, const Atlas& atlas, Nodes& nodes,
             Workload& workload)
    : world_(world), prng_(prng), atlas_(atlas), nodes_(nodes), workload_(workload) {}

void Admin::start() {
    if (world_.options.admin.sum() > 0) {
        next_change_ =
            draw_time(prng_, 1, world_.options.admin.gap_mean_ticks * world_.options.tick_us);
        world_.queue.after(kLookTicks * world_.options.tick_us, AdminEvent{});
    }
}

void Admin::handle() {
    follow();
    if (!healed_ && world_.queue.now() >= next_change_ && !workload_.admin_waits()) {
        next_change_ =
            world_.queue.now() +
            draw_time(prng_, 1, world_.options.admin.gap_mean_ticks * world_.options.tick_us);
        maybe_change();
    }
    world_.queue.after(kLookTicks * world_.options.tick_us, AdminEvent{});
}

void Admin::heal() {
    healed_ = true;
    follow();
}

// In the configuration that is applied, or in one that a member has in its log.
bool Admin::is_named(const SimNode& node) const {
    return node.is_member() || std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& other) {
               return other.get() != &node && other->up() && other->is_member() &&
                      is_in(world_.safety.newest_conf(other->index()),
                            world_.safety.id_of(node.index()));
           });
}

// For good, though somebody who is behind names him: with neither pre-vote nor check-quorum, which
// cairnd always has, he may then be in the way for ever.
bool Admin::is_in_the_way(const SimNode& node) const {
    return !world_.options.raft.pre_vote && !world_.options.raft.check_quorum &&
           world_.safety.was_member(node.index()) && !node.is_member();
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
        } else if (node->started() && !node->retired() && !node->lost() &&
                   (healed_ ? !named || is_in_the_way(*node)
                            : !named && world_.safety.was_member(node->index()) &&
                                  prng_.chance(1, 12))) {
            node->retire();
        }
    }
}

NodeIndex Admin::pick(const std::vector<NodeId>& ids) {
    return world_.safety.index_of(ids[prng_.below(ids.size())]);
}

std::optional<MemberChange> Admin::addition(bool is_learner) {
    const std::vector<MemberChange> open = workload_.open_changes();
    const auto is_asked_for = [&](NodeIndex node) {
        return std::any_of(open.begin(), open.end(), [&](const MemberChange& change) {
            return change.command == command::MEMBER_ADD && change.node == node;
        });
    };
    const auto spare = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& node) {
        return !node->started() && !node->is_member() && !world_.safety.was_member(node->index()) &&
               !is_asked_for(node->index());
    });
    if (spare == nodes_.end() ||
        member_count(world_.safety.applied_conf()) >= world_.options.admin.members_max) {
        return std::nullopt;
    }
    return MemberChange{
        .command = command::MEMBER_ADD, .node = (*spare)->index(), .is_learner = is_learner};
}

std::optional<MemberChange> Admin::promotion() {
    const std::vector<NodeId>& learners = world_.safety.applied_conf().learners;
    if (learners.empty()) {
        return std::nullopt;
    }
    return MemberChange{.command = command::MEMBER_PROMOTE, .node = pick(learners)};
}

// First whom the cluster has lost for good.
std::optional<MemberChange> Admin::removal(bool leader) {
    const raft::ConfState& conf = world_.safety.applied_conf();
    std::vector<NodeId> members = conf.voters;
    members.insert(members.end(), conf.learners.begin(), conf.learners.end());
    std::optional<NodeIndex> whom;
    for (const NodeId id : members) {
        const SimNode& node = *nodes_[world_.safety.index_of(id)];
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
    return MemberChange{.command = command::MEMBER_REMOVE, .node = *whom};
}

std::optional<MemberChange> Admin::update() {
    return MemberChange{.command = command::MEMBER_UPDATE,
                        .node = pick(world_.safety.applied_conf().voters)};
}

std::optional<MemberChange> Admin::draw_change() {
    const AdminOptions& weights = world_.options.admin;
    WeightedDraw draw(prng_, weights.sum());
    if (draw.picks(weights.add_learner)) {
        return addition(true);
    }
    if (draw.picks(weights.add_voter)) {
        return addition(false);
    }
    if (draw.picks(weights.promote)) {
        return promotion();
    }
    if (draw.picks(weights.remove)) {
        return removal(false);
    }
    if (draw.picks(weights.remove_leader)) {
        return removal(true);
    }
    return update();
}

// In the configuration of now; what it may have become when the change arrives is another matter.
bool Admin::makes_sense(const MemberChange& change) const {
    using Kind = raft::ConfChangeKind;
    Kind kind = Kind::kUpdate;
    if (change.gives_vote()) {
        kind = Kind::kAddVoter;
    } else if (change.command == command::MEMBER_ADD) {
        kind = Kind::kAddLearner;
    } else if (change.command == command::MEMBER_REMOVE) {
        kind = Kind::kRemove;
    }
    return conf_after(world_.safety.applied_conf(),
                      {.kind = kind, .node = world_.safety.id_of(change.node)})
        .has_value();
}

void Admin::maybe_change() {
    if (world_.safety.applied_conf().voters.empty()) {
        return;
    }
    const auto change = draw_change();
    if (change && makes_sense(*change) && atlas_.may_change(*change)) {
        propose(*change);
    }
}

Request Admin::request_of(const MemberChange& change) {
    const std::uint64_t id = world_.safety.id_of(change.node).value;
    const std::string url = fmt::format("http://node-{}:{}", change.node, prng_.between(1, 1'000));
    const auto make = [](wire::MethodId method, const google::protobuf::Message& message) {
        return Request{.op = {.request = message.SerializeAsString()}, .method = method};
    };
    if (change.command == command::MEMBER_ADD) {
        etcdserverpb::MemberAddRequest request;
        request.add_peerurls(url);
        request.set_islearner(change.is_learner);
        return make(wire::MethodId::kClusterMemberAdd, request);
    }
    if (change.command == command::MEMBER_REMOVE) {
        etcdserverpb::MemberRemoveRequest request;
        request.set_id(id);
        return make(wire::MethodId::kClusterMemberRemove, request);
    }
    if (change.command == command::MEMBER_PROMOTE) {
        etcdserverpb::MemberPromoteRequest request;
        request.set_id(id);
        return make(wire::MethodId::kClusterMemberPromote, request);
    }
    etcdserverpb::MemberUpdateRequest request;
    request.set_id(id);
    request.add_peerurls(url);
    return make(wire::MethodId::kClusterMemberUpdate, request);
}

void Admin::propose(const MemberChange& change) {
    const NodeIndex through = pick(world_.safety.applied_conf().voters);
    if (!nodes_[through]->up()) {
        return;
    }
    if (!workload_.administer(through, change, request_of(change))) {
        return;
    }
    ++world_.counters.faults;
    if (world_.verbose) {
        fmt::print("{:>10} admin: {} node {} through {}\n", world_.queue.now(),
                   command::CommandKind_Name(change.command), change.node, through);
    }
}

}  // namespace cairn::sim
