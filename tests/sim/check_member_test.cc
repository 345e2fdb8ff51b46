// Each rule of a single member, with one observation that breaks it.
#include "sim/check_member.h"

#include <string>

#include "catch.h"

namespace cairn::sim {
namespace {

TEST_CASE("A member that does not end after a failed write is found", "[sim][safety]") {
    const auto verdict_on = [](const server::Effects& effects, bool is_due) {
        Verdict verdict;
        check_halt(0, effects, is_due, verdict);
        return verdict.invariant();
    };
    server::Effects effects;
    CHECK(verdict_on(effects, false).empty());
    CHECK(verdict_on(effects, true) == "D4");

    effects.halt = Error{Errc::kIo};
    effects.send.push_back(raft::Message{NodeId{1}, NodeId{2}, Term{3}, raft::TimeoutNow{}});
    CHECK(verdict_on(effects, true).empty());
    effects.send.push_back(raft::Message{NodeId{1}, NodeId{2}, Term{3}, raft::Heartbeat{}});
    CHECK(verdict_on(effects, true) == "D4");
    effects.send.clear();
    effects.completions.emplace_back();
    CHECK(verdict_on(effects, true) == "D4");
    effects.completions.clear();
    effects.persist.emplace();
    CHECK(verdict_on(effects, true) == "D4");
}

TEST_CASE("What is left when all is quiet is found and named", "[sim][safety]") {
    const auto verdict_on = [](const Pending& pending) {
        Verdict verdict;
        check_quiet(0, pending, verdict);
        return verdict;
    };
    CHECK(!verdict_on({}).failed());
    CHECK(verdict_on({.proposals = 1}).invariant() == "B2");
    CHECK(verdict_on({.sending = 1}).invariant() == "B2");
    const Verdict verdict = verdict_on({.reads = 2, .files = {"snap/1"}});
    CHECK(verdict.invariant() == "B2");
    CHECK(verdict.detail().ends_with(": reads 2, snap/1"));
}

TEST_CASE("An answer from the past of a member's clients is found", "[sim][safety]") {
    const auto verdict_on = [](const Told& before, std::int64_t now, bool of_store) {
        Verdict verdict;
        check_told(0, before, {now, of_store}, verdict);
        return verdict.invariant();
    };
    const Told in_this_life{.life = 2, .revision = 7, .ever = 7};
    CHECK(verdict_on(in_this_life, 7, true).empty());
    CHECK(verdict_on(in_this_life, 8, true).empty());
    CHECK(verdict_on(in_this_life, 6, true) == "R2");
    CHECK(verdict_on(in_this_life, 6, false) == "R2");
    const Told in_the_life_before{.life = 2, .revision = 5, .ever = 7};
    CHECK(verdict_on(in_the_life_before, 6, true) == "R2");
    CHECK(verdict_on(in_the_life_before, 6, false).empty());
}

TEST_CASE("A leader that cannot write and stays is found", "[sim][safety]") {
    constexpr std::uint32_t kElection = 10;
    constexpr std::uint32_t kDue = kElection + 3;
    Verdict verdict;
    OfficeWatch watch(kElection);
    const auto ticks = [&](std::uint32_t count, bool is_writing, bool could_leave) {
        for (; count > 0; --count) {
            watch.tick(0, is_writing, could_leave, verdict);
        }
    };
    ticks(kDue - 1, true, true);
    watch.on_written();
    ticks(kDue - 1, true, true);
    ticks(1, false, true);
    ticks(2 * kDue, true, false);  // nobody else can lead
    CHECK(!verdict.failed());
    watch.on_written();
    ticks(kDue, true, true);
    CHECK(verdict.invariant() == "V5");
}

TEST_CASE("A leader that no quorum hears and that stays is found", "[sim][safety]") {
    constexpr std::uint32_t kElection = 10;
    constexpr std::uint32_t kDue = 2 * kElection + 5;
    Verdict verdict;
    QuorumWatch watch(kElection);
    const auto ticks = [&](std::uint32_t count, std::optional<Term> led, bool heard) {
        for (; count > 0; --count) {
            watch.tick(0, led, heard, verdict);
        }
    };
    ticks(kDue, Term{3}, false);
    ticks(1, Term{3}, true);
    ticks(kDue - 1, Term{3}, false);
    ticks(kDue, Term{4}, false);
    ticks(2 * kDue, std::nullopt, false);
    CHECK(!verdict.failed());
    ticks(1, Term{4}, true);
    ticks(kDue, Term{4}, false);
    CHECK(verdict.invariant() == "V5");
}

}  // namespace
}  // namespace cairn::sim
