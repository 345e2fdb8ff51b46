#include "sim/nemesis.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace cairn::sim {

Nemesis::Nemesis(const WorldParts& world, Prng prng, const Atlas& atlas, Nodes& nodes,
                 Workload& workload)
    : world_(world), prng_(prng), dice_(prng), atlas_(atlas), nodes_(nodes), workload_(workload) {}

void Nemesis::start() {
    if (world_.options.faults.sum() > 0) {
        world_.queue.after(
            draw_time(prng_, 1, world_.options.faults.gap_mean_ticks * world_.options.tick_us),
            NemesisEvent{});
    }
}

void Nemesis::handle(const NemesisEvent& event) {
    if (healed_) {
        return;
    }
    if (event.arg > 0) {
        if (const Undo undo = std::exchange(undos_[event.arg - 1], {}); undo) {
            undo();
        }
        return;
    }
    ++struck_;
    if (!world_.options.only_faults || world_.options.only_faults->contains(struck_)) {
        dice_ = prng_.split(fmt::format("strike/{}", struck_));
        strike();
    }
    start();
}

// Its class counts where it takes effect.
void Nemesis::note(const char* what, NodeIndex node) {
    ++world_.counters.faults;
    strikes_.push_back(
        Strike{.number = struck_, .time = world_.queue.now(), .what = what, .node = node});
    if (world_.verbose) {
        fmt::print("{:>10} nemesis: {} {}\n", world_.queue.now(), what, node);
    }
}

NodeIndex Nemesis::victim() {
    if (dice_.chance(world_.options.faults.aim_at_leader_permille, 1000)) {
        for (NodeIndex node = 0; node < nodes_.size(); ++node) {
            if (nodes_[node]->up() && nodes_[node]->view().is_leader) {
                return node;
            }
        }
    }
    const raft::ConfState& conf = world_.safety.applied_conf();
    if (conf.voters.empty() || dice_.chance(1, 10)) {
        return static_cast<NodeIndex>(dice_.below(nodes_.size()));
    }
    const std::size_t at = dice_.below(conf.voters.size() + conf.learners.size());
    return world_.safety.index_of(at < conf.voters.size() ? conf.voters[at]
                                                          : conf.learners[at - conf.voters.size()]);
}

NodeIndex Nemesis::other_than(NodeIndex node) {
    const auto count = static_cast<NodeIndex>(nodes_.size());
    return (node + 1 + static_cast<NodeIndex>(dice_.below(count - 1))) % count;
}

Time Nemesis::duration() {
    return draw_time(dice_, world_.options.tick_us / 10,
                     world_.options.faults.duration_mean_ticks * world_.options.tick_us);
}

void Nemesis::undo_later(Undo undo) {
    undos_.push_back(std::move(undo));
    world_.queue.after(duration(), NemesisEvent{.arg = undos_.size()});
}

void Nemesis::strike() {
    using Act = void (Nemesis::*)(NodeIndex);
    const FaultOptions& faults = world_.options.faults;
    const std::array<std::pair<std::uint32_t, Act>, 23> acts = {{
        {faults.crash, &Nemesis::crash},
        {faults.crash_at_effect, &Nemesis::crash_at_effect},
        {faults.crash_all, &Nemesis::crash_all},
        {faults.crash_in_recovery, &Nemesis::crash_in_recovery},
        {faults.crash_loop, &Nemesis::crash_loop},
        {faults.pause, &Nemesis::pause},
        {faults.isolate, &Nemesis::isolate},
        {faults.split, &Nemesis::split},
        {faults.one_way, &Nemesis::one_way},
        {faults.cut_link, &Nemesis::cut_link},
        {faults.clog, &Nemesis::clog},
        {faults.swizzle, &Nemesis::swizzle},
        {faults.slow_link, &Nemesis::slow_link},
        {faults.slow_disk, &Nemesis::slow_disk},
        {faults.hang_disk, &Nemesis::hang_disk},
        {faults.disk_error, &Nemesis::disk_error},
        {faults.disk_full, &Nemesis::disk_full},
        {faults.rot, &Nemesis::rot},
        {faults.misdirect, &Nemesis::misdirect},
        {faults.clock_jump, &Nemesis::clock_jump},
        {faults.clock_stop, &Nemesis::clock_stop},
        {faults.transfer, &Nemesis::transfer},
        {faults.overload, &Nemesis::overload},
    }};
    std::uint64_t draw = dice_.below(faults.sum());
    for (const auto& [weight, act] : acts) {
        if (draw < weight) {
            return (this->*act)(victim());
        }
        draw -= weight;
    }
}

