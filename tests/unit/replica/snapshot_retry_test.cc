// Snapshots that do not arrive at once: who is waited for, for how long, and what is kept
// meanwhile.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "catch.h"

#include "unit/replica/snapshot_fixture.h"

namespace cairn::server::testing {
namespace {

SnapshotMessage refusal(Errc reason) { return SnapshotMessage{SnapshotRefused{reason}}; }

// The core wants one for the follower; it is there at once, dialled for and offered.
SnapshotEffects offer_one(SnapshotFlow& flow, const Files& files) {
    flow.on_turn(wanting({kFollower}), leads(kLeader));
    const auto build = of<BuildSnapshot>(take(flow).work).at(0);
    flow.on_result(built_of(build, files));
    flow.on_lane(kFollower, true);
    return take(flow);
}

// Ticks until the core is told that it came to nothing.
std::uint32_t ticks_until_told(SnapshotFlow& flow) {
    for (std::uint32_t ticks = 0; ticks < 1000; ++ticks) {
        if (!of<SnapshotSent>(take(flow).events).empty()) {
            return ticks;
        }
        flow.tick();
    }
    return 1000;
}

}  // namespace

TEST_CASE("each failure in a row is waited for longer", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(1));
    SnapshotFlow flow(kLeader, {.retry_ticks = 3, .retry_ticks_max = 10});
    const auto fail_once = [&] {
        REQUIRE(offer_one(flow, files).send.size() == 1);
        flow.on_message(kFollower, refusal(Errc::kNoSpace));
        return ticks_until_told(flow);
    };
    CHECK(fail_once() == 3);
    CHECK(fail_once() == 6);
    CHECK(fail_once() == 10);
    CHECK(fail_once() == 10);
    CHECK(flow.stats().sends_failed == 4);
    offer_one(flow, files);
    flow.on_message(kFollower, SnapshotDone{});
    CHECK(of<SnapshotSent>(take(flow).events).size() == 1);
    CHECK(fail_once() == 3);
}

TEST_CASE("who was silent is not waited for longer each time", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(1));
    const SnapshotLimits limits{.stall_ticks = 5, .retry_ticks = 3, .retry_ticks_max = 100};
    SnapshotFlow flow(kLeader, limits);
    for (int time = 0; time < 4; ++time) {
        offer_one(flow, files);
        CHECK(ticks_until_told(flow) == limits.stall_ticks + limits.retry_ticks);
    }
    CHECK(flow.stats().sends_failed == 4);
}

TEST_CASE("what was built is kept for a while", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(2));
    SnapshotFlow flow(kLeader, {.retry_ticks = 3, .keep_built_ticks = 16});
    // For whom it failed, which may ask again.
    for (int attempt = 0; attempt < 2; ++attempt) {
        offer_one(flow, files);
        flow.on_message(kFollower, refusal(Errc::kIo));
        const auto out = take(flow);
        CHECK(of<DropSnapshot>(out.work).size() == 1);
        CHECK(of<ForgetSnapshots>(out.work).empty());
        while (of<SnapshotSent>(take(flow).events).empty()) {
            flow.tick();
        }
    }
    SECTION("and no longer") {
        std::uint32_t ticks = 0;
        while (of<ForgetSnapshots>(take(flow).work).empty()) {
            flow.tick();
            REQUIRE(++ticks < 8);
        }
        for (int tick = 0; tick < 20; ++tick) {
            flow.tick();
        }
        CHECK(take(flow).empty());
    }
    SECTION("not by who leads no more") {
        NodeView view = leads(kLeader);
        view.is_leader = false;
        flow.on_turn({}, view);
        CHECK(of<ForgetSnapshots>(take(flow).work).size() == 1);
        flow.on_turn({}, view);
        CHECK(take(flow).empty());
    }
}

TEST_CASE("what turns out to be bad is built anew", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(2));
    SnapshotFlow flow(kLeader, {.retry_ticks = 3});
    offer_one(flow, files);
    flow.on_message(kFollower, refusal(Errc::kCorrupt));
    CHECK(of<ForgetSnapshots>(take(flow).work).size() == 1);
}

TEST_CASE("what nobody takes is not kept for those who fail for ever",
          "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(2));
    SnapshotFlow flow(kLeader, {.retry_ticks = 3, .retry_ticks_max = 3, .keep_built_ticks = 8});
    std::size_t forgotten = 0;
    for (int attempt = 0; attempt < 6; ++attempt) {
        offer_one(flow, files);
        flow.on_message(kFollower, refusal(Errc::kNoSpace));
        for (int tick = 0; tick < 3; ++tick) {
            flow.tick();
            forgotten += of<ForgetSnapshots>(take(flow).work).size();
        }
    }
    CHECK(forgotten == 2);
}

