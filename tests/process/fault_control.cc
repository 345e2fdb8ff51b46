// cairn_fault_control: faults under nodes with a planted bug must be seen. If they were not, the
// fault test's verdict would be worth nothing. Usage: cairn_fault_control CAIRND_MUTANTS MUTANT
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "process/fault_run.h"

namespace cairn::process {
namespace {

// By chance a bug may do no harm: who leads is not the test's choice.
constexpr std::uint64_t kTriesMax = 8;
constexpr std::size_t kStrikes = 3;

// `says`: what shows that a failed run has found it: the run's verdict, or the node that halts for
// it. Anything else, as that no leader is there in time, may have come of a slow machine.
struct Planted {
    std::string_view mutant;
    std::string_view fault;
    std::string_view says;
};

constexpr std::array kPlanted{
    // Of three members the one in the middle commits what it alone has, and halts when it is told
    // otherwise.
    Planted{"quorum_of_unsorted", "leader isolated",
            "the leader contradicts what is committed here"},
    // A leader that was replaced meanwhile goes on answering.
    Planted{"read_without_quorum", "leader isolated", "is cut off and answers a linearizable read"},
    // A member that starts again applies an entry twice: one that was told to stop has flushed all
    // that it applied, which one that was killed has done by chance. It is the last look that sees
    // it.
    Planted{"applied_index_lags", "follower stopped", "the members differ"},
};

const FaultRun::Kind& kind_of(std::string_view name) {
    for (const auto& kind : FaultRun::kinds()) {
        if (kind.name == name) {
            return kind;
        }
    }
    throw Failure{fmt::format("no such fault: {}", name)};
}

// What the run finds, and whether the bug was at work.
struct Finding {
    std::optional<std::string> wrong;
    bool reached = false;
    std::string logs;  // their ends, when something is wrong

    [[nodiscard]] bool says(std::string_view text) const {
        return wrong.has_value() && (*wrong + logs).find(text) != std::string::npos;
    }
};

Finding strike(FaultRun& run, std::string_view fault) {
    Finding finding;
    try {
        run.begin();
        for (std::size_t struck = 0; struck < kStrikes; ++struck) {
            run.strike(kind_of(fault));
        }
        finding.wrong = run.finish();
    } catch (const Failure& failure) {
        finding.wrong = failure.text;
    }
    finding.logs = finding.wrong.has_value() ? run.cluster().last_lines() : "";
    for (std::size_t node = 0; node < run.cluster().size(); ++node) {
        finding.reached = finding.reached ||
                          run.cluster().log_of(node).find("mutant reached: ") != std::string::npos;
    }
    return finding;
}

// The same program without the bug: what follows is found for the bug, not for anything else. The
// exit code, as below.
int check_sound(const std::string& server, const Planted& planted) {
    FaultRun run({.server = server, .short_holds = true});
    const auto finding = strike(run, planted.fault);
    return finding.wrong.has_value() ? run.report_failure("without a bug: " + *finding.wrong) : 0;
}

int check_found(const std::string& server, const Planted& planted) {
    for (std::uint64_t seed = 1;; ++seed) {
        FaultRun run({.server = server,
                      .environment = {{"CAIRN_MUTANT", std::string(planted.mutant)}},
                      .seed = seed,
                      .short_holds = true});
        const auto finding = strike(run, planted.fault);
        if (!finding.reached) {
            return run.report_failure(fmt::format("{} was never reached", planted.mutant));
        }
        if (finding.says(planted.says)) {
            fmt::print("{} found, as it must be, at try {}: {}\n", planted.mutant, seed,
                       *finding.wrong);
            return 0;
        }
        if (finding.wrong.has_value()) {
            fmt::print("{}{}, try {}: not what was to be found: {}\n", finding.logs, planted.mutant,
                       seed, *finding.wrong);
        }
        if (seed == kTriesMax) {
            return run.report_failure(
                fmt::format("{} was planted, and nobody said: {}", planted.mutant, planted.says));
        }
    }
}

const Planted* planted_of(std::string_view mutant) {
    const auto* found = std::find_if(kPlanted.begin(), kPlanted.end(), [&](const Planted& planted) {
        return planted.mutant == mutant;
    });
    return found == kPlanted.end() ? nullptr : found;
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const Planted* planted = argc == 3 ? planted_of(argv[2]) : nullptr;
    if (planted == nullptr) {
        fmt::print(stderr, "usage: {} CAIRND_MUTANTS MUTANT\nMUTANT is one of:", argv[0]);
        for (const auto& one : kPlanted) {
            fmt::print(stderr, " {}", one.mutant);
        }
        fmt::print(stderr, "\n");
        return 2;
    }
    try {
        const int code = check_sound(argv[1], *planted);
        return code != 0 ? code : check_found(argv[1], *planted);
    } catch (const Failure& failure) {
        fmt::print("FAILED: {}\n", failure.text);
        return 1;
    }
}
