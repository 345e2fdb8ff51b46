// cairn_grow_test: a cluster of one real node grows to five, loses its leaders one by one until two
// are left, and grows to five again, while clients write and read; afterwards nothing acknowledged
// may be missing and the history must be linearizable. Usage:
// cairn_grow_test --server=CAIRND [--seed=N]
#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "process/load.h"
#include "process/process_cluster.h"
#include "process/verify.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNodes = 5;
constexpr std::size_t kFewest = 2;
constexpr std::size_t kWritesBetween = 20;
constexpr auto kLimit = 60s;

struct Options {
    std::string server;
    std::uint64_t seed = 1;
};

class GrowTest {
  public:
    explicit GrowTest(const Options& options)
        : options_(options), cluster_(kNodes, options.server) {}

    void run();
    [[nodiscard]] ProcessCluster& cluster() { return cluster_; }
    [[nodiscard]] Load* load() { return load_.has_value() ? &*load_ : nullptr; }

  private:
    void add(std::size_t node);
    void remove_leader();
    void write_on();

    Options options_;
    ProcessCluster cluster_;
    std::optional<Load> load_;
};

void GrowTest::run() {
    cluster_.begin_with(0);
    cluster_.start(0);
    cluster_.wait_for_leader();
    load_.emplace(cluster_.endpoints(), LoadOptions{.seed = options_.seed});
    write_on();
    for (std::size_t node = 1; node < kNodes; ++node) {
        add(node);
    }
    for (std::size_t left = kNodes; left > kFewest; --left) {
        remove_leader();
    }
    for (std::size_t node = 0; node < kNodes; ++node) {
        if (!cluster_.is_running(node)) {
            cluster_.wipe(node);
            add(node);
        }
    }
    cluster_.wait_until_all_serve();
    write_on();
    if (const auto wrong = verify(cluster_, *load_)) {
        throw Failure{*wrong};
    }
}

void GrowTest::add(std::size_t node) {
    cluster_.add_member(node);
    fmt::print("node {} is added\n", node);
    cluster_.start(node);
    const auto serves = [&] {
        if (!cluster_.is_running(node)) {
            throw Failure{fmt::format("node {} ended", node)};
        }
        return cluster_.client_of(node).get("x").has_value();
    };
    if (!wait_until(serves, kLimit)) {
        throw Failure{fmt::format("node {} does not serve", node)};
    }
    write_on();
}

void GrowTest::remove_leader() {
    const std::size_t leader = cluster_.wait_for_leader();
    cluster_.remove_member(leader);
    fmt::print("node {} is removed\n", leader);
    write_on();
}

void GrowTest::write_on() {
    const auto goal = load_->writes_acknowledged() + kWritesBetween;
    if (!wait_until([&] { return load_->writes_acknowledged() >= goal; }, kLimit)) {
        throw Failure{"clients do not get on"};
    }
}

std::optional<Options> parse_options(int argc, char** argv) {
    Options options;
    for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
        const auto equals = std::min(argument.find('='), argument.size() - 1);
        const auto value = argument.substr(equals + 1);
        if (argument.starts_with("--server=")) {
            options.server = value;
        } else if (argument.starts_with("--seed=")) {
            std::from_chars(value.data(), value.data() + value.size(), options.seed);
        } else {
            return std::nullopt;
        }
    }
    return options.server.empty() ? std::nullopt : std::optional(options);
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto options = parse_options(argc, argv);
    if (!options.has_value()) {
        fmt::print(stderr, "usage: {} --server=CAIRND [--seed=N]\n", argv[0]);
        return 2;
    }
    fmt::print("seed {}\n", options->seed);
    return run_test<GrowTest>(*options);
}