TEST_CASE("a follower that is busy is asked again and has not failed",
          "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(3));
    const SnapshotLimits limits{.stall_ticks = 5, .retry_ticks = 3};
    SnapshotFlow flow(kLeader, limits);
    offer_one(flow, files);
    for (int time = 0; time < 10; ++time) {
        flow.on_message(kFollower, refusal(Errc::kTooManyRequests));
        flow.on_message(kFollower, SnapshotWant{{0, 0}});  // of before
        for (std::uint32_t tick = 0; tick < limits.retry_ticks; ++tick) {
            CHECK(take(flow).empty());
            flow.tick();
        }
        const auto out = take(flow);
        CHECK((out.lanes.empty() && out.work.empty() && out.events.empty()));
        REQUIRE(out.send == std::vector{std::pair{kFollower, SnapshotMessage{offer_of(files)}}});
    }
    CHECK(flow.stats().sends_failed == 0);
    flow.on_message(kFollower, SnapshotDone{});
    CHECK(of<SnapshotSent>(take(flow).events).at(0).last == kLast);
}

TEST_CASE("an installation may take longer than anything, over lost connections, too",
          "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(4));
    const SnapshotLimits limits{.stall_ticks = 5, .retry_ticks = 3};
    SnapshotFlow leader(kLeader, limits);
    offer_one(leader, files);
    SnapshotFlow follower(kFollower, limits);
    follower.on_turn({}, follows(kFollower));
    follower.on_message(kLeader, offer_of(files));
    const auto open = of<OpenIncoming>(take(follower).work).at(0);
    follower.on_result(SnapshotOpened{open.run, storage::SnapshotPlace{1, 0}});
    const auto answer = [&] {
        for (auto& [to, message] : take(follower).send) {
            leader.on_message(kFollower, std::move(message));
        }
    };
    answer();
    for (int time = 0; time < 4; ++time) {
        for (std::uint32_t tick = 0; tick < 3 * limits.stall_ticks; ++tick) {
            leader.tick();
        }
        leader.on_lane(kFollower, false);
        follower.on_lane_lost(kLeader);
        leader.on_lane(kFollower, true);
        for (auto& [to, message] : take(leader).send) {
            follower.on_message(kLeader, std::move(message));
        }
        answer();
    }
    CHECK(leader.stats().sends_failed == 0);
    CHECK(follower.stats().receives_failed == 0);
    follower.on_result(IncomingVerified{open.run, true});
    Effects install;
    install.install = files.manifest.meta;
    follower.on_turn(install, follows(kFollower));
    follower.on_result(InstallDone{files.manifest.meta, std::int64_t{55}});
    answer();
    CHECK(of<SnapshotSent>(take(leader).events).at(0).last == kLast);
}

namespace {

// A follower that has all of a snapshot and reads it again.
struct Arrived {
    explicit Arrived(const Files& files) : flow(kFollower, {}) {
        flow.on_turn({}, follows(kFollower));
        flow.on_message(kLeader, offer_of(files));
        run = of<OpenIncoming>(take(flow).work).at(0).run;
        flow.on_result(SnapshotOpened{run, storage::SnapshotPlace{1, 0}});
        take(flow);
    }
    bool is_busy_for(NodeId from, const SnapshotOffer& offer) {
        flow.on_message(from, offer);
        const SnapshotMessage busy{SnapshotRefused{Errc::kTooManyRequests}};
        return take(flow).send == std::vector{std::pair{from, busy}};
    }
    SnapshotFlow flow;
    std::uint64_t run{};
};

Files newer(Files files) {
    files.manifest.meta.last.index = kLast + 1;
    return files;
}

}  // namespace

TEST_CASE("a snapshot that has arrived outlives its leader", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(4));
    const Files other = newer(files);
    Arrived follower(files);
    CHECK(follower.is_busy_for(kThird, offer_of(other, kTerm)));
    NodeId installs_from = kLeader;
    Term in_term = kTerm;
    SECTION("no new one") {}
    SECTION("which a new one installs") {
        CHECK(follower.is_busy_for(kThird, offer_of(other, kTerm + 1)));
        installs_from = kThird;
        in_term = kTerm + 1;
        // The former one has come back, and has not heard of it yet.
        CHECK(follower.is_busy_for(kLeader, offer_of(files)));
    }
    follower.flow.on_result(IncomingVerified{follower.run, true});
    const auto handed = of<Receive>(take(follower.flow).events);
    REQUIRE(handed.size() == 1);
    CHECK(handed[0].message == raft::Message{installs_from, kFollower, in_term,
                                             raft::InstallSnapshot{files.manifest.meta}});
}

