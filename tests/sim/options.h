// Everything about a run that its seed decides: the cluster, the faults, the load.
// A value; drawn once, printed with every failure.
// Swarm testing: each seed draws which kinds of fault it has at all, so that rare mixtures happen.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "raft/config.h"
#include "server/replica/snapshot_limits.h"
#include "sim/basics.h"

namespace cairn::sim {

// A deliberate bug of the test node, to prove that the simulator finds such a thing.
enum class Sabotage : std::uint8_t {
    kNone,
    kSkipSync,          // syncs of the log do nothing
    kAckBeforePersist,  // the core is told of a write before it is done
    kDropHardState,     // term and vote are not written
    kForgetVote,        // the vote is lost at a restart
    kReadWithoutIndex,  // reads are granted at once
    kApplyTwice,        // a command is applied a second time in place of the next one
    kSkipApply,         // one member leaves a command out
    kRetryUnknown,      // a command with unknown outcome is proposed again
    kLieNotApplied,     // an unknown outcome is called NotApplied
    kInflateMatch,      // a follower acknowledges one entry too many
    kSurviveDisk,       // a failed write or sync does not end a member
};
inline constexpr std::uint8_t kSabotageCount = 12;
const char* sabotage_name(Sabotage sabotage);

struct NetOptions {
    Time delay_min_us = 50;
    Time delay_mean_us = 500;  // of the exponential part
    bool fifo = false;         // each link keeps the order
    std::uint32_t drop_permille = 0;
    std::uint32_t duplicate_permille = 0;
    std::uint32_t tail_permille = 0;  // messages that take 50 times as long
    Time ship_mean_us = 20'000;       // eight pieces of a snapshot one after the other
    bool report_loss = false;         // a lost message is told to the sender as PeerLost
};

struct DiskOptions {
    Time write_min_us = 100;
    Time write_mean_us = 300;
    Time apply_min_us = 20;
    Time apply_mean_us = 100;
    std::uint32_t slow_permille = 0;  // writes that take 100 times as long
    std::uint64_t segment_bytes = 0;
    std::uint64_t flush_mean_ticks = 0;  // 0: the engine never flushes
    bool torn = false;  // a crash may tear what was not synced, else loses all of it
    bool failed_sync_reads_new = false;  // what a failed sync leaves to be read
    // Rot may hit more copies than the cluster can lose: it may then end up without a quorum, and
    // safety is all that is claimed.
    bool unbounded = false;
};

// Weights of the nemesis' faults; 0: the kind does not happen in this run.
struct FaultOptions {
    std::uint32_t crash = 0;
    std::uint32_t crash_at_effect = 0;
    std::uint32_t crash_all = 0;
    std::uint32_t crash_in_recovery = 0;
    std::uint32_t pause = 0;
    std::uint32_t isolate = 0;
    std::uint32_t split = 0;
    std::uint32_t one_way = 0;
    std::uint32_t cut_link = 0;
    std::uint32_t clog = 0;
    std::uint32_t slow_disk = 0;
    std::uint32_t transfer = 0;
    std::uint32_t crash_loop = 0;
    std::uint32_t swizzle = 0;  // links clog one after the other and open in another order
    std::uint32_t slow_link = 0;
    std::uint32_t hang_disk = 0;  // a write takes as long as the fault
    std::uint32_t disk_error = 0;
    std::uint32_t disk_full = 0;
    std::uint32_t rot = 0;         // a bit of the log flips
    std::uint32_t misdirect = 0;   // a block of the log is written over another one
    std::uint32_t clock_jump = 0;  // many ticks at once
    std::uint32_t clock_stop = 0;
    std::uint32_t overload = 0;
    std::uint64_t gap_mean_ticks = 20;       // between two faults
    std::uint64_t duration_mean_ticks = 15;  // of one
    std::uint32_t aim_at_leader_permille = 300;

    [[nodiscard]] std::uint32_t sum() const;
};

// What the administrator does; all weights 0: the members stay as they are.
struct AdminOptions {
    std::uint32_t spares = 0;  // nodes that may become members
    std::uint32_t members_max = 7;
    std::uint32_t add_learner = 0;
    std::uint32_t add_voter = 0;
    std::uint32_t promote = 0;
    std::uint32_t remove = 0;
    std::uint32_t remove_leader = 0;
    std::uint32_t update = 0;
    std::uint64_t gap_mean_ticks = 40;

    [[nodiscard]] std::uint32_t sum() const {
        return add_learner + add_voter + promote + remove + remove_leader + update;
    }
};

struct LoadOptions {
    std::uint32_t clients = 4;
    std::uint32_t keys = 5;
    Time think_mean_us = 10'000;
    std::uint64_t deadline_ticks = 0;  // of a client's call; 0: waits for ever
    std::uint32_t reply_loss_permille = 0;
    std::uint32_t value_bytes_max = 100;
    // Weights of the operations.
    std::uint32_t put = 20;
    std::uint32_t remove = 5;
    std::uint32_t compare_and_set = 10;
    std::uint32_t txn = 8;
    std::uint32_t linear_read = 15;
    std::uint32_t serial_read = 8;
    std::uint32_t compact = 1;
    std::uint32_t look = 2;     // at the members
    std::uint32_t unsound = 2;  // what every member refuses

    [[nodiscard]] std::uint32_t sum() const {
        return put + remove + compare_and_set + txn + linear_read + serial_read + compact + look +
               unsound;
    }
};

// What a run with faults must have seen, to be worth its name.
inline constexpr std::uint64_t kFaultClassesMin = 3;

struct Options {
    std::uint64_t seed{};
    std::uint32_t nodes = 3;
    Time tick_us = 10'000;
    bool uneven_ticks = false;  // the nodes' clocks differ by up to a third
    Time turn_delay_us = 0;     // how long a replica gathers events before its effects are taken
    std::uint64_t fault_ticks = 400;
    std::uint64_t request_timeout_ticks = 40;
    std::uint64_t read_retry_ticks = 5;
    std::uint64_t apply_bytes_max = 0;
    raft::Config raft{};  // without id and seed
    NetOptions net{};
    DiskOptions disk{};
    FaultOptions faults{};
    LoadOptions load{};
    AdminOptions admin{};
    server::SnapshotLimits snapshots{};
    std::uint64_t digest_every = 8;  // applies, those at the same indices on all members (D3)
    bool buggify = false;  // the shipped code takes rare ways, too, where they are built in
    Sabotage sabotage = Sabotage::kNone;
    // The faults go on until so much has happened, at most 500 times as long as fault_ticks or
    // ten times as many events; calls alone may take as much more.
    std::uint64_t events_min = 30'000;
    std::uint64_t ops_min = 500;
    std::uint64_t fault_classes_min = kFaultClassesMin;  // of a run that has faults at all
    // For a run that is being made shorter: of the nemesis' strikes, and of the clients' and the
    // administrator's calls, only these (by number, from 1) happen.
    std::optional<std::set<std::uint64_t>> only_faults{};
    std::optional<std::set<std::uint64_t>> only_calls{};

    static Options draw(std::uint64_t seed);
    // Nodes of the run: the first members, and those that may join.
    [[nodiscard]] std::uint32_t slots() const { return nodes + admin.spares; }
    // Nothing goes wrong in this run: no election but the first, no failed call.
    [[nodiscard]] bool calm() const;
    // Several lines, all fields.
    [[nodiscard]] std::string describe() const;
};

}  // namespace cairn::sim
