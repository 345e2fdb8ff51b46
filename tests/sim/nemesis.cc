#include "sim/nemesis.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace cairn::sim {

Nemesis::Nemesis(const WorldParts& world, Prng prng, Nodes& nodes)
    : options_(world.options),
      prng_(prng),
      queue_(world.queue),
      net_(world.net),
      nodes_(nodes),
      verbose_(world.verbose) {}

void Nemesis::start() {
    if (options_.faults.sum() > 0) {
        queue_.after(draw_time(prng_, 1, options_.faults.gap_mean_ticks * options_.tick_us),
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
    strike();
    start();
}

void Nemesis::say(const char* what, NodeIndex node) const {
    if (verbose_) {
        fmt::print("{:>10} nemesis: {} {}\n", queue_.now(), what, node);
    }
}

NodeIndex Nemesis::victim() {
    if (prng_.chance(options_.faults.aim_at_leader_permille, 1000)) {
        for (NodeIndex node = 0; node < nodes_.size(); ++node) {
            if (nodes_[node]->up() && nodes_[node]->view().is_leader) {
                return node;
            }
        }
    }
    return static_cast<NodeIndex>(prng_.below(nodes_.size()));
}

NodeIndex Nemesis::other_than(NodeIndex node) {
    const auto count = static_cast<NodeIndex>(nodes_.size());
    return (node + 1 + static_cast<NodeIndex>(prng_.below(count - 1))) % count;
}

Time Nemesis::duration() {
    return draw_time(prng_, options_.tick_us / 10,
                     options_.faults.duration_mean_ticks * options_.tick_us);
}

void Nemesis::undo_later(Undo undo) {
    undos_.push_back(std::move(undo));
    queue_.after(duration(), NemesisEvent{.arg = undos_.size()});
}

void Nemesis::strike() {
    using Act = void (Nemesis::*)(NodeIndex);
    const FaultOptions& faults = options_.faults;
    const std::array<std::pair<std::uint32_t, Act>, 10> acts = {{
        {faults.crash, &Nemesis::crash},
        {faults.crash_at_effect, &Nemesis::crash_at_effect},
        {faults.crash_in_recovery, &Nemesis::crash_in_recovery},
        {faults.pause, &Nemesis::pause},
        {faults.isolate, &Nemesis::isolate},
        {faults.one_way, &Nemesis::one_way},
        {faults.cut_link, &Nemesis::cut_link},
        {faults.clog, &Nemesis::clog},
        {faults.slow_disk, &Nemesis::slow_disk},
        {faults.transfer, &Nemesis::transfer},
    }};
    std::uint64_t draw = prng_.below(faults.sum());
    for (const auto& [weight, act] : acts) {
        if (draw < weight) {
            return (this->*act)(victim());
        }
        draw -= weight;
    }
    if (draw < faults.crash_all) {
        return crash_all();
    }
    split();
}

void Nemesis::crash(NodeIndex node) {
    if (nodes_[node]->up()) {
        say("crash", node);
        nodes_[node]->crash(prng_.chance(1, 4) ? 1 : duration());
    }
}

void Nemesis::crash_at_effect(NodeIndex node) {
    say("crash at an effect of", node);
    nodes_[node]->crash_at_effect(prng_.between(1, 30), prng_.chance(1, 4) ? 1 : duration());
}

void Nemesis::crash_all() {
    say("crash all", 0);
    for (const auto& node : nodes_) {
        if (node->up()) {
            node->crash(duration());
        }
    }
}

void Nemesis::crash_in_recovery(NodeIndex node) {
    if (nodes_[node]->up()) {
        say("crash in recovery", node);
        nodes_[node]->crash(duration() / 4, prng_.between(1, 40));
    }
}

void Nemesis::pause(NodeIndex node) {
    say("pause", node);
    nodes_[node]->set_paused_until(queue_.now() + duration());
}

void Nemesis::cut_pairs(std::vector<std::pair<NodeIndex, NodeIndex>> pairs) {
    for (const auto& [from, to] : pairs) {
        net_.cut(from, to, true);
    }
    undo_later([this, pairs = std::move(pairs)] {
        for (const auto& [from, to] : pairs) {
            net_.cut(from, to, false);
        }
    });
}

void Nemesis::isolate(NodeIndex node) {
    say("isolate", node);
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
void Nemesis::split() {
    const std::uint64_t sides = prng_.next();
    const bool both = prng_.chance(3, 4);
    say("split", static_cast<NodeIndex>(sides & 0x1fU));
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
    const bool deaf = prng_.chance(1, 2);
    say(deaf ? "deafen" : "mute", node);
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
    say("cut one link of", node);
    const NodeIndex other = other_than(node);
    std::vector<std::pair<NodeIndex, NodeIndex>> pairs = {{node, other}};
    if (prng_.chance(2, 3)) {
        pairs.emplace_back(other, node);
    }
    cut_pairs(std::move(pairs));
}

void Nemesis::clog(NodeIndex node) {
    say("clog", node);
    const Time until = queue_.now() + duration();
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
        if (other != node && prng_.chance(2, 3)) {
            net_.clog(node, other, until);
        }
        if (other != node && prng_.chance(2, 3)) {
            net_.clog(other, node, until);
        }
    }
}

void Nemesis::slow_disk(NodeIndex node) {
    say("slow disk", node);
    nodes_[node]->set_disk_factor(prng_.between(5, 100));
    undo_later([this, node] { nodes_[node]->set_disk_factor(1); });
}

void Nemesis::transfer(NodeIndex node) {
    say("transfer leadership from", node);
    const bool any = nodes_.size() < 2 || prng_.chance(1, 4);
    nodes_[node]->transfer(any ? NodeId{} : SafetyChecker::id_of(other_than(node)));
}

void Nemesis::heal() {
    healed_ = true;
    net_.heal();
    for (const auto& node : nodes_) {
        node->heal();
    }
}

}  // namespace cairn::sim
