#include "process/fault_run.h"

#include <array>
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "process/verify.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr auto kWriteLimit = 60s;
constexpr auto kDiskLimit = 120s;
constexpr std::size_t kWritesBetween = 20;
// Few enough that the order of all of ten minutes can be checked.
constexpr std::chrono::microseconds kPauseMax = 60ms;
constexpr std::size_t kPaddingBytesMax = 1'000;
// So that the log is cut, and flushed to the disk that is full, every few seconds.
constexpr const char* kSmallLog = "--experimental-log-bytes-max=1048576";
// The node whose disk is small, and how small: its log alone has up to four segments.
constexpr std::size_t kSmallDiskNode = 0;
constexpr std::uint64_t kSmallDiskBytes = 512U * 1024U * 1024U;
// One-way; a round trip is ten times below an election timeout.
constexpr auto kSlow = 50ms;
// Some seconds' worth of messages.
constexpr std::uint64_t kResetEveryBytes = 50'000;
// Of what members say to each other, a packet is a beat or a batch of entries.
constexpr std::uint64_t kLoseOneIn = 20;

const char* reads_flag(bool by_lease) {
    return by_lease ? "--experimental-lease-reads=true" : "--experimental-lease-reads=false";
}

void print_ms(const std::string& what, std::chrono::nanoseconds time) {
    fmt::print("{}: {} ms\n", what,
               std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    static_cast<void>(std::fflush(stdout));
}

}  // namespace

constexpr FaultRun::Hold FaultRun::kShort{200, 2000};
// Beyond a follower's patience, which is one to two timeouts, and time for what comes of it.
constexpr FaultRun::Hold FaultRun::kLong{2500, 5000};

FaultRun::FaultRun(const Options& options)
    : options_(options),
      prng_(Prng(options.seed).split("faults")),
      // One more than are members at a time: the next to be added.
      cluster_(options.nodes + 1, options.server, {kSmallLog, reads_flag(options.lease_reads)}),
      network_(cluster_.use_switch(options.seed)),
      disk_(cluster_.data_dir(kSmallDiskNode), kSmallDiskBytes) {
    cluster_.use(options.server, options.environment);
    cluster_.leave(options.nodes);
}

std::span<const FaultRun::Kind> FaultRun::kinds() {
    static constexpr std::array kAll{
        Kind{"leader killed", [](FaultRun& run) { run.kill(run.leader()); }},
        Kind{"follower killed", [](FaultRun& run) { run.kill(run.follower()); }},
        Kind{"leader stopped", [](FaultRun& run) { run.terminate(run.leader()); }},
        Kind{"follower stopped", [](FaultRun& run) { run.terminate(run.follower()); }},
        Kind{"leader paused", [](FaultRun& run) { run.pause(run.leader()); }},
        Kind{"follower paused", [](FaultRun& run) { run.pause(run.follower()); }},
        Kind{"leader isolated", [](FaultRun& run) { run.isolate(run.leader()); }},
        Kind{"follower isolated", [](FaultRun& run) { run.isolate(run.follower()); }},
        Kind{"leader mute", [](FaultRun& run) { run.mute(run.leader()); }},
        Kind{"follower mute", [](FaultRun& run) { run.mute(run.follower()); }},
        Kind{"leader deaf", [](FaultRun& run) { run.deafen(run.leader()); }},
        Kind{"follower deaf", [](FaultRun& run) { run.deafen(run.follower()); }},
        Kind{"link cut",
             [](FaultRun& run) {
                 const std::size_t leading = run.leader();
                 run.cut_link(leading, run.other_than({leading}));
             }},
        Kind{"network slow", [](FaultRun& run) { run.slow_down(); }},
        Kind{"network lossy", [](FaultRun& run) { run.lose_packets(); }},
        Kind{"connections reset", [](FaultRun& run) { run.reset_connections(); }},
        Kind{"leader's disk full",
             [](FaultRun& run) {
                 run.leader_with_small_disk(true);
                 run.fill_disk();
             }},
        Kind{"follower's disk full",
             [](FaultRun& run) {
                 run.leader_with_small_disk(false);
                 run.fill_disk();
             }},
        Kind{"leader replaced",
             [](FaultRun& run) { run.replace(run.leader_with_small_disk(false)); }},
        Kind{"follower replaced",
             [](FaultRun& run) {
                 run.replace(run.other_than({run.leader(), kSmallDiskNode}));
             }},
    };
    return kAll;
}

