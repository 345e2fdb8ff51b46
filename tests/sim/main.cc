// cairn_sim: runs simulated clusters from seeds and checks them.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/probe.h"
#include "sim/options.h"
#include "sim/probe_tally.h"
#include "sim/report.h"
#include "sim/shrink.h"
#include "sim/world.h"

namespace {

using cairn::sim::Numbers;
using cairn::sim::Options;
using cairn::sim::ProbeTally;
using cairn::sim::Report;
using cairn::sim::RunResult;
using cairn::sim::Sabotage;

constexpr const char* kUsage =
    "usage: cairn_sim [--seed N | --seeds A..B | --seeds-of FILE] [--check-unseed] [--unseed-every "
    "K] [--verbose]\n"
    "                 [--sabotage NAME] [--stats] [--keep-going] [--bars] [--probes]\n"
    "                 [--events N] [--shrink] [--only-faults LIST] [--only-calls LIST]\n"
    "       cairn_sim --check-build\n"
    "  --seed N          one run; the default is 1\n"
    "  --seeds A..B      the runs A to B, both included\n"
    "  --seeds-of FILE   the runs of the numbers that its lines begin with; # begins a comment\n"
    "  --check-unseed    each seed twice; both runs must be equal\n"
    "  --unseed-every K  every Kth seed twice\n"
    "  --verbose         what happens, line by line\n"
    "  --sabotage NAME   with a deliberate bug: skip-sync, ack-before-persist, drop-hard-state,\n"
    "                    forget-vote, read-without-index, apply-twice, skip-apply,\n"
    "                    retry-unknown, lie-not-applied, inflate-match, survive-disk\n"
    "  --stats           one line for each run\n"
    "  --probes          at the end: how often each probe of a rare branch was reached\n"
    "  --bars            fail, too, when the runs are too small to be worth their name, or have\n"
    "                    not reached a probe that so many of them should (sim/rare_probes.cc)\n"
    "  --events N        go on until so many events and N / 60 calls; the default is 30000\n"
    "  --shrink          leave out of a failing run what it does not need to fail\n"
    "  --only-faults LIST, --only-calls LIST   numbers like 3,5-9: a run made short by --shrink\n"
    "  --keep-going      go on after a failed seed; the exit code still tells\n"
    "  --check-build     fail when this build has neither probes nor rare ways; runs nothing\n";

struct Arguments {
    std::vector<std::uint64_t> seeds = {1};
    std::uint64_t unseed_every = 0;
    bool verbose = false;
    bool stats = false;
    bool keep_going = false;
    bool bars = false;
    bool probes = false;
    bool shrink = false;
    bool check_build = false;
    std::optional<std::uint64_t> events{};
    std::optional<Numbers> only_faults{};
    std::optional<Numbers> only_calls{};
    Sabotage sabotage = Sabotage::kNone;
};

// The run under way, for whatever aborts: an assertion of ours, or of the standard library's.
std::uint64_t current_seed = 0;

void print_seed(int /*signal*/) {
    std::fprintf(stderr, "FAILED seed %lu: assertion\n", current_seed);
}

std::optional<Sabotage> sabotage_of(const std::string& name) {
    for (std::uint8_t at = 0; at < cairn::sim::kSabotageCount; ++at) {
        if (name == cairn::sim::sabotage_name(static_cast<Sabotage>(at))) {
            return static_cast<Sabotage>(at);
        }
    }
    return std::nullopt;
}

// Of numbers and spans of numbers, like 3,5-9; none when it is not one.
std::optional<Numbers> parse_list(const std::string& text) {
    Numbers numbers;
    const char* at = text.c_str();
    while (*at != '\0') {
        char* end = nullptr;
        const std::uint64_t first = std::strtoull(at, &end, 10);
        std::uint64_t last = first;
        if (*end == '-') {
            last = std::strtoull(end + 1, &end, 10);
        }
        if (end == at || (*end != ',' && *end != '\0') || last < first) {
            return std::nullopt;
        }
        for (std::uint64_t number = first; number <= last; ++number) {
            numbers.insert(number);
        }
        at = *end == ',' ? end + 1 : end;
    }
    return numbers;
}

std::string print_list(const Numbers& numbers) {
    std::string out;
    for (auto it = numbers.begin(); it != numbers.end();) {
        const std::uint64_t first = *it;
        std::uint64_t last = first;
        while (++it != numbers.end() && *it == last + 1) {
            ++last;
        }
        out += fmt::format("{}{}", out.empty() ? "" : ",", first);
        out += last > first ? fmt::format("-{}", last) : "";
    }
    return out;
}

// None when a line begins with something else, or there is no seed.
std::optional<std::vector<std::uint64_t>> read_seeds(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::uint64_t> seeds;
    std::string line;
    while (std::getline(file, line)) {
        if (line.empty() || line.front() == '#') {
            continue;
        }
        char* end = nullptr;
        seeds.push_back(std::strtoull(line.c_str(), &end, 10));
        if (end == line.c_str() || (*end != ' ' && *end != '\0')) {
            return std::nullopt;
        }
    }
    return seeds.empty() ? std::nullopt : std::optional(std::move(seeds));
}

bool take_value(Arguments& out, const std::string& flag, const std::string& value) {
    char* end = nullptr;
    if (flag == "--seed") {
        out.seeds = {std::strtoull(value.c_str(), &end, 10)};
        return *end == '\0';
    }
    if (flag == "--seeds") {
        const std::uint64_t first = std::strtoull(value.c_str(), &end, 10);
        if (std::strncmp(end, "..", 2) != 0) {
            return false;
        }
        const std::uint64_t last = std::strtoull(end + 2, &end, 10);
        out.seeds.clear();
        for (std::uint64_t seed = first; seed <= last; ++seed) {
            out.seeds.push_back(seed);
        }
        return *end == '\0' && first <= last;
    }
    if (flag == "--seeds-of") {
        auto seeds = read_seeds(value);
        out.seeds = std::move(seeds).value_or(std::vector<std::uint64_t>{});
        return !out.seeds.empty();
    }
    if (flag == "--unseed-every") {
        out.unseed_every = std::strtoull(value.c_str(), &end, 10);
        return *end == '\0';
    }
    if (flag == "--events") {
        out.events = std::strtoull(value.c_str(), &end, 10);
        return *end == '\0';
    }
    if (flag == "--only-faults") {
        return (out.only_faults = parse_list(value)).has_value();
    }
    if (flag == "--only-calls") {
        return (out.only_calls = parse_list(value)).has_value();
    }
    if (flag == "--sabotage") {
        const auto sabotage = sabotage_of(value);
        out.sabotage = sabotage.value_or(Sabotage::kNone);
        return sabotage.has_value();
    }
    return false;
}

std::optional<Arguments> parse(int argc, char** argv) {
    Arguments out;
    for (int at = 1; at < argc; ++at) {
        const std::string flag = argv[at];
        if (flag == "--verbose") {
            out.verbose = true;
        } else if (flag == "--stats") {
            out.stats = true;
        } else if (flag == "--keep-going") {
            out.keep_going = true;
        } else if (flag == "--bars") {
            out.bars = true;
        } else if (flag == "--probes") {
            out.probes = true;
        } else if (flag == "--shrink") {
            out.shrink = true;
        } else if (flag == "--check-build") {
            out.check_build = true;
        } else if (flag == "--check-unseed") {
            out.unseed_every = 1;
        } else if (at + 1 >= argc || !take_value(out, flag, argv[++at])) {
            return std::nullopt;
        }
    }
    return out;
}

// The command that runs the same again.
std::string replay(const Arguments& arguments, const Options& options, const char* how) {
    std::string out = fmt::format("replay: cairn_sim --seed {} {}", options.seed, how);
    if (arguments.events) {
        out += fmt::format(" --events {}", *arguments.events);
    }
    if (options.sabotage != Sabotage::kNone) {
        out += fmt::format(" --sabotage {}", cairn::sim::sabotage_name(options.sabotage));
    }
    if (options.only_faults) {
        out += fmt::format(" --only-faults '{}'", print_list(*options.only_faults));
    }
    if (options.only_calls) {
        out += fmt::format(" --only-calls '{}'", print_list(*options.only_calls));
    }
    return out + "\n";
}

void report(const Arguments& arguments, const Options& options, const RunResult& result) {
    fmt::print("FAILED seed {}: {}: {}\n{}trace {:016x} after {} events, {} us\n{}\n{}",
               options.seed, result.invariant, result.detail, options.describe(), result.trace_hash,
               result.counters.events(), result.virtual_time, result.last_events,
               replay(arguments, options, "--shrink"));
    std::fflush(stdout);
}

Options options_of(const Arguments& arguments, std::uint64_t seed) {
    constexpr std::uint64_t kEventsPerCall = 60;
    Options options = Options::draw(seed);
    options.sabotage = arguments.sabotage;
    options.only_faults = arguments.only_faults;
    options.only_calls = arguments.only_calls;
    if (arguments.events) {
        options.events_min = *arguments.events;
        options.ops_min = *arguments.events / kEventsPerCall;
    }
    return options;
}

void shrink_seed(const Arguments& arguments, const Options& options, const RunResult& result) {
    constexpr std::uint64_t kRunsMax = 1'000;
    const cairn::sim::Shrunk shrunk = cairn::sim::shrink(options, result, kRunsMax);
    fmt::print("after {} runs {} of {} faults and {} of {} calls are left:\n", shrunk.runs,
               shrunk.result.strikes.size(), result.strikes.size(),
               shrunk.options.only_calls ? shrunk.options.only_calls->size() : result.calls,
               result.calls);
    for (const cairn::sim::Strike& strike : shrunk.result.strikes) {
        fmt::print("  {:>10} us  fault {}: {} {}\n", strike.time, strike.number, strike.what,
                   strike.node);
    }
    fmt::print("{}: {}\n{}", shrunk.result.invariant, shrunk.result.detail,
               replay(arguments, shrunk.options, "--verbose"));
}

// What all runs come to.
struct Tallies {
    Report report{};
    ProbeTally probes{};
};

bool run_seed(const Arguments& arguments, std::uint64_t seed, Tallies& all) {
    current_seed = seed;
    const Options options = options_of(arguments, seed);
    if (arguments.verbose) {
        fmt::print("{}", options.describe());
    }
    all.probes.begin_run();
    const RunResult result = cairn::sim::run_world(options, arguments.verbose);
    all.report.add(result);
    all.probes.end_run();
    if (arguments.stats || arguments.verbose) {
        fmt::print(
            "seed {} trace {:016x} events {} ops {} done {} faults {} kinds {} entries {} virtual "
            "ms {}{}\n",
            seed, result.trace_hash, result.counters.events(), result.ops, result.ops_done,
            result.counters.faults, result.counters.classes.count(), result.entries,
            result.virtual_time / 1000, result.lost_quorum ? " without a quorum" : "");
        std::fflush(stdout);
    }
    if (!result.failed && !result.was_enough) {
        fmt::print(
            "seed {} had not enough when its time was over: {} events, {} calls done, {} kinds "
            "of faults\n",
            seed, result.counters.events(), result.ops_done, result.counters.classes.count());
    }
    if (result.failed) {
        report(arguments, options, result);
        if (arguments.shrink) {
            shrink_seed(arguments, options, result);
        }
        return false;
    }
    if (arguments.unseed_every > 0 && seed % arguments.unseed_every == 0) {
        const RunResult again = cairn::sim::run_world(options);
        all.report.add(again);
        if (again.trace_hash != result.trace_hash || again.final_draw != result.final_draw) {
            fmt::print("FAILED seed {}: unseed: two runs differ: {:016x} and {:016x}\n{}", seed,
                       result.trace_hash, again.trace_hash,
                       replay(arguments, options, "--check-unseed"));
            return false;
        }
    }
    return true;
}

bool meets_bars(const Tallies& all) {
    if (!all.report.is_good()) {
        fmt::print("FAILED: these runs are not worth their name\n");
        return false;
    }
    const std::vector<std::string> missed = all.probes.missed();
    for (const std::string& name : missed) {
        fmt::print("FAILED: no run has reached {}\n", name);
    }
    return missed.empty();
}

// Returns the exit code.
int finish(const Arguments& arguments, const Tallies& all, std::uint64_t failed, double seconds) {
    fmt::print("{}{} seeds, {} failed\n", all.report.describe(seconds), all.report.runs(), failed);
    if (arguments.probes) {
        fmt::print("{}", all.probes.describe());
    }
    if (cairn::probes().empty()) {
        fmt::print("note: this build has neither probes nor rare ways; the preset dev has\n");
    }
    return failed == 0 && (!arguments.bars || meets_bars(all)) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const auto arguments = parse(argc, argv);
    if (!arguments) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    if (arguments->check_build) {
        return cairn::probes().empty() ? 1 : 0;
    }
    std::signal(SIGABRT, print_seed);
    const std::clock_t begin = std::clock();
    Tallies all;
    std::uint64_t failed = 0;
    for (const std::uint64_t seed : arguments->seeds) {
        if (!run_seed(*arguments, seed, all)) {
            ++failed;
            if (!arguments->keep_going) {
                return 1;
            }
        }
    }
    const double took = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    return finish(*arguments, all, failed, took);
}