void Nemesis::crash(NodeIndex node) {
    if (nodes_[node]->up()) {
        note("crash", node);
        nodes_[node]->crash(dice_.chance(1, 4) ? 1 : duration());
    }
}

void Nemesis::crash_at_effect(NodeIndex node) {
    if (!nodes_[node]->up()) {
        return;
    }
    note("crash at an effect of", node);
    nodes_[node]->crash_at_effect(dice_.between(1, 30), dice_.chance(1, 4) ? 1 : duration());
}

void Nemesis::crash_all(NodeIndex /*node*/) {
    note("crash all", 0);
    for (const auto& node : nodes_) {
        if (node->up()) {
            node->crash(duration());
        }
    }
}

void Nemesis::crash_in_recovery(NodeIndex node) {
    if (nodes_[node]->up()) {
        note("crash in recovery", node);
        nodes_[node]->crash(duration() / 4, dice_.between(1, 40));
    }
}

// Whoever is paused already stays so for as long as was said: what waits for the end of one pause
// must not be overtaken by what waits for that of another.
void Nemesis::pause(NodeIndex node) {
    if (nodes_[node]->up() && nodes_[node]->paused_until() <= world_.queue.now()) {
        note("pause", node);
        nodes_[node]->set_paused_until(world_.queue.now() + duration());
    }
}

void Nemesis::cut_pairs(std::vector<std::pair<NodeIndex, NodeIndex>> pairs) {
    for (const auto& [from, to] : pairs) {
        world_.net.cut(from, to, true);
    }
    undo_later([this, pairs = std::move(pairs)] {
        for (const auto& [from, to] : pairs) {
            world_.net.cut(from, to, false);
        }
    });
}

void Nemesis::isolate(NodeIndex node) {
    note("isolate", node);
    std::vector<std::pair<NodeIndex, NodeIndex>> pairs;
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
        if (other != node) {
            pairs.emplace_back(node, other);
            pairs.emplace_back(other, node);
        }
    }
    cut_pairs(std::move(pairs));
}

// Two random sides, in both directions or in one.
void Nemesis::split(NodeIndex /*node*/) {
    const std::uint64_t sides = dice_.next();
    const bool both = dice_.chance(3, 4);
    note("split", static_cast<NodeIndex>(sides & 0x1fU));
    std::vector<std::pair<NodeIndex, NodeIndex>> pairs;
    for (NodeIndex from = 0; from < nodes_.size(); ++from) {
        for (NodeIndex to = 0; to < nodes_.size(); ++to) {
            const bool from_left = ((sides >> from) & 1U) != 0;
            const bool to_left = ((sides >> to) & 1U) != 0;
            if (from_left != to_left && (from_left || both)) {
                pairs.emplace_back(from, to);
            }
        }
    }
    cut_pairs(std::move(pairs));
}

// It hears and is not heard, or the other way round.
void Nemesis::one_way(NodeIndex node) {
    const bool deaf = dice_.chance(1, 2);
    note(deaf ? "deafen" : "mute", node);
    std::vector<std::pair<NodeIndex, NodeIndex>> pairs;
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
        if (other != node) {
            pairs.emplace_back(deaf ? other : node, deaf ? node : other);
        }
    }
    cut_pairs(std::move(pairs));
}

void Nemesis::cut_link(NodeIndex node) {
    if (nodes_.size() < 2) {
        return;
    }
    note("cut one link of", node);
    const NodeIndex other = other_than(node);
    std::vector<std::pair<NodeIndex, NodeIndex>> pairs = {{node, other}};
    if (dice_.chance(2, 3)) {
        pairs.emplace_back(other, node);
    }
    cut_pairs(std::move(pairs));
}

void Nemesis::clog(NodeIndex node) {
    note("clog", node);
    const Time until = world_.queue.now() + duration();
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
        if (other != node && dice_.chance(2, 3)) {
            world_.net.clog(node, other, until);
        }
        if (other != node && dice_.chance(2, 3)) {
            world_.net.clog(other, node, until);
        }
    }
}

