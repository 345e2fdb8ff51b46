// cairn_diff_test: the same requests to a real etcd and to a lone cairnd. Usage:
//   cairn_diff_test --server=CAIRND --mutants=CAIRND --etcd=FOLDER_COMMAND --errors=FILE
//   [--steps=N]
//       [--seed=N] [--mutant=NAME] [--shrink-mutants=yes]
// FOLDER_COMMAND prints the folder that holds etcd (scripts/fetch-etcd --cached); when it fails the
// test is skipped. Fails on a difference, on a row of the coverage table that was never hit, and
// when a mutant of the second cairnd is not found.
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "diff/cases.h"
#include "diff/coverage.h"
#include "diff/hunt.h"
#include "diff/judge.h"
#include "diff/random_steps.h"
#include "diff/shrink.h"

namespace cairn::diff {
namespace {

using namespace std::chrono_literals;

constexpr int kSkipped = 77;
// Of the scripted cases, which go on after one; about, since a case is run to its end.
constexpr std::size_t kDifferencesMax = 100;
constexpr auto kShrinkTime = 120s;
// A range whose limit of up to five cuts it needs six keys, and a spare.
constexpr std::size_t kShrunkStepsMax = 8;
constexpr std::string_view kAlwaysShrunk = "kv_count_cut_by_limit";

struct Options {
    std::string server;
    std::string mutants;          // the same with mutants
    std::string mutant;           // of them, tried alone; empty: all of the test
    bool shrink_mutants = false;  // each; else one
    std::string etcd_command;
    std::string error_table;
    std::uint64_t steps = 2'000;
    std::uint64_t seed = 1;
};

class Suite {
  public:
    Suite(const Options& options, Programs programs)
        : options_(options),
          programs_(std::move(programs)),
          pair_(programs_),
          coverage_(options.error_table) {}

    void run();

  private:
    void run_step(const Step& step, std::vector<Step>& script);
    void run_cases();
    void run_random();
    void compare_stores(std::vector<Step>& script);
    void fail_on_difference();
    void check_coverage();
    void check_mutants(const std::vector<std::string>& names);
    static void check_shrinking(const Programs& programs, Difference found);

