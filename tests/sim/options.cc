#include "sim/options.h"

#include <array>

#include <fmt/format.h>

#include "base/prng.h"

namespace cairn::sim {
namespace {

constexpr std::array<const char*, kSabotageCount> kSabotageNames = {
    "none",          "skip-sync",          "ack-before-persist", "drop-hard-state",
    "forget-vote",   "read-without-index", "apply-twice",        "skip-apply",
    "retry-unknown", "lie-not-applied",    "inflate-match"};

std::uint32_t draw_nodes(Prng& prng) {
    static constexpr std::array<std::uint32_t, 20> kNodes = {1, 2, 3, 3, 3, 3, 3, 3, 3, 3,
                                                             3, 3, 3, 4, 5, 5, 5, 5, 5, 3};
    return kNodes[prng.below(kNodes.size())];
}

NetOptions draw_net(Prng prng, bool quiet) {
    static constexpr std::array<Time, 4> kMeans = {200, 1'000, 4'000, 15'000};
    NetOptions net;
    net.delay_min_us = prng.between(10, 500);
    net.delay_mean_us = kMeans[prng.below(quiet ? 2 : kMeans.size())];
    net.fifo = prng.chance(1, 3);
    if (!quiet) {
        net.drop_permille = prng.chance(1, 2) ? static_cast<std::uint32_t>(prng.below(100)) : 0;
        net.duplicate_permille =
            prng.chance(1, 2) ? static_cast<std::uint32_t>(prng.below(200)) : 0;
        net.tail_permille = prng.chance(1, 2) ? static_cast<std::uint32_t>(prng.below(20)) : 0;
    }
    net.report_loss = prng.chance(1, 2);
    return net;
}

DiskOptions draw_disk(Prng prng, bool quiet) {
    static constexpr std::array<Time, 4> kMeans = {50, 300, 1'500, 8'000};
    DiskOptions disk;
    disk.write_min_us = prng.between(10, 300);
    disk.write_mean_us = kMeans[prng.below(quiet ? 2 : kMeans.size())];
    disk.apply_min_us = prng.between(5, 100);
    disk.apply_mean_us = kMeans[prng.below(quiet ? 2 : kMeans.size())];
    disk.slow_permille =
        !quiet && prng.chance(1, 3) ? static_cast<std::uint32_t>(prng.below(20)) : 0;
    // Small segments: a run then sees many of them end, begin and go.
    disk.segment_bytes = std::uint64_t{16'384} << prng.below(4);
    disk.flush_mean_ticks = prng.chance(1, 5) ? 0 : prng.between(5, 150);
    disk.torn = prng.chance(3, 4);
    return disk;
}

FaultOptions draw_faults(Prng prng) {
    FaultOptions faults;
    const auto weight = [&]() {
        return prng.chance(1, 2) ? static_cast<std::uint32_t>(prng.between(1, 10)) : 0;
    };
    faults.crash = weight();
    faults.crash_at_effect = weight();
    faults.crash_all = weight() / 3;
    faults.crash_in_recovery = weight() / 2;
    faults.pause = weight();
    faults.isolate = weight();
    faults.split = weight();
    faults.one_way = weight();
    faults.cut_link = weight();
    faults.clog = weight();
    faults.slow_disk = weight();
    faults.transfer = weight();
    faults.gap_mean_ticks = prng.between(5, 60);
    faults.duration_mean_ticks = prng.between(5, 50);
    faults.aim_at_leader_permille = static_cast<std::uint32_t>(prng.below(800));
    return faults;
}

// One kind of fault only, so that its own consequences show undisturbed.
FaultOptions only_one(FaultOptions faults, Prng prng) {
    const std::array<std::uint32_t FaultOptions::*, 12> kinds = {
        &FaultOptions::crash,     &FaultOptions::crash_at_effect,
        &FaultOptions::crash_all, &FaultOptions::crash_in_recovery,
        &FaultOptions::pause,     &FaultOptions::isolate,
        &FaultOptions::split,     &FaultOptions::one_way,
        &FaultOptions::cut_link,  &FaultOptions::clog,
        &FaultOptions::slow_disk, &FaultOptions::transfer};
    for (const auto kind : kinds) {
        faults.*kind = 0;
    }
    faults.*kinds[prng.below(kinds.size())] = 1;
    return faults;
}

LoadOptions draw_load(Prng prng) {
    static constexpr std::array<Time, 3> kThink = {2'000, 10'000, 40'000};
    LoadOptions load;
    load.clients = static_cast<std::uint32_t>(prng.between(2, 10));
    load.keys = static_cast<std::uint32_t>(prng.between(1, 12));
    load.think_mean_us = kThink[prng.below(kThink.size())];
    load.deadline_ticks = prng.chance(1, 2) ? prng.between(10, 80) : 0;
    load.reply_loss_permille = prng.chance(1, 3) ? static_cast<std::uint32_t>(prng.below(50)) : 0;
    load.value_bytes_max = prng.chance(1, 6) ? 3'000 : 120;
    load.compact = prng.chance(2, 3) ? static_cast<std::uint32_t>(prng.between(1, 4)) : 0;
    load.serial_read = static_cast<std::uint32_t>(prng.between(2, 12));
    return load;
}

raft::Config draw_raft(Prng prng) {
    raft::Config config;
    config.election_ticks = static_cast<std::uint32_t>(prng.between(5, 12));
    config.heartbeat_ticks = static_cast<std::uint32_t>(prng.between(1, 2));
    config.pre_vote = !prng.chance(1, 5);
    config.check_quorum = !prng.chance(1, 5);
    if (prng.chance(1, 2)) {
        config.append_bytes_max = prng.between(1, 2'000);
    }
    if (prng.chance(1, 2)) {
        config.inflight_count_max = static_cast<std::uint32_t>(prng.between(1, 8));
    }
    if (prng.chance(1, 3)) {
        config.inflight_bytes_max = prng.between(1, 4'000);
    }
    if (prng.chance(1, 4)) {
        config.uncommitted_bytes_max = prng.between(1, 4'000);
    }
    if (prng.chance(1, 3)) {
        config.apply_bytes_max = prng.between(1, 2'000);
    }
    if (prng.chance(1, 6)) {
        config.apply_gap_max = prng.between(1, 20);
    }
    return config;
}

}  // namespace

const char* sabotage_name(Sabotage sabotage) {
    return kSabotageNames[static_cast<std::size_t>(sabotage)];
}

std::uint32_t FaultOptions::sum() const {
    return crash + crash_at_effect + crash_all + crash_in_recovery + pause + isolate + split +
           one_way + cut_link + clog + slow_disk + transfer;
}

Options Options::draw(std::uint64_t seed) {
    const Prng root = Prng(seed).split("options");
    Prng prng = root.split("cluster");
    Options options;
    options.seed = seed;
    options.nodes = draw_nodes(prng);
    options.uneven_ticks = prng.chance(1, 3);
    options.turn_delay_us = prng.chance(1, 2) ? 0 : prng.between(1, 2'000);
    options.fault_ticks = prng.between(150, 600);
    options.request_timeout_ticks = prng.between(20, 60);
    options.read_retry_ticks = prng.between(2, 6);
    options.apply_bytes_max = prng.chance(1, 3) ? prng.between(1, 2'000) : 4U << 20U;
    // One seed in ten is calm, one in ten has a single kind of fault.
    const std::uint64_t mood = prng.below(10);
    const bool quiet = mood == 0;
    options.raft = draw_raft(root.split("raft"));
    options.net = draw_net(root.split("net"), quiet);
    options.disk = draw_disk(root.split("disk"), quiet);
    options.load = draw_load(root.split("load"));
    if (quiet) {
        // The first election may be split a few times: calls that came before it wait that long.
        options.request_timeout_ticks += 10 * std::uint64_t{options.raft.election_ticks};
    } else {
        options.faults = draw_faults(root.split("faults"));
    }
    if (mood == 1) {
        options.faults = only_one(options.faults, root.split("only"));
    }
    return options;
}

bool Options::calm() const {
    return faults.sum() == 0 && net.drop_permille == 0 && net.tail_permille == 0 &&
           net.delay_mean_us <= 1'000 && disk.write_mean_us <= 300 && disk.slow_permille == 0;
}

std::string Options::describe() const {
    std::string out = fmt::format(
        "seed {} nodes {} tick_us {} uneven {} turn_us {} fault_ticks {} timeout {} retry {} "
        "apply_bytes {} sabotage {}\n",
        seed, nodes, tick_us, uneven_ticks, turn_delay_us, fault_ticks, request_timeout_ticks,
        read_retry_ticks, apply_bytes_max, sabotage_name(sabotage));
    out += fmt::format(
        "raft election {} heartbeat {} pre_vote {} check_quorum {} append_bytes {} inflight {}/{} "
        "uncommitted {} apply_bytes {} apply_gap {}\n",
        raft.election_ticks, raft.heartbeat_ticks, raft.pre_vote, raft.check_quorum,
        raft.append_bytes_max, raft.inflight_count_max, raft.inflight_bytes_max,
        raft.uncommitted_bytes_max, raft.apply_bytes_max, raft.apply_gap_max);
    out += fmt::format(
        "net delay {}+{} fifo {} drop {} dup {} tail {} report_loss {}\n"
        "disk write {}+{} apply {}+{} slow {} segment {} flush_ticks {} torn {}\n",
        net.delay_min_us, net.delay_mean_us, net.fifo, net.drop_permille, net.duplicate_permille,
        net.tail_permille, net.report_loss, disk.write_min_us, disk.write_mean_us,
        disk.apply_min_us, disk.apply_mean_us, disk.slow_permille, disk.segment_bytes,
        disk.flush_mean_ticks, disk.torn);
    out += fmt::format(
        "faults crash {} at_effect {} all {} in_recovery {} pause {} isolate {} split {} one_way "
        "{} "
        "cut {} clog {} slow_disk {} transfer {} gap {} duration {} at_leader {}\n",
        faults.crash, faults.crash_at_effect, faults.crash_all, faults.crash_in_recovery,
        faults.pause, faults.isolate, faults.split, faults.one_way, faults.cut_link, faults.clog,
        faults.slow_disk, faults.transfer, faults.gap_mean_ticks, faults.duration_mean_ticks,
        faults.aim_at_leader_permille);
    out += fmt::format(
        "load clients {} keys {} think {} deadline {} reply_loss {} value {} put {} del {} cas {} "
        "txn {} lin {} ser {} compact {}\n",
        load.clients, load.keys, load.think_mean_us, load.deadline_ticks, load.reply_loss_permille,
        load.value_bytes_max, load.put, load.remove, load.compare_and_set, load.txn,
        load.linear_read, load.serial_read, load.compact);
    return out;
}

}  // namespace cairn::sim