TEST_CASE("a bad snapshot is told to who sent it, not to the next leader",
          "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(4));
    Arrived follower(files);
    const bool led_anew = GENERATE(false, true);
    if (led_anew) {
        CHECK(follower.is_busy_for(kThird, offer_of(newer(files), kTerm + 1)));
    }
    follower.flow.on_result(IncomingVerified{follower.run, Error{Errc::kCorrupt, "why"}});
    const auto out = take(follower.flow);
    CHECK(of<DropIncoming>(out.work).size() == 1);
    CHECK(out.send.size() == (led_anew ? 0 : 1));
}

TEST_CASE("who waits for this member's disk has not stalled", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(5));
    const SnapshotLimits limits{.stall_ticks = 5, .retry_ticks = 3};
    SnapshotFlow flow(kLeader, limits);
    offer_one(flow, files);
    flow.on_message(kFollower, SnapshotWant{{0, 0}});
    const auto read = of<ReadPiece>(take(flow).work).at(0);
    for (std::uint32_t tick = 0; tick < 5 * limits.stall_ticks; ++tick) {
        flow.tick();
    }
    CHECK(flow.stats().sends_failed == 0);
    flow.on_result(PieceRead{kFollower, read.run, chunk_of(files, read.place, read.count)});
    CHECK(take(flow).send.size() == 1);
    // Now it is waited for.
    for (std::uint32_t tick = 0; tick < limits.stall_ticks; ++tick) {
        flow.tick();
    }
    CHECK(flow.stats().sends_failed == 1);
}

TEST_CASE("a snapshot below the log is never offered", "[replica][snapshot][retry]") {
    const Files files = make_files({10}, Prng(6));
    SnapshotFlow flow(kLeader, {.retry_ticks = 3});
    NodeView view = leads(kLeader);
    flow.on_turn(wanting({kFollower}), view);
    const auto build = of<BuildSnapshot>(take(flow).work).at(0);
    flow.on_result(built_of(build, files));
    SECTION("once the log was cut while it was built") {
        view.floor = kLast + 1;
        flow.on_turn({}, view);
        flow.on_lane(kFollower, true);
    }
    SECTION("nor again") {
        flow.on_lane(kFollower, true);
        CHECK(take(flow).send.size() == 1);
        view.floor = kLast + 1;
        flow.on_turn({}, view);
        flow.on_lane(kFollower, false);
        flow.on_lane(kFollower, true);
    }
    CHECK(take(flow).send.empty());
    CHECK(flow.stats().sends_failed == 1);
    CHECK(ticks_until_told(flow) == 3);
}

TEST_CASE("a snapshot is built in steps, as fast as the rate allows", "[replica][snapshot]") {
    const Files files = make_files({10}, Prng(7));
    SnapshotFlow flow(kLeader, {.bytes_per_tick = 250, .chunk_bytes = 1000});
    flow.on_turn(wanting({kFollower}), leads(kLeader));
    auto steps = of<BuildSnapshot>(take(flow).work);
    for (int tick = 0; tick < 10; ++tick) {
        // Each reads four times what may be sent.
        REQUIRE(steps.size() == 1);
        CHECK(steps[0].bytes_max == (tick == 0 ? 0 : 1000));
        flow.on_result(
            SnapshotBuilt{kFollower, steps[0].run, std::optional<storage::SnapshotManifest>()});
        CHECK(take(flow).empty());
        flow.tick();
        steps = of<BuildSnapshot>(take(flow).work);
    }
    CHECK(flow.stats().sends_failed == 0);
    flow.on_result(built_of(steps.at(0), files));
    CHECK(take(flow).lanes.size() == 1);
}

