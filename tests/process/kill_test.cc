// cairn_kill_test: three real nodes lose the leader, a follower, all at once, again and again,
// while clients write and read, by leases in runs of even seeds; afterwards nothing acknowledged
// may be missing. Usage: cairn_kill_test --server=CAIRND --power-cut=CAIRND_POWER_CUT [--rounds=N]
// [--seed=N] All three die together in the power-cut build, so that what was not synced is lost.
#include <charconv>
#include <csignal>

#include <fmt/format.h>

#include "base/prng.h"
#include "process/load.h"
#include "process/outages.h"
#include "process/process_cluster.h"
#include "process/verify.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr auto kWriteLimit = 30s;
constexpr std::size_t kWritesBetween = 20;
// While a restarted member applies a long log again; etcd's rule, and its code.
constexpr std::string_view kBusy = "Unknown: etcdserver: too many requests";
// Of leader kills: what a follower's patience (one to two timeouts) and one election add up to.
constexpr double kMedianTimeoutsMax = 2;
constexpr double kTimeoutsMax = 6;

struct Options {
    std::string server;
    std::string power_cut;
    std::uint64_t rounds = 10;
    std::uint64_t seed = 1;
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
    [[nodiscard]] const ProcessCluster& cluster() const { return cluster_; }

  private:
    void kill_leaders();
    void kill_followers();
    void kill_everyone();
    void kill_one(const std::string& kind, std::size_t node);
    void settle();
    void measure(const std::string& kind, sim::Time begin);
    void report();
    void check_errors();

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
    auto history = load_->stop();
    check_errors();
    if (const auto wrong = verify(cluster_, std::move(history))) {
        throw Failure{*wrong};
    }
    report();
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
        cluster_.kill_all();
        const auto begin = now();
        cluster_.use_power_cut(options_.power_cut, false);
        cluster_.start_all();
        measure(round == 0 ? "all" : "all, power cut", begin);
    }
}

void KillTest::kill_one(const std::string& kind, std::size_t node) {
    cluster_.send_signal(node, SIGKILL);
    const auto begin = now();
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
    const auto acknowledged = load_->wait_for_write_since(begin, kWriteLimit);
    if (!acknowledged.has_value()) {
        throw Failure{kind + ": no write is acknowledged any more"};
    }
    outages_.add(kind, begin, *acknowledged);
}

void KillTest::check_errors() {
    for (const auto& [text, count] : load_->errors()) {
        fmt::print("{:6} x {}\n", count, text);
        if (!text.starts_with("Unavailable: ") && !text.starts_with("DeadlineExceeded: ") &&
            text != kBusy) {
            throw Failure{"a client was refused: " + text};
        }
    }
}

void KillTest::report() {
    outages_.print();
    if (outages_.timeouts("leader", 0.5) > kMedianTimeoutsMax ||
        outages_.timeouts("leader", 1.0) > kTimeoutsMax) {
        throw Failure{"after the death of a leader writes stood still for too long"};
    }
}

std::optional<Options> parse_options(int argc, char** argv) {
    Options options;
    for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
        const auto equals = std::min(argument.find('='), argument.size() - 1);
        const auto name = argument.substr(0, equals);
        const auto value = argument.substr(equals + 1);
        if (name == "--server") {
            options.server = value;
        } else if (name == "--power-cut") {
            options.power_cut = value;
        } else if (name == "--rounds" || name == "--seed") {
            auto& number = name == "--seed" ? options.seed : options.rounds;
            std::from_chars(value.data(), value.data() + value.size(), number);
        } else {
            return std::nullopt;
        }
    }
    const bool complete =
        !options.server.empty() && !options.power_cut.empty() && options.rounds > 0;
    return complete ? std::optional(options) : std::nullopt;
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto options = parse_options(argc, argv);
    if (!options.has_value()) {
        fmt::print(stderr,
                   "usage: {} --server=CAIRND --power-cut=CAIRND_POWER_CUT [--rounds=N] "
                   "[--seed=N]\n",
                   argv[0]);
        return 2;
    }
    KillTest test(*options);
    try {
        test.run();
    } catch (const Failure& failure) {
        fmt::print("{}FAILED (--seed={}): {}\n", test.cluster().last_lines(), options->seed,
                   failure.text);
        return 1;
    }
    return 0;
}
