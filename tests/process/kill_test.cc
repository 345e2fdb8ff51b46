// cairn_kill_test: three real nodes lose the leader, a follower, all at once, again and again,
// while clients write and read, by leases in runs of even seeds; afterwards nothing acknowledged
// may be missing. Usage: cairn_kill_test --server=CAIRND --power-cut=CAIRND_POWER_CUT [--rounds=N]
// [--seed=N] [--judge-times] All three die together in the power-cut build, so that what was not
// synced is lost. It also fails when writes stood still for too long after the death of a leader;
// with --judge-times the bar is one that a machine of its own can promise.
#include <csignal>
#include <optional>

#include <fmt/format.h>

#include "base/prng.h"
#include "process/flags.h"
#include "process/load.h"
#include "process/outages.h"
#include "process/process_cluster.h"
#include "process/verify.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr auto kWriteLimit = 30s;
constexpr std::size_t kWritesBetween = 20;

struct Options {
    std::string server;
    std::string power_cut;
    std::uint64_t rounds = 10;
    std::uint64_t seed = 1;
    bool judges_times = false;
};

// Even seeds read by the leader's lease.
std::vector<std::string> flags_of(const Options& options) {
    return {options.seed % 2 == 0 ? "--experimental-lease-reads=true"
                                  : "--experimental-lease-reads=false"};
}

class KillTest {
  public:
    explicit KillTest(const Options& options)
        : options_(options), prng_(options.seed), cluster_(3, options.server, flags_of(options)) {}

    void run();
    [[nodiscard]] ProcessCluster& cluster() { return cluster_; }
    [[nodiscard]] Load* load() { return load_.has_value() ? &*load_ : nullptr; }

  private:
    void kill_leaders();
    void kill_followers();
    void kill_everyone();
    void kill_one(const std::string& kind, std::size_t node);
    void settle();
    void measure(const std::string& kind, sim::Time begin);

    Options options_;
    Prng prng_;
    ProcessCluster cluster_;
    std::optional<Load> load_;
    Outages outages_;
};

void KillTest::run() {
    cluster_.start_all();
    cluster_.wait_until_all_serve();
    load_.emplace(cluster_.endpoints(), LoadOptions{.seed = options_.seed});
    kill_leaders();
    kill_followers();
    kill_everyone();
    settle();
    outages_.print("under each kill");
    if (const auto wrong = verify(cluster_, *load_)) {
        throw Failure{*wrong};
    }
    if (!outages_.within(options_.judges_times ? kFineBars : kCoarseBars, "leader")) {
        throw Failure{"after the death of a leader writes stood still for too long"};
    }
}

void KillTest::kill_leaders() {
    for (std::uint64_t round = 0; round < options_.rounds; ++round) {
        settle();
        kill_one("leader", cluster_.wait_for_leader());
    }
}

void KillTest::kill_followers() {
    for (std::uint64_t round = 0; round < options_.rounds; ++round) {
        settle();
        const auto leader = cluster_.wait_for_leader();
        kill_one("follower", (leader + 1 + prng_.next() % 2) % cluster_.size());
    }
}

// The first time it is still the shipped program that dies, the rest is power cuts.
void KillTest::kill_everyone() {
    for (std::uint64_t round = 0; round < options_.rounds + 1; ++round) {
        settle();
        const auto begin = now();
        cluster_.kill_all();
        cluster_.use_power_cut(options_.power_cut, false);
        cluster_.start_all();
        measure(round == 0 ? "all" : "all, power cut", begin);
    }
}

void KillTest::kill_one(const std::string& kind, std::size_t node) {
    const auto begin = now();
    cluster_.send_signal(node, SIGKILL);
    cluster_.wait_for_exit(node);
    measure(kind, begin);
    cluster_.start(node);
}

// Everyone serves and agrees on a leader, and the clients have gone on for a while.
void KillTest::settle() {
    cluster_.wait_until_all_serve();
    cluster_.wait_for_leader();
    const auto goal = load_->writes_acknowledged() + kWritesBetween;
    if (!wait_until([&] { return load_->writes_acknowledged() >= goal; }, kWriteLimit)) {
        throw Failure{"clients do not get on though all nodes serve"};
    }
}

void KillTest::measure(const std::string& kind, sim::Time begin) {
    if (!load_->wait_for_write_since(now(), kWriteLimit)) {
        throw Failure{kind + ": no write is acknowledged any more"};
    }
    outages_.add(kind, load_->longest_standstill(begin, now()));
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto flags = Flags::parse(
        argc, argv, {"--server", "--power-cut", "--rounds", "--seed", "--judge-times"});
    if (!flags.has_value() || !flags->has("--server") || !flags->has("--power-cut") ||
        flags->number("--rounds", 10) == 0) {
        fmt::print(stderr,
                   "usage: {} --server=CAIRND --power-cut=CAIRND_POWER_CUT [--rounds=N] "
                   "[--seed=N] [--judge-times]\n",
                   argv[0]);
        return 2;
    }
    const Options options{.server = flags->text("--server"),
                          .power_cut = flags->text("--power-cut"),
                          .rounds = flags->number("--rounds", 10),
                          .seed = flags->number("--seed", 1),
                          .judges_times = flags->has("--judge-times")};
    fmt::print("seed {}\n", options.seed);
    return run_test<KillTest>(options);
}
