#include "sim/sim_net.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace cairn::sim {

// An exponential draw without floating point: the sum over halvings, each as likely as not, and a
// uniform rest. Mean and shape are close enough; equal on all machines.
Time draw_time(Prng& prng, Time min, Time mean) {
    const std::uint64_t bits = prng.next();
    const auto halvings = static_cast<Time>(std::countr_zero(bits | (1ULL << 20U)));
    const Time half_life = mean * 7 / 10;
    return min + halvings * half_life + (half_life > 0 ? prng.below(half_life) : 0);
}

SimNet::SimNet(const Options& options, Prng prng, EventQueue& queue, Counters& counters)
    : options_(options.net),
      prng_(prng),
      queue_(queue),
      counters_(counters),
      nodes_(options.slots()),
      links_(std::size_t{nodes_} * nodes_) {}

Time SimNet::draw_delay() {
    const Time delay = draw_time(prng_, options_.delay_min_us, options_.delay_mean_us);
    if (!prng_.chance(options_.tail_permille, 1000)) {
        return delay;
    }
    counters_.saw(FaultClass::kDelay);
    return delay * 50;
}

void SimNet::send(NodeIndex from, NodeIndex to, raft::Message message) {
    Link& path = link(from, to);
    const bool lost = prng_.chance(options_.drop_permille, 1000);
    if (path.cuts > 0 || lost) {
        ++counters_.messages;
        counters_.saw(path.cuts > 0 ? FaultClass::kPartition : FaultClass::kLoss);
        if (options_.report_loss && prng_.chance(1, 4)) {
            losses_.push_back(Loss{.at = from, .peer = to});
        }
        return;
    }
    const bool twice = prng_.chance(options_.duplicate_permille, 1000);
    if (twice) {
        counters_.saw(FaultClass::kRepeat);
    }
    for (int copy = twice ? 0 : 1; copy < 2; ++copy) {
        Time arrival = queue_.now() + draw_delay() * path.factor;
        if (path.factor > 1) {
            counters_.saw(FaultClass::kDelay);
        }
        if (path.clogged_until > arrival) {
            counters_.saw(FaultClass::kClog);
            arrival = path.clogged_until;
        }
        if (options_.fifo) {
            arrival = std::max(arrival, path.last_arrival + 1);
            path.last_arrival = arrival;
        }
        queue_.at(arrival, Delivery{.to = to, .message = message});
    }
}

void SimNet::heal() {
    options_.drop_permille = 0;
    options_.duplicate_permille = 0;
    options_.tail_permille = 0;
    options_.delay_mean_us = std::min<Time>(options_.delay_mean_us, 1'000);
    for (Link& path : links_) {
        path.cuts = 0;
        path.factor = 1;
        path.clogged_until = 0;
        path.last_arrival = std::min(path.last_arrival, queue_.now());
    }
}

}  // namespace cairn::sim