void FaultRun::begin() {
    if (!disk_.is_mounted()) {
        if (options_.need_mount) {
            throw Failure{"no small disk can be mounted here"};
        }
        fmt::print("no small disk can be mounted here: in its place a node's files are limited\n");
    }
    cluster_.start_all();
    cluster_.wait_until_all_serve();
    load_.emplace(cluster_.endpoints(), LoadOptions{.seed = options_.seed,
                                                    .pause_max = kPauseMax,
                                                    .padding_bytes_max = kPaddingBytesMax});
    settle();
}

void FaultRun::strike(const Kind& kind) {
    kind_ = kind.name;
    kind.strike(*this);
    settle();
    const auto longest = load_->longest_standstill(noted_, now());
    mendings_.add(kind_, longest);
    print_ms(kind_ + ", mended", longest);
}

std::optional<std::string> FaultRun::finish() { return verify(cluster_, *load_); }

int FaultRun::report_failure(const std::string& text) {
    const int code = process::report_failure(cluster_, load_.has_value() ? &*load_ : nullptr, text);
    disk_.keep();
    return code;
}

void FaultRun::print_outages() const {
    outages_.print("while a fault was in force");
    mendings_.print("from then until all was well again");
}

bool FaultRun::within(const OutageBars& bars) const {
    return outages_.within(bars) && mendings_.within(bars);
}

void FaultRun::kill(std::size_t node) {
    const auto began = now();
    cluster_.send_signal(node, SIGKILL);
    if (const int code = cluster_.wait_for_exit(node); code != -SIGKILL) {
        throw Failure{fmt::format("node {} was killed and ended with code {}", node, code)};
    }
    await_write();
    hold(kShort);
    note(began);
    cluster_.start(node);
}

void FaultRun::terminate(std::size_t node) {
    const auto began = now();
    cluster_.send_signal(node, SIGTERM);
    if (const int code = cluster_.wait_for_exit(node); code != 0) {
        throw Failure{fmt::format("node {} was told to stop and ended with code {}", node, code)};
    }
    await_write();
    hold(kShort);
    note(began);
    cluster_.start(node);
}

void FaultRun::pause(std::size_t node) {
    const auto began = now();
    cluster_.send_signal(node, SIGSTOP);
    await_write();
    hold(kLong);
    note(began);
    cluster_.send_signal(node, SIGCONT);
}

void FaultRun::isolate(std::size_t node) {
    break_network(&FaultSwitch::Counts::held_bytes, [&] {
        for (const std::size_t other : cluster_.members()) {
            network_.set(node, other, {.cut = true});
            network_.set(other, node, {.cut = true});
        }
        await_write();
        check_silent(node);
    });
}

void FaultRun::mute(std::size_t node) {
    break_network(&FaultSwitch::Counts::held_bytes, [&] {
        for (const std::size_t other : cluster_.members()) {
            network_.set(node, other, {.cut = true});
        }
    });
}

void FaultRun::deafen(std::size_t node) {
    break_network(&FaultSwitch::Counts::held_bytes, [&] {
        for (const std::size_t other : cluster_.members()) {
            network_.set(other, node, {.cut = true});
        }
    });
}

void FaultRun::cut_link(std::size_t one, std::size_t other) {
    break_network(&FaultSwitch::Counts::held_bytes, [&] {
        network_.set(one, other, {.cut = true});
        network_.set(other, one, {.cut = true});
    });
}

void FaultRun::slow_down() {
    break_network(&FaultSwitch::Counts::delayed_bytes,
                  [&] { network_.set_all({.delay_max = kSlow}); });
}

void FaultRun::lose_packets() {
    break_network(&FaultSwitch::Counts::losses,
                  [&] { network_.set_all({.lose_one_in = kLoseOneIn}); });
}

void FaultRun::reset_connections() {
    break_network(&FaultSwitch::Counts::resets,
                  [&] { network_.set_all({.reset_every_bytes = kResetEveryBytes}); });
}

void FaultRun::break_network(std::uint64_t FaultSwitch::Counts::*effect,
                             const std::function<void()>& strike) {
    const auto before = network_.counts().*effect;
    const auto began = now();
    strike();
    await_write();
    hold(kLong);
    // By now a fault that does nothing is none.
    if (!wait_until([&] { return network_.counts().*effect > before; }, kWriteLimit)) {
        throw Failure{kind_ + ": nothing came of it"};
    }
    note(began);
}

