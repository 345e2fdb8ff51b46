// FaultRun: a cluster of real nodes under load that suffers one fault after another, and a verdict.
// Owned by a test's main thread. What fails on the way is a Failure.
// Must never leave a fault in force: after each the cluster is well again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "process/load.h"
#include "process/outages.h"
#include "process/process_cluster.h"
#include "process/small_disk.h"

namespace cairn::process {

class FaultRun {
  public:
    struct Options {
        std::string server;
        ProcessCluster::Environment environment{};
        std::size_t nodes = 3;
        std::uint64_t seed = 1;
        bool lease_reads = false;
        // A full disk is one that is mounted, or the run fails.
        bool need_mount = false;
        // For who wants to see what a fault breaks, and not what comes of it in time.
        bool short_holds = false;
    };
    struct Kind {
        std::string_view name;
        void (*strike)(FaultRun& run);
    };

    explicit FaultRun(const Options& options);

    // A healthy cluster with clients.
    void begin();
    static std::span<const Kind> kinds();
    // One fault: until writes go on, a while longer, and until all is well again.
    void strike(const Kind& kind);
    // Ends the clients. What is wrong, or nothing.
    std::optional<std::string> finish();

    // As process::report_failure, and what the clients saw is kept, too.
    int report_failure(const std::string& text);

    void print_outages() const;
    [[nodiscard]] bool within(const OutageBars& bars) const;
    [[nodiscard]] const ProcessCluster& cluster() const { return cluster_; }

  private:
    void kill(std::size_t node);
    void terminate(std::size_t node);
    void pause(std::size_t node);
    void isolate(std::size_t node);
    // It is not heard; it hears nobody.
    void mute(std::size_t node);
    void deafen(std::size_t node);
    void cut_link(std::size_t one, std::size_t other);
    void slow_down();
    void lose_packets();
    void reset_connections();
    // `effect`: what shows that it was in force.
    void break_network(std::uint64_t FaultSwitch::Counts::*effect,
                       const std::function<void()>& strike);
    void fill_disk();
    void start_on_full_disk();
    void replace(std::size_t node);

    std::size_t leader() { return cluster_.wait_for_leader(); }
    std::size_t follower() { return other_than({leader()}); }
    // Any member but these.
    std::size_t other_than(const std::set<std::size_t>& these);
    // Gives leadership to the node with the small disk, or to another one; returns which.
    std::size_t leader_with_small_disk(bool small);
    // Nobody may answer for the cluster alone.
    void check_silent(std::size_t node);
    // One that begins now.
    void await_write();
    void await_writes(std::size_t count);
    // For a while, with the fault in force.
    struct Hold {
        std::uint64_t min_ms;
        std::uint64_t max_ms;
    };
    static const Hold kShort;
    static const Hold kLong;
    void hold(const Hold& wanted);
    // How long writes stood still at most since the fault began, for the distribution. From here on
    // it is being mended.
    void note(sim::Time began);
    void settle();

    const Options options_;
    Prng prng_;
    ProcessCluster cluster_;
    FaultSwitch& network_;
    SmallDisk disk_;
    std::optional<Load> load_;
    Outages outages_;      // while a fault was in force
    Outages mendings_;     // from then until all was well again
    std::string kind_;     // of the fault in force
    sim::Time noted_ = 0;  // when its time was taken
};

}  // namespace cairn::process