TEST_CASE("a low rate is shared", "[replica][snapshot]") {
    const Files files = make_files({100'000}, Prng(8));
    SnapshotFlow flow(kLeader, {.bytes_per_tick = 100, .chunk_bytes = 1000});
    flow.on_turn(wanting({kFollower, kThird}), leads(kLeader));
    for (const auto& build : of<BuildSnapshot>(take(flow).work)) {
        flow.on_result(built_of(build, files));
        flow.on_lane(build.to, true);
        flow.on_message(build.to, SnapshotWant{{0, 0}});
    }
    std::map<NodeId, std::uint64_t> sent;
    for (int tick = 0; tick < 200; ++tick) {
        flow.tick();
        for (const auto& read : of<ReadPiece>(take(flow).work)) {
            sent[read.to] += read.count;
            flow.on_result(PieceRead{read.to, read.run, chunk_of(files, read.place, read.count)});
            flow.on_message(read.to, SnapshotAck{{0, read.place.offset + read.count}});
        }
    }
    CHECK(sent[kFollower] == 10'000);
    CHECK(sent[kThird] == 10'000);
}

TEST_CASE("a follower with a full disk says so and keeps nothing", "[replica][snapshot][disk]") {
    const Files files = make_files({10}, Prng(9));
    SnapshotFlow flow(kFollower, {});
    flow.on_turn({}, follows(kFollower));
    flow.on_message(kLeader, offer_of(files));
    const auto open = of<OpenIncoming>(take(flow).work).at(0);
    SECTION("at once") { flow.on_result(SnapshotOpened{open.run, Error{Errc::kNoSpace}}); }
    SECTION("in the middle") {
        flow.on_result(SnapshotOpened{open.run, storage::SnapshotPlace{0, 0}});
        flow.on_message(kLeader, chunk_of(files, {0, 0}, 5));
        take(flow);
        flow.on_result(PieceWritten{open.run, {0, 0}, Error{Errc::kNoSpace}});
    }
    SECTION("in the end") {
        flow.on_result(SnapshotOpened{open.run, storage::SnapshotPlace{1, 0}});
        take(flow);
        flow.on_result(IncomingVerified{open.run, Error{Errc::kNoSpace}});
    }
    const auto out = take(flow);
    CHECK(out.send.back() == std::pair{kLeader, refusal(Errc::kNoSpace)});
    CHECK(of<DropIncoming>(out.work).size() == 1);
    CHECK((out.events.empty() && flow.stats().receiving == 0));
}

TEST_CASE("who has caught up by the log needs no more of a snapshot", "[replica][snapshot]") {
    const Files files = make_files({10}, Prng(10));
    SnapshotFlow flow(kFollower, {});
    flow.on_turn({}, follows(kFollower));
    flow.on_message(kLeader, offer_of(files));
    const auto open = of<OpenIncoming>(take(flow).work).at(0);
    storage::SnapshotPlace begin{0, 0};
    SECTION("while it arrives") {}
    SECTION("while it is verified") { begin = {1, 0}; }
    flow.on_result(SnapshotOpened{open.run, begin});
    flow.on_turn({}, follows(kFollower, kLast - 1));
    take(flow);
    flow.on_turn({}, follows(kFollower, kLast));
    const auto out = take(flow);
    CHECK(out.send == std::vector{std::pair{kLeader, SnapshotMessage{SnapshotDone{}}}});
    CHECK(of<DropIncoming>(out.work).size() == 1);
    flow.on_result(IncomingVerified{open.run, true});
    flow.on_message(kLeader, chunk_of(files, {0, 0}, 10));
    CHECK(take(flow).empty());
}

TEST_CASE("times are the same for ticks of any length", "[replica][snapshot]") {
    for (const std::uint64_t tick_ms : {10U, 100U, 1000U}) {
        const auto limits = SnapshotLimits::for_ticks_of(tick_ms);
        CHECK(limits.stall_ticks * tick_ms == 60'000);
        CHECK(limits.retry_ticks * tick_ms == 2'000);
        CHECK(limits.retry_ticks_max * tick_ms == 60'000);
        CHECK(limits.keep_partial_ticks * tick_ms == 600'000);
        CHECK(limits.keep_built_ticks * tick_ms == 300'000);
    }
    // Never none at all.
    CHECK(SnapshotLimits::for_ticks_of(10'000).retry_ticks == 1);
    const auto usual = SnapshotLimits::for_ticks_of(100);
    const SnapshotLimits limits;
    CHECK(usual.stall_ticks == limits.stall_ticks);
    CHECK(usual.retry_ticks == limits.retry_ticks);
    CHECK(usual.retry_ticks_max == limits.retry_ticks_max);
    CHECK(usual.keep_partial_ticks == limits.keep_partial_ticks);
    CHECK(usual.keep_built_ticks == limits.keep_built_ticks);
}

}  // namespace cairn::server::testing