// It halts at the next flush, and does not start before there is room.
void FaultRun::fill_disk() {
    if (!disk_.is_mounted()) {
        kind_ = fmt::format("{} files limited", kind_.substr(0, kind_.find(' ')));
    }
    const auto began = now();
    // Room comes back: a spare that the log cannot end, a table that a compaction replaces.
    const auto has_ended = [&] {
        disk_.fill(cluster_.pid(kSmallDiskNode));
        return !cluster_.is_running(kSmallDiskNode);
    };
    if (!wait_until(has_ended, kDiskLimit)) {
        throw Failure{"the disk is full and nobody noticed"};
    }
    if (const int code = cluster_.wait_for_exit(kSmallDiskNode); code != 1) {
        throw Failure{fmt::format("the node with the full disk ended with code {}", code)};
    }
    await_write();
    hold(kShort);
    note(began);
    if (disk_.is_mounted()) {
        start_on_full_disk();
        disk_.make_room();
    }
    cluster_.start(kSmallDiskNode);
}

void FaultRun::start_on_full_disk() {
    // The node's end has given back what the failed flush had taken.
    disk_.fill(-1);
    const std::size_t said_before = cluster_.log_of(kSmallDiskNode).size();
    cluster_.start(kSmallDiskNode);
    if (const int code = cluster_.wait_for_exit(kSmallDiskNode); code != 1) {
        throw Failure{fmt::format("a start on a full disk ended with code {}", code)};
    }
    if (cluster_.log_of(kSmallDiskNode).find("NoSpace", said_before) == std::string::npos) {
        throw Failure{"a node that starts on a full disk does not say so"};
    }
}

void FaultRun::replace(std::size_t node) {
    std::size_t next = 0;
    while (cluster_.members().size() > next && cluster_.members()[next] == next) {
        ++next;
    }
    const auto began = now();
    cluster_.remove_member(node);
    await_write();
    cluster_.wipe(node);
    cluster_.add_member(next);
    cluster_.start(next);
    hold(kShort);
    note(began);
}

std::size_t FaultRun::other_than(const std::set<std::size_t>& these) {
    auto candidates = cluster_.members();
    std::erase_if(candidates, [&](std::size_t node) { return these.contains(node); });
    return candidates[prng_.below(candidates.size())];
}

std::size_t FaultRun::leader_with_small_disk(bool small) {
    std::size_t leading = 0;
    const auto leads = [&] {
        leading = leader();
        if ((leading == kSmallDiskNode) == small) {
            return true;
        }
        const auto target =
            cluster_.client_of(small ? kSmallDiskNode : other_than({leading})).status();
        if (target) {
            // Whether it came about is seen at the next look.
            static_cast<void>(cluster_.client_of(leading).move_leader(target->header.member_id));
        }
        return false;
    };
    if (!wait_until(leads, kWriteLimit)) {
        throw Failure{"leadership does not move"};
    }
    await_writes(kWritesBetween);
    return leading;
}

void FaultRun::check_silent(std::size_t node) {
    if (cluster_.client_of(node).get("x")) {
        throw Failure{fmt::format("node {} is cut off and answers a linearizable read", node)};
    }
}

void FaultRun::await_write() {
    if (!load_->wait_for_write_since(now(), kWriteLimit)) {
        throw Failure{kind_ + ": no write is acknowledged any more"};
    }
}

void FaultRun::await_writes(std::size_t count) {
    const auto goal = load_->writes_acknowledged() + count;
    if (!wait_until([&] { return load_->writes_acknowledged() >= goal; }, kWriteLimit)) {
        throw Failure{kind_ + ": clients do not get on"};
    }
}

void FaultRun::hold(const Hold& wanted) {
    const Hold& hold = options_.short_holds ? kShort : wanted;
    std::this_thread::sleep_for(std::chrono::milliseconds(prng_.between(hold.min_ms, hold.max_ms)));
    await_writes(kWritesBetween);
}

void FaultRun::note(sim::Time began) {
    noted_ = now();
    const auto longest = load_->longest_standstill(began, noted_);
    outages_.add(kind_, longest);
    print_ms(kind_, longest);
}

void FaultRun::settle() {
    network_.heal();
    cluster_.wait_until_all_serve();
    cluster_.wait_for_leader();
    await_writes(kWritesBetween);
}

}  // namespace cairn::process
