// Quorums against tables and against a slow twin that follows the definition word by word.
#include "raft/quorum.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "catch.h"

#include "base/prng.h"

namespace cairn::raft {
namespace {

constexpr std::uint64_t kNobodyHoldsBack = std::numeric_limits<std::uint64_t>::max();

struct Case {
    std::string where;
    std::string left;
    std::string right;  // behind the bar
    std::string want;
};

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(' ');
    return first == std::string::npos ? ""
                                      : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<Case> read_cases(const std::string& name) {
    std::ifstream file(std::string(CAIRN_QUORUM_DATA) + "/" + name);
    REQUIRE(file.good());
    std::vector<Case> cases;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        const auto equals = line.find('=');
        if (line.empty() || line[0] == '#' || equals == std::string::npos) {
            continue;
        }
        const std::string given = line.substr(0, equals);
        const auto bar = given.find('|');
        cases.push_back({.where = name + ":" + std::to_string(number) + ": " + line,
                         .left = trimmed(given.substr(0, bar)),
                         .right = bar == std::string::npos ? "" : trimmed(given.substr(bar + 1)),
                         .want = trimmed(line.substr(equals + 1))});
    }
    return cases;
}

std::vector<std::uint64_t> numbers(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::uint64_t> values;
    for (std::uint64_t value = 0; in >> value;) {
        values.push_back(value);
    }
    return values;
}

VoteResult tally(const std::string& ballots) {
    const auto count = [&](char c) {
        return static_cast<std::size_t>(std::count(ballots.begin(), ballots.end(), c));
    };
    return majority_vote(ballots.size(), count('y'), count('n'));
}

const char* name_of(VoteResult result) {
    switch (result) {
        case VoteResult::kPending: return "pending";
        case VoteResult::kLost: return "lost";
        case VoteResult::kWon: return "won";
    }
    return "?";
}

// The definition: the largest value that more than half of the voters have reached.
std::uint64_t slow_majority_value(const std::vector<std::uint64_t>& values) {
    if (values.empty()) {
        return kNobodyHoldsBack;
    }
    std::uint64_t best = 0;
    for (const std::uint64_t candidate : values) {
        const auto reached = std::count_if(values.begin(), values.end(),
                                           [&](std::uint64_t value) { return value >= candidate; });
        if (static_cast<std::size_t>(reached) * 2 > values.size()) {
            best = std::max(best, candidate);
        }
    }
    return best;
}

// The definition: won or lost when every way to fill in the open ballots says the same.
VoteResult slow_vote(const std::string& ballots) {
    const auto open = static_cast<std::size_t>(std::count(ballots.begin(), ballots.end(), '_'));
    bool can_win = false;
    bool can_lose = false;
    for (std::size_t filling = 0; filling < (std::size_t{1} << open); ++filling) {
        std::size_t granted = 0;
        std::size_t place = 0;
        for (const char ballot : ballots) {
            granted += ballot == 'y' ? 1U : 0U;
            granted += ballot == '_' ? (filling >> place) & 1U : 0U;
            place += ballot == '_' ? 1U : 0U;
        }
        const bool wins = ballots.empty() || granted * 2 > ballots.size();
        can_win = can_win || wins;
        can_lose = can_lose || !wins;
    }
    if (can_win && can_lose) {
        return VoteResult::kPending;
    }
    return can_win ? VoteResult::kWon : VoteResult::kLost;
}

std::uint64_t seed_of_run() {
    const char* given = std::getenv("CAIRN_SEED");
    return given == nullptr ? 20261124 : std::strtoull(given, nullptr, 10);
}

}  // namespace

TEST_CASE("the table of committed values", "[raft][quorum]") {
    const auto cases = read_cases("committed.txt");
    REQUIRE(cases.size() >= 25);
    for (const Case& test : cases) {
        INFO(test.where);
        auto left = numbers(test.left);
        auto right = numbers(test.right);
        const std::uint64_t got = std::min(majority_value(left), majority_value(right));
        const std::uint64_t want =
            test.want == "max" ? kNobodyHoldsBack : std::strtoull(test.want.c_str(), nullptr, 10);
        REQUIRE(got == want);
    }
}

TEST_CASE("the table of vote results", "[raft][quorum]") {
    const auto cases = read_cases("votes.txt");
    REQUIRE(cases.size() >= 33);
    for (const Case& test : cases) {
        INFO(test.where);
        REQUIRE(std::string(name_of(joint_vote(tally(test.left), tally(test.right)))) == test.want);
    }
}

TEST_CASE("majority_value does what its slow twin does", "[raft][quorum][random]") {
    const std::uint64_t seed = seed_of_run();
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::uint64_t> values(prng.below(10));
        for (auto& value : values) {
            value = prng.below(prng.chance(1, 2) ? 5 : 1000);
        }
        const std::uint64_t want = slow_majority_value(values);
        REQUIRE(majority_value(values) == want);
    }
}

TEST_CASE("vote results are what their slow twin says", "[raft][quorum][random]") {
    const std::uint64_t seed = seed_of_run();
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    for (int round = 0; round < 5000; ++round) {
        std::string half[2];
        for (auto& ballots : half) {
            ballots.resize(prng.below(9));
            for (auto& ballot : ballots) {
                ballot = "yn_"[prng.below(3)];
            }
            REQUIRE(tally(ballots) == slow_vote(ballots));
        }
        // Two majorities overlap: both a set of voters and the rest of them never win.
        std::string rest = half[0];
        for (auto& ballot : rest) {
            ballot = ballot == 'y' ? 'n' : 'y';
        }
        REQUIRE((half[0].empty() || tally(half[0]) != VoteResult::kWon ||
                 tally(rest) != VoteResult::kWon));
    }
}

}  // namespace cairn::raft
