// cairn_power_cut_control: a power cut under nodes whose syncs do nothing must be seen. If it were
// not, the kill test's verdict would be worth nothing.
// Usage: cairn_power_cut_control CAIRND_POWER_CUT
#include <csignal>

#include <fmt/format.h>

#include "process/load.h"
#include "process/process_cluster.h"
#include "process/verify.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kWrites = 100;
constexpr auto kLoadLimit = 60s;
constexpr std::string_view kRefusal = "the log ends below what was committed or applied";

class Control {
  public:
    explicit Control(std::string server)
        : server_(std::move(server)),
          cluster_(3, server_, {"--heartbeat-interval=50", "--election-timeout=500"}) {}

    void run();
    [[nodiscard]] const ProcessCluster& cluster() const { return cluster_; }

  private:
    void start(bool ignore_syncs);
    void load();
    void check_honest();
    void check_lost_writes();
    void check_engine_ahead();

    std::string server_;
    ProcessCluster cluster_;
    std::vector<sim::HistoryOp> history_;
    std::uint64_t client_id_next_ = 1;
};

void Control::run() {
    check_honest();
    check_lost_writes();
    check_engine_ahead();
}

void Control::start(bool ignore_syncs) {
    cluster_.use_power_cut(server_, ignore_syncs);
    cluster_.start_all();
    cluster_.wait_until_all_serve();
}

// Adds to the history.
void Control::load() {
    const LoadOptions options{.client_id_first = client_id_next_};
    client_id_next_ += cluster_.size() + options.readers;
    Load load(cluster_.endpoints(), options);
    const bool enough =
        wait_until([&] { return load.writes_acknowledged() >= kWrites; }, kLoadLimit);
    const auto& calls = load.stop();
    history_.insert(history_.end(), calls.begin(), calls.end());
    if (!enough) {
        throw Failure{"the clients do not get on"};
    }
}

// The same without the sabotage: what follows is caught for its syncs, not for anything else.
void Control::check_honest() {
    start(false);
    load();
    cluster_.kill_all();
    start(false);
    if (const auto wrong = verify(cluster_, history_)) {
        throw Failure{"with honest syncs: " + *wrong};
    }
    cluster_.kill_all();
}

void Control::check_lost_writes() {
    start(true);
    load();
    cluster_.kill_all();
    start(false);
    const auto wrong = verify(cluster_, history_);
    if (!wrong.has_value()) {
        throw Failure{"acknowledged writes must have been lost, and nobody noticed"};
    }
    fmt::print("caught, as it must be: {}\n", *wrong);
    cluster_.kill_all();
}

// A peaceful end flushes the engine, and the log's unsynced end is lost: the node must not go on
// with a log that is shorter than its state.
void Control::check_engine_ahead() {
    start(true);
    load();
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        cluster_.send_signal(node, SIGTERM);
    }
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        cluster_.wait_for_exit(node);
    }
    cluster_.use_power_cut(server_, false);
    cluster_.start_all();
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        const int code = cluster_.wait_for_exit(node);
        if (code <= 0 || cluster_.log_of(node).find(kRefusal) == std::string::npos) {
            throw Failure{
                fmt::format("node {} has lost its log's end and ended with {}", node, code)};
        }
    }
    fmt::print("refused, as it must be: {}\n", kRefusal);
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    if (argc != 2) {
        fmt::print(stderr, "usage: {} CAIRND_POWER_CUT\n", argv[0]);
        return 2;
    }
    Control control(argv[1]);
    try {
        control.run();
    } catch (const Failure& failure) {
        fmt::print("{}FAILED: {}\n", control.cluster().last_lines(), failure.text);
        return 1;
    }
    return 0;
}
