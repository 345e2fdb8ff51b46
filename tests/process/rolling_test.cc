// cairn_rolling_test: three nodes of an older build become nodes of this one, one after the other,
// while clients write and read; nothing acknowledged may be lost. Usage:
// cairn_rolling_test --old=CAIRND --new=CAIRND [--seed=N]
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

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

constexpr std::size_t kNodes = 3;
constexpr std::size_t kWritesBetween = 300;
constexpr auto kLimit = 60s;
// So that logs are cut, and engines flushed, by both builds.
constexpr const char* kSmallLog = "--experimental-log-bytes-max=1048576";

class RollingTest {
  public:
    explicit RollingTest(const Flags& flags)
        : old_(flags.text("--old")),
          new_(flags.text("--new")),
          seed_(flags.number("--seed", 1)),
          cluster_(kNodes, old_, {kSmallLog}) {}

    void run();
    [[nodiscard]] ProcessCluster& cluster() { return cluster_; }
    [[nodiscard]] Load* load() { return load_.has_value() ? &*load_ : nullptr; }

  private:
    void upgrade(std::size_t node);
    void check_program(std::size_t node, const std::string& program);
    void write_on();

    std::string old_;
    std::string new_;
    std::uint64_t seed_;
    ProcessCluster cluster_;
    std::optional<Load> load_;
    Outages outages_;
};

void RollingTest::run() {
    cluster_.start_all();
    cluster_.wait_until_all_serve();
    load_.emplace(cluster_.endpoints(), LoadOptions{.seed = seed_});
    write_on();
    for (const std::size_t node : cluster_.members()) {
        check_program(node, old_);
    }
    cluster_.use(new_);
    auto left = cluster_.members();
    Prng prng(seed_);
    while (!left.empty()) {
        const auto drawn = left.begin() + static_cast<std::ptrdiff_t>(prng.below(left.size()));
        upgrade(*drawn);
        left.erase(drawn);
    }
    outages_.print("under each restart");
    for (const std::size_t node : cluster_.members()) {
        check_program(node, new_);
    }
    if (const auto wrong = verify(cluster_, *load_)) {
        throw Failure{*wrong};
    }
}

void RollingTest::upgrade(std::size_t node) {
    const bool led = cluster_.wait_for_leader() == node;
    const auto began = now();
    cluster_.send_signal(node, SIGTERM);
    if (const int code = cluster_.wait_for_exit(node); code != 0) {
        throw Failure{fmt::format("node {} was told to stop and ended with code {}", node, code)};
    }
    if (!load_->wait_for_write_since(now(), kLimit)) {
        throw Failure{"no write is acknowledged any more"};
    }
    cluster_.start(node);
    cluster_.wait_until_all_serve();
    cluster_.wait_for_leader();
    write_on();
    outages_.add(led ? "leader" : "follower", load_->longest_standstill(began, now()));
    fmt::print("node {} is upgraded\n", node);
}

void RollingTest::check_program(std::size_t node, const std::string& program) {
    if (const auto runs = cluster_.program_of(node); runs != std::filesystem::canonical(program)) {
        throw Failure{fmt::format("node {} runs {} and not {}", node, runs, program)};
    }
}

void RollingTest::write_on() {
    const auto goal = load_->writes_acknowledged() + kWritesBetween;
    if (!wait_until([&] { return load_->writes_acknowledged() >= goal; }, kLimit)) {
        throw Failure{"clients do not get on"};
    }
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto flags = Flags::parse(argc, argv, {"--old", "--new", "--seed"});
    if (!flags.has_value() || !flags->has("--old") || !flags->has("--new")) {
        fmt::print(stderr, "usage: {} --old=CAIRND --new=CAIRND [--seed=N]\n", argv[0]);
        return 2;
    }
    fmt::print("seed {}\n", flags->number("--seed", 1));
    return run_test<RollingTest>(*flags);
}
