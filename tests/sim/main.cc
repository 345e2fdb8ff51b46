// cairn_sim: runs simulated clusters from seeds and checks them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "base/assert.h"
#include "sim/options.h"
#include "sim/world.h"

namespace {

using cairn::sim::Options;
using cairn::sim::RunResult;
using cairn::sim::Sabotage;

constexpr const char* kUsage =
    "usage: cairn_sim [--seed N | --seeds A..B] [--check-unseed] [--unseed-every K] [--verbose]\n"
    "                 [--sabotage NAME] [--stats] [--keep-going]\n"
    "  --seed N          one run; the default is 1\n"
    "  --seeds A..B      the runs A to B, both included\n"
    "  --check-unseed    each seed twice; both runs must be equal\n"
    "  --unseed-every K  every Kth seed twice\n"
    "  --verbose         what happens, line by line\n"
    "  --sabotage NAME   with a deliberate bug: skip-sync, ack-before-persist, drop-hard-state,\n"
    "                    forget-vote, read-without-index, apply-twice, skip-apply,\n"
    "                    retry-unknown, lie-not-applied, inflate-match\n"
    "  --stats           one line for each run\n"
    "  --keep-going      go on after a failed seed; the exit code still tells\n";

struct Arguments {
    std::uint64_t first = 1;
    std::uint64_t last = 1;
    std::uint64_t unseed_every = 0;
    bool verbose = false;
    bool stats = false;
    bool keep_going = false;
    Sabotage sabotage = Sabotage::kNone;
};

// The run under way, for the crash hook.
std::uint64_t current_seed = 0;

void print_seed() { std::fprintf(stderr, "FAILED seed %lu: assertion\n", current_seed); }

std::optional<Sabotage> sabotage_of(const std::string& name) {
    for (std::uint8_t at = 0; at < cairn::sim::kSabotageCount; ++at) {
        if (name == cairn::sim::sabotage_name(static_cast<Sabotage>(at))) {
            return static_cast<Sabotage>(at);
        }
    }
    return std::nullopt;
}

bool take_value(Arguments& out, const std::string& flag, const std::string& value) {
    char* end = nullptr;
    if (flag == "--seed") {
        out.first = out.last = std::strtoull(value.c_str(), &end, 10);
        return *end == '\0';
    }
    if (flag == "--seeds") {
        out.first = std::strtoull(value.c_str(), &end, 10);
        if (std::strncmp(end, "..", 2) != 0) {
            return false;
        }
        out.last = std::strtoull(end + 2, &end, 10);
        return *end == '\0' && out.first <= out.last;
    }
    if (flag == "--unseed-every") {
        out.unseed_every = std::strtoull(value.c_str(), &end, 10);
        return *end == '\0';
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
        } else if (flag == "--check-unseed") {
            out.unseed_every = 1;
        } else if (at + 1 >= argc || !take_value(out, flag, argv[++at])) {
            return std::nullopt;
        }
    }
    return out;
}

void report(const Options& options, const RunResult& result) {
    fmt::print("FAILED seed {}: {}: {}\n{}trace {:016x} after {} events, {} us\n{}\n", options.seed,
               result.invariant, result.detail, options.describe(), result.trace_hash,
               result.events, result.virtual_time, result.last_events);
    std::fflush(stdout);
}

bool run_seed(const Arguments& arguments, std::uint64_t seed) {
    current_seed = seed;
    Options options = Options::draw(seed);
    options.sabotage = arguments.sabotage;
    if (arguments.verbose) {
        fmt::print("{}", options.describe());
    }
    const RunResult result = cairn::sim::run_world(options, arguments.verbose);
    if (arguments.stats || arguments.verbose) {
        fmt::print("seed {} trace {:016x} events {} ops {} done {} entries {} virtual ms {}\n",
                   seed, result.trace_hash, result.events, result.ops, result.ops_done,
                   result.entries, result.virtual_time / 1000);
    }
    if (result.failed) {
        report(options, result);
        return false;
    }
    if (arguments.unseed_every > 0 && seed % arguments.unseed_every == 0) {
        const RunResult again = cairn::sim::run_world(options);
        if (again.trace_hash != result.trace_hash || again.final_draw != result.final_draw) {
            fmt::print("FAILED seed {}: unseed: two runs differ: {:016x} and {:016x}\n", seed,
                       result.trace_hash, again.trace_hash);
            return false;
        }
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const auto arguments = parse(argc, argv);
    if (!arguments) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    cairn::set_crash_hook(print_seed);
    std::uint64_t failed = 0;
    for (std::uint64_t seed = arguments->first; seed <= arguments->last; ++seed) {
        if (!run_seed(*arguments, seed)) {
            ++failed;
            if (!arguments->keep_going) {
                return 1;
            }
        }
    }
    fmt::print("{} seeds, {} failed\n", arguments->last - arguments->first + 1, failed);
    return failed == 0 ? 0 : 1;
}
