#include "sim/report.h"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::sim {
namespace {

constexpr std::uint64_t kEventsMin = 30'000;
constexpr std::uint64_t kDoneMin = 500;
// One in ten is drawn so; a batch may have a few more by chance.
constexpr std::size_t kQuietPercentMax = 15;
constexpr std::size_t kQuietSlack = 5;

std::uint64_t at_share(std::vector<std::uint64_t> values, std::uint64_t percent) {
    if (values.empty()) {
        return 0;
    }
    std::sort(values.begin(), values.end());
    return values[(values.size() - 1) * percent / 100];
}

std::string spread(const std::vector<std::uint64_t>& values) {
    return fmt::format("min {} p10 {} median {} p90 {} max {}", at_share(values, 0),
                       at_share(values, 10), at_share(values, 50), at_share(values, 90),
                       at_share(values, 100));
}

}  // namespace

void Report::add(const RunResult& result) {
    events_.push_back(result.counters.events());
    done_.push_back(result.ops_done);
    if (result.counters.classes.any()) {
        kinds_.push_back(result.counters.classes.count());
        least_kinds_ = result.lost_quorum ? least_kinds_ : std::min(least_kinds_, kinds_.back());
    }
    for (std::size_t kind = 0; kind < kFaultClassCount; ++kind) {
        runs_with_[kind] += result.counters.classes.test(kind) ? 1U : 0U;
    }
    sum_ += result.counters.events();
    virtual_us_ += result.virtual_time;
    lost_quorum_ += result.lost_quorum ? 1 : 0;
    not_enough_ += result.failed || result.was_enough ? 0 : 1;
}

bool Report::is_good() const {
    const std::size_t quiet = events_.size() - kinds_.size();
    return not_enough_ == 0 && at_share(events_, 50) >= kEventsMin &&
           at_share(done_, 50) >= kDoneMin && least_kinds_ >= kFaultClassesMin &&
           quiet <= events_.size() * kQuietPercentMax / 100 + kQuietSlack;
}

std::string Report::describe(double seconds) const {
    std::string out = fmt::format(
        "events of a run: {}\ncalls done: {}\nkinds of faults: {}; {} runs "
        "without any\nruns with",
        spread(events_), spread(done_), spread(kinds_), events_.size() - kinds_.size());
    for (std::size_t kind = 0; kind < kFaultClassCount; ++kind) {
        out += fmt::format(" {} {}", fault_class_name(static_cast<FaultClass>(kind)),
                           runs_with_[kind]);
    }
    out += fmt::format(
        "\n{} runs had not enough when their time was over\n"
        "{} events in {:.1f} s, {:.0f} events/s; {:.1f} simulated hours; {} runs ended without a "
        "quorum of whole disks\n",
        not_enough_, sum_, seconds, seconds > 0 ? static_cast<double>(sum_) / seconds : 0,
        static_cast<double>(virtual_us_) / 3.6e9, lost_quorum_);
    return out;
}

}  // namespace cairn::sim