    Options options_;
    Programs programs_;
    Pair pair_;
    Judge judge_;
    Coverage coverage_;
    std::uint64_t granted_ = 0;  // steps that did not end with an error
    std::vector<Step> all_;      // since the servers were made
    std::vector<Difference> found_;
};

void Suite::run() {
    if (!options_.mutant.empty()) {
        check_mutants({options_.mutant});
        return;
    }
    run_cases();
    run_random();
    fmt::print("{}{}", coverage_.table(), judge_.report());
    check_coverage();
    check_mutants(mutants_of(options_.mutants));
}

void Suite::run_step(const Step& step, std::vector<Step>& script) {
    if (judge_.is_withheld(step)) {
        return;
    }
    script.push_back(step);
    all_.push_back(step);
    auto exchange = pair_.run(step);
    coverage_.observe(exchange);
    granted_ += exchange.etcd.response != nullptr ? 1U : 0U;
    if (auto text = judge_.difference(exchange)) {
        found_.push_back({.script = script, .last = std::move(exchange), .text = std::move(*text)});
    }
}

void Suite::run_cases() {
    std::size_t count = 0;
    for (const auto& it : scripted_cases()) {
        std::vector<Step> script;
        for (const auto& step : it.steps) {
            run_step(step, script);
        }
        if (found_.size() > kDifferencesMax) {
            break;
        }
        fmt::print("{:7} requests: {}\n", script.size(), it.name);
        count += script.size();
    }
    fail_on_difference();
    fmt::print("{:7} scripted requests in all, no difference\n", count);
}

void Suite::run_random() {
    RandomSteps random(options_.seed);
    const auto granted_before = granted_;
    std::vector<Step> script;
    run_step(step_of(erase(kOpenEnd, kOpenEnd)), script);
    for (std::uint64_t i = 0; i < options_.steps; ++i) {
        if (i == options_.steps / 2) {
            run_step(Step{}, script);
            compare_stores(script);
        }
        run_step(random.next(), script);
        fail_on_difference();
    }
    compare_stores(script);
    fail_on_difference();
    fmt::print("{:7} random steps with --seed={}, {} of them granted, no difference\n",
               options_.steps, options_.seed, granted_ - granted_before);
}

// All that can still be read, at every revision of the last few and at the oldest.
void Suite::compare_stores(std::vector<Step>& script) {
    for (std::int64_t back = 0; back < 50; ++back) {
        run_step(step_of(range(kOpenEnd, kOpenEnd, kNow - back)), script);
        run_step(step_of(range(kOpenEnd, kOpenEnd, kFloor + back - 1)), script);
    }
}

// Names all, and makes the script of the first one short. A case by itself mostly shows the
// difference again; else all that came before belongs to it.
void Suite::fail_on_difference() {
    if (found_.empty()) {
        return;
    }
    for (const auto& it : found_) {
        fmt::print("a difference: {}\n{}", describe(it.script.back()), it.text);
    }
    Difference& first = found_.front();
    fmt::print("making the first one's script of {} steps short\n", first.script.size());
    auto again = replay(programs_, first.script);
    if (!again.has_value()) {
        first.script = all_;
        again = replay(programs_, all_);
    }
    if (!again.has_value()) {
        throw process::Failure{"not seen again on fresh servers: " + first.describe()};
    }
    throw process::Failure{shrink(programs_, std::move(*again), kShrinkTime).describe()};
}

void Suite::check_coverage() {
    std::string text;
    for (const auto& hole : coverage_.holes()) {
        text += "\n  " + hole;
    }
    if (judge_.has_idle_entry()) {
        text += "\n  an entry of the list of what is not compared was never used";
    }
    if (!text.empty()) {
        throw process::Failure{"holes in the coverage:" + text};
    }
}

void Suite::check_mutants(const std::vector<std::string>& names) {
    Programs programs = programs_;
    programs.cairnd = options_.mutants;
    if (const auto found = hunt(programs)) {
        throw process::Failure{"a difference with no mutant on: " + found->describe()};
    }
    std::string missed;
    for (const auto& name : names) {
        programs.mutant = name;
        auto found = hunt(programs);
        if (!found.has_value()) {
            missed += "\n  " + name;
            continue;
        }
        fmt::print("found: {}: {}\n{}", name, describe(found->script.back()), found->text);
        if (options_.shrink_mutants || name == kAlwaysShrunk) {
            check_shrinking(programs, std::move(*found));
        }
    }
    if (!missed.empty()) {
        throw process::Failure{"mutants not found:" + missed};
    }
}

void Suite::check_shrinking(const Programs& programs, Difference found) {
    const auto before = found.script.size();
    auto again = replay(programs, found.script);
    if (!again.has_value()) {
        throw process::Failure{"not seen again on fresh servers: " + found.describe()};
    }
    const auto shrunk = shrink(programs, std::move(*again), kShrinkTime);
    fmt::print("it shrinks from {} steps: {}", before, shrunk.describe());
    if (shrunk.script.size() > kShrunkStepsMax) {
        throw process::Failure{"the script of a mutant stays long: " + programs.mutant};
    }
}

// What the command prints, without the newline; empty when it fails.
std::string output_of(const std::string& command) {
    std::string text;
    std::FILE* pipe = popen(command.c_str(), "r");
    for (int c = 0; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) {
        text.push_back(static_cast<char>(c));
    }
    const bool failed = pipe == nullptr || pclose(pipe) != 0;
    return failed ? "" : text.substr(0, text.find('\n'));
}

std::optional<Options> parse_options(const std::vector<std::string_view>& arguments) {
    Options options;
    if (const char* seed = std::getenv("CAIRN_SEED"); seed != nullptr) {
        options.seed = std::strtoull(seed, nullptr, 10);
    }
    for (const auto argument : arguments) {
        const auto equals = std::min(argument.find('='), argument.size() - 1);
        const auto name = argument.substr(0, equals);
        const auto value = argument.substr(equals + 1);
        if (name == "--server") {
            options.server = value;
        } else if (name == "--mutants") {
            options.mutants = value;
        } else if (name == "--mutant") {
            options.mutant = value;
        } else if (name == "--shrink-mutants") {
            options.shrink_mutants = value == "yes";
        } else if (name == "--etcd") {
            options.etcd_command = value;
        } else if (name == "--errors") {
            options.error_table = value;
        } else if (name == "--steps" || name == "--seed") {
            auto& number = name == "--seed" ? options.seed : options.steps;
            std::from_chars(value.data(), value.data() + value.size(), number);
        } else {
            return std::nullopt;
        }
    }
    const bool complete = !options.server.empty() && !options.mutants.empty() &&
                          !options.etcd_command.empty() && !options.error_table.empty();
    return complete ? std::optional(options) : std::nullopt;
}

int run(const Options& options) {
    const auto folder = output_of(options.etcd_command);
    if (folder.empty()) {
        fmt::print(
            "SKIPPED: NO REAL ETCD TO COMPARE WITH. scripts/fetch-etcd gets one; until then "
            "nothing is known of how cairn's answers differ from etcd's.\n");
        return kSkipped;
    }
    try {
        Suite(options, {.etcd = folder + "/etcd", .cairnd = options.server}).run();
    } catch (const process::Failure& failure) {
        fmt::print("FAILED (--seed={}): {}\n", options.seed, failure.text);
        return 1;
    }
    return 0;
}

}  // namespace
}  // namespace cairn::diff

int main(int argc, char** argv) {
    using namespace cairn::diff;
    const auto options = parse_options({argv + 1, argv + argc});
    if (!options.has_value()) {
        fmt::print(stderr,
                   "usage: {} --server=CAIRND --mutants=CAIRND --etcd=FOLDER_COMMAND "
                   "--errors=FILE [--steps=N] [--seed=N] [--mutant=NAME] [--shrink-mutants=yes]\n",
                   argv[0]);
        return 2;
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    return run(*options);
}