// Links close one after the other and open in another order.
void Nemesis::swizzle(NodeIndex /*node*/) {
    note("swizzle", 0);
    for (NodeIndex node = 0; node < nodes_.size(); ++node) {
        if (dice_.chance(1, 2)) {
            continue;
        }
        const Time begin = dice_.below(duration() + 1);
        undos_.emplace_back([this, node, until = world_.queue.now() + begin + duration()] {
            for (NodeIndex other = 0; other < nodes_.size(); ++other) {
                world_.net.clog(node, other, until);
                world_.net.clog(other, node, until);
            }
        });
        world_.queue.after(begin, NemesisEvent{.arg = undos_.size()});
    }
}

void Nemesis::slow_link(NodeIndex node) {
    if (nodes_.size() < 2) {
        return;
    }
    note("slow link of", node);
    const NodeIndex other = other_than(node);
    const Time factor = dice_.between(3, 60);
    const bool both = dice_.chance(1, 2);
    world_.net.slow(node, other, factor);
    world_.net.slow(other, node, both ? factor : 1);
    undo_later([this, node, other] {
        world_.net.slow(node, other, 1);
        world_.net.slow(other, node, 1);
    });
}

void Nemesis::crash_loop(NodeIndex node) {
    if (nodes_[node]->up()) {
        note("crash again and again", node);
        nodes_[node]->crash_again(static_cast<std::uint32_t>(dice_.between(2, 6)));
        nodes_[node]->crash(1);
    }
}

void Nemesis::hang_disk(NodeIndex node) {
    note("hanging disk", node);
    nodes_[node]->hang_disk(world_.queue.now() + duration());
}

void Nemesis::disk_error(NodeIndex node) {
    if (nodes_[node]->up()) {
        note("disk error", node);
        nodes_[node]->fail_disk();
    }
}

void Nemesis::disk_full(NodeIndex node) {
    note("full disk", node);
    nodes_[node]->limit_disk(dice_.below(20'000));
    undo_later([this, node] { nodes_[node]->limit_disk(std::nullopt); });
}

void Nemesis::damage(NodeIndex node, SimNode::Damage kind) {
    if (atlas_.may_damage(node) && nodes_[node]->damage(kind)) {
        const bool rots = kind == SimNode::Damage::kRot;
        note(rots ? "rot" : "misdirected write", node);
    }
}

void Nemesis::rot(NodeIndex node) { damage(node, SimNode::Damage::kRot); }
void Nemesis::misdirect(NodeIndex node) { damage(node, SimNode::Damage::kMisdirectedWrite); }

void Nemesis::clock_jump(NodeIndex node) {
    if (nodes_[node]->jump_clock(static_cast<std::uint32_t>(dice_.between(2, 60)))) {
        note("clock jumps", node);
    }
}

void Nemesis::clock_stop(NodeIndex node) {
    note("clock stands", node);
    nodes_[node]->stop_clock(world_.queue.now() + duration());
}

void Nemesis::overload(NodeIndex /*node*/) {
    note("overload", 0);
    workload_.overload(true);
    undo_later([this] { workload_.overload(false); });
}

void Nemesis::slow_disk(NodeIndex node) {
    note("slow disk", node);
    nodes_[node]->set_disk_factor(dice_.between(5, 100));
    undo_later([this, node] { nodes_[node]->set_disk_factor(1); });
}

// Also from one that does not lead, which must refuse; where members change, mostly to one that is
// on its way out.
void Nemesis::transfer(NodeIndex node) {
    if (!nodes_[node]->up()) {
        return;
    }
    note("transfer leadership from", node);
    const raft::ConfState& conf = world_.safety.newest_conf(node);
    std::vector<NodeId> leaving;
    std::set_difference(conf.voters_outgoing.begin(), conf.voters_outgoing.end(),
                        conf.voters.begin(), conf.voters.end(), std::back_inserter(leaving));
    const bool any = nodes_.size() < 2 || dice_.chance(1, 4);
    const NodeId to = any ? NodeId{} : world_.safety.id_of(other_than(node));
    nodes_[node]->transfer(leaving.empty() || dice_.chance(1, 4) ? to : leaving.front());
}

void Nemesis::heal() {
    healed_ = true;
    world_.net.heal();
    for (const auto& node : nodes_) {
        node->heal();
    }
}

}  // namespace cairn::sim
