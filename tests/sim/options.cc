#include "sim/options.h"

#include <array>
#include <bitset>

#include <fmt/format.h>

#include "base/prng.h"
#include "sim/counters.h"

namespace cairn::sim {
namespace {

#ifdef CAIRN_DCHECKS
constexpr bool kRareWays = true;
#else
constexpr bool kRareWays = false;  // CAIRN_BUGGIFY is the constant false
#endif

constexpr std::uint32_t kInflightReorderedMax = 32;
constexpr std::array<const char*, kSabotageCount> kSabotageNames = {
    "none",          "skip-sync",          "ack-before-persist", "drop-hard-state",
    "forget-vote",   "read-without-index", "apply-twice",        "skip-apply",
    "retry-unknown", "lie-not-applied",    "inflate-match",      "survive-disk"};

std::uint32_t draw_nodes(Prng& prng) {
    static constexpr std::array<std::uint32_t, 20> kNodes = {1, 2, 3, 3, 3, 3, 3, 3, 3, 3,
                                                             3, 3, 3, 4, 5, 5, 5, 5, 6, 7};
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
    net.ship_mean_us = Time{2'000} << prng.below(8);
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
    disk.flush_mean_ticks = prng.chance(1, 20) ? 0 : prng.between(5, 150);
    disk.torn = prng.chance(3, 4);
    disk.failed_sync_reads_new = prng.chance(1, 2);
    disk.unbounded = prng.chance(1, 20);
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
    faults.crash_loop = weight() / 2;
    faults.swizzle = weight() / 2;
    faults.slow_link = weight();
    faults.hang_disk = weight() / 2;
    faults.disk_error = weight() / 2;
    faults.disk_full = weight() / 2;
    faults.rot = weight() / 4;
    faults.misdirect = weight() / 4;
    faults.clock_jump = weight() / 2;
    faults.clock_stop = weight() / 2;
    faults.overload = weight() / 3;
    faults.gap_mean_ticks = prng.between(5, 60);
    faults.duration_mean_ticks = prng.between(5, 50);
    faults.aim_at_leader_permille = static_cast<std::uint32_t>(prng.below(800));
    return faults;
}

// In the order of the draws.
struct FaultKind {
    std::uint32_t FaultOptions::*weight;
    const char* name;
    FaultClass fault_class;
};
constexpr std::array<FaultKind, 23> kFaultKinds = {{
    {&FaultOptions::crash, "crash", FaultClass::kCrash},
    {&FaultOptions::crash_at_effect, "at_effect", FaultClass::kCrash},
    {&FaultOptions::crash_all, "all", FaultClass::kCrash},
    {&FaultOptions::pause, "pause", FaultClass::kPause},
    {&FaultOptions::isolate, "isolate", FaultClass::kPartition},
    {&FaultOptions::split, "split", FaultClass::kPartition},
    {&FaultOptions::one_way, "one_way", FaultClass::kPartition},
    {&FaultOptions::cut_link, "cut", FaultClass::kPartition},
    {&FaultOptions::clog, "clog", FaultClass::kClog},
    {&FaultOptions::slow_disk, "slow_disk", FaultClass::kSlowDisk},
    {&FaultOptions::transfer, "transfer", FaultClass::kTransfer},
    {&FaultOptions::crash_in_recovery, "in_recovery", FaultClass::kCrash},
    {&FaultOptions::crash_loop, "crash_loop", FaultClass::kCrashLoop},
    {&FaultOptions::swizzle, "swizzle", FaultClass::kClog},
    {&FaultOptions::slow_link, "slow_link", FaultClass::kDelay},
    {&FaultOptions::hang_disk, "hang_disk", FaultClass::kSlowDisk},
    {&FaultOptions::disk_error, "disk_error", FaultClass::kDiskError},
    {&FaultOptions::disk_full, "disk_full", FaultClass::kDiskFull},
    {&FaultOptions::rot, "rot", FaultClass::kRot},
    {&FaultOptions::misdirect, "misdirect", FaultClass::kRot},
    {&FaultOptions::clock_jump, "clock_jump", FaultClass::kClock},
    {&FaultOptions::clock_stop, "clock_stop", FaultClass::kClock},
    {&FaultOptions::overload, "overload", FaultClass::kOverload},
}};

// Whether faults of the class take effect in every run that has any: not rot, which the atlas may
// not allow, and for one that is `alone` nothing that needs others.
bool is_sure(FaultClass fault_class, bool alone) {
    const bool needs_others =
        fault_class == FaultClass::kPartition || fault_class == FaultClass::kDelay ||
        fault_class == FaultClass::kClog || fault_class == FaultClass::kTransfer;
    return fault_class != FaultClass::kRot && !(alone && needs_others);
}

bool has_enough_kinds(const FaultOptions& faults, bool alone) {
    std::bitset<kFaultClassCount> classes;
    for (const FaultKind& kind : kFaultKinds) {
        if (faults.*kind.weight > 0 && is_sure(kind.fault_class, alone)) {
            classes.set(static_cast<std::size_t>(kind.fault_class));
        }
    }
    return classes.count() >= kFaultClassesMin;
}

// As few kinds as count, of different classes.
FaultOptions few_kinds(Prng prng, FaultOptions faults, bool alone) {
    std::bitset<kFaultClassCount> classes;
    for (const FaultKind& kind : kFaultKinds) {
        faults.*kind.weight = 0;
    }
    while (classes.count() < kFaultClassesMin) {
        const FaultKind& kind = kFaultKinds[prng.below(kFaultKinds.size())];
        const auto at = static_cast<std::size_t>(kind.fault_class);
        if (is_sure(kind.fault_class, alone) && !classes.test(at)) {
            classes.set(at);
            faults.*kind.weight = 1;
        }
    }
    return faults;
}

AdminOptions draw_admin(Prng prng) {
    const auto weight = [&]() {
        return prng.chance(2, 3) ? static_cast<std::uint32_t>(prng.between(1, 10)) : 0;
    };
    AdminOptions admin;
    admin.spares = static_cast<std::uint32_t>(prng.between(1, 6));
    admin.members_max = static_cast<std::uint32_t>(prng.between(3, 7));
    admin.add_learner = weight();
    admin.add_voter = weight();
    admin.promote = weight();
    admin.remove = weight();
    admin.remove_leader = weight() / 2;
    admin.update = weight() / 3;
    admin.gap_mean_ticks = prng.between(10, 120);
    return admin;
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

server::SnapshotLimits draw_snapshots(Prng prng) {
    server::SnapshotLimits limits;
    limits.chunk_bytes = std::size_t{4'096} << prng.below(6);
    limits.window_bytes = limits.chunk_bytes * prng.between(1, 8);
    limits.queue_bytes_max = limits.window_bytes + limits.chunk_bytes;
    limits.bytes_per_tick = prng.chance(1, 4) ? prng.between(30'000, 300'000) : 0;
    limits.stall_ticks = static_cast<std::uint32_t>(prng.between(20, 200));
    limits.retry_ticks = static_cast<std::uint32_t>(prng.between(1, 20));
    limits.retry_ticks_max = limits.retry_ticks * static_cast<std::uint32_t>(prng.between(1, 4));
    limits.keep_built_ticks = static_cast<std::uint32_t>(prng.between(5, 200));
    limits.keep_partial_ticks = static_cast<std::uint32_t>(prng.between(20, 500));
    return limits;
}

raft::Config draw_raft(Prng prng, Time tick_us) {
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
    // What is kept for the others: often so little that a member behind needs a snapshot.
    if (prng.chance(2, 3)) {
        config.log_bytes_max = prng.between(500, 60'000);
        config.catch_up_bytes_max = prng.between(500, 120'000);
    }
    if (prng.chance(1, 4)) {
        config.unflushed_bytes_max = prng.between(60'000, 400'000);
    }
    if (prng.chance(1, 3)) {
        config.lease_promise_ns =
            prng.between(1, 2 * std::uint64_t{config.election_ticks}) * tick_us * 1'000;
    }
    if (prng.chance(1, 4)) {
        config.log_entries_max = prng.between(5, 600);
        config.catch_up_entries_max = prng.between(5, 1'200);
    }
    if (prng.chance(1, 3)) {
        // So much that nobody is at it yet when the others have long ended.
        config.compact_entries_max = prng.between(200, 2'000);
    }
    return config;
}

}  // namespace

const char* sabotage_name(Sabotage sabotage) {
    return kSabotageNames[static_cast<std::size_t>(sabotage)];
}

std::uint32_t FaultOptions::sum() const {
    std::uint32_t sum = 0;
    for (const FaultKind& kind : kFaultKinds) {
        sum += this->*kind.weight;
    }
    return sum;
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
    // One seed in ten is calm, and in one of ten the nemesis knows three kinds of fault.
    const std::uint64_t mood = prng.below(10);
    const bool quiet = mood == 0;
    options.raft = draw_raft(root.split("raft"), options.tick_us);
    options.net = draw_net(root.split("net"), quiet);
    options.disk = draw_disk(root.split("disk"), quiet);
    options.load = draw_load(root.split("load"));
    options.snapshots = draw_snapshots(root.split("snapshots"));
    if (!options.net.fifo) {
        // A connection keeps the order. Where each message goes its own way, most of many that are
        // sent ahead are refused, and each refusal has them sent again: of hundreds it takes that
        // many thousands until a member has caught up.
        options.raft.inflight_count_max =
            std::min(options.raft.inflight_count_max, kInflightReorderedMax);
    }
    if (options.nodes == 1 && options.disk.flush_mean_ticks == 0) {
        // Without messages it takes hundreds of starts until there are events enough. From the
        // whole log each, that is no run of seconds.
        options.disk.flush_mean_ticks = 150;
    }
    if (quiet || options.disk.flush_mean_ticks == 0) {
        // Who waits for a flush refuses calls meanwhile: for ever when there is none.
        options.raft.unflushed_bytes_max = raft::Config{}.unflushed_bytes_max;
    }
    if (quiet) {
        // Who falls behind so short a log as some have gets a snapshot, and cannot say what became
        // of its calls.
        options.raft.log_bytes_max = raft::Config{}.log_bytes_max;
        options.raft.log_entries_max = raft::Config{}.log_entries_max;
        // The first election may be split a few times: calls that came before it wait that long.
        options.request_timeout_ticks += 10 * std::uint64_t{options.raft.election_ticks};
        // A client that leaves, or an answer that is lost, is a fault as well.
        options.load.deadline_ticks = 0;
        options.load.reply_loss_permille = 0;
    } else {
        options.faults = draw_faults(root.split("faults"));
    }
    if (mood == 1 || (!quiet && !has_enough_kinds(options.faults, options.nodes == 1))) {
        options.faults = few_kinds(root.split("only"), options.faults, options.nodes == 1);
    }
    // It costs as much as all else.
    options.digest_every = root.split("digests").chance(1, 8) ? 1 : options.digest_every;
    options.buggify = kRareWays && !quiet && root.split("buggify").chance(2, 3);
    if (!quiet && prng.chance(2, 3)) {
        options.admin = draw_admin(root.split("admin"));
    }
    return options;
}

bool Options::calm() const {
    return faults.sum() == 0 && admin.sum() == 0 && net.drop_permille == 0 &&
           net.tail_permille == 0 && net.delay_mean_us <= 1'000 && disk.write_mean_us <= 300 &&
           disk.slow_permille == 0 && load.deadline_ticks == 0 && load.reply_loss_permille == 0;
}

std::string Options::describe() const {
    std::string out = fmt::format(
        "seed {} nodes {} tick_us {} uneven {} turn_us {} fault_ticks {} timeout {} retry {} "
        "apply_bytes {} digest_every {} buggify {} sabotage {}\n",
        seed, nodes, tick_us, uneven_ticks, turn_delay_us, fault_ticks, request_timeout_ticks,
        read_retry_ticks, apply_bytes_max, digest_every,
        kRareWays ? (buggify ? "on" : "off") : "not-built-in", sabotage_name(sabotage));
    out += fmt::format(
        "raft election {} heartbeat {} pre_vote {} check_quorum {} append_bytes {} inflight {}/{} "
        "uncommitted {} apply_bytes {} apply_gap {} log {}/{} catch_up {}/{} "
        "compact {} unflushed {} lease_ns {}\n",
        raft.election_ticks, raft.heartbeat_ticks, raft.pre_vote, raft.check_quorum,
        raft.append_bytes_max, raft.inflight_count_max, raft.inflight_bytes_max,
        raft.uncommitted_bytes_max, raft.apply_bytes_max, raft.apply_gap_max, raft.log_bytes_max,
        raft.log_entries_max, raft.catch_up_bytes_max, raft.catch_up_entries_max,
        raft.compact_entries_max, raft.unflushed_bytes_max, raft.lease_promise_ns);
    out += fmt::format(
        "net delay {}+{} fifo {} drop {} dup {} tail {} report_loss {} ship {}\n"
        "disk write {}+{} apply {}+{} slow {} segment {} flush_ticks {} torn {} reads_new {} "
        "unbounded {}\n",
        net.delay_min_us, net.delay_mean_us, net.fifo, net.drop_permille, net.duplicate_permille,
        net.tail_permille, net.report_loss, net.ship_mean_us, disk.write_min_us, disk.write_mean_us,
        disk.apply_min_us, disk.apply_mean_us, disk.slow_permille, disk.segment_bytes,
        disk.flush_mean_ticks, disk.torn, disk.failed_sync_reads_new, disk.unbounded);
    out += fmt::format("snapshots chunk {} window {} rate {} stall {} retry {} keep {}\n",
                       snapshots.chunk_bytes, snapshots.window_bytes, snapshots.bytes_per_tick,
                       snapshots.stall_ticks, snapshots.retry_ticks, snapshots.keep_partial_ticks);
    out += "faults";
    for (const FaultKind& kind : kFaultKinds) {
        if (faults.*kind.weight > 0) {
            out += fmt::format(" {} {}", kind.name, faults.*kind.weight);
        }
    }
    out += fmt::format(
        " gap {} duration {} at_leader {}\nadmin spares {} max {} learner {} voter {} promote {} "
        "remove {} remove_leader {} update {} gap {}\n",
        faults.gap_mean_ticks, faults.duration_mean_ticks, faults.aim_at_leader_permille,
        admin.spares, admin.members_max, admin.add_learner, admin.add_voter, admin.promote,
        admin.remove, admin.remove_leader, admin.update, admin.gap_mean_ticks);
    out += fmt::format(
        "load clients {} keys {} think {} deadline {} reply_loss {} value {} put {} del {} cas {} "
        "txn {} lin {} ser {} compact {} look {} unsound {}\n",
        load.clients, load.keys, load.think_mean_us, load.deadline_ticks, load.reply_loss_permille,
        load.value_bytes_max, load.put, load.remove, load.compare_and_set, load.txn,
        load.linear_read, load.serial_read, load.compact, load.look, load.unsound);
    return out;
}

}  // namespace cairn::sim
