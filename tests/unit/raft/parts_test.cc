// The parts the core is made of, each by itself.
#include "base/prng.h"
#include "raft/conf_change.h"
#include "raft/forward_window.h"
#include "raft/inflights.h"
#include "raft/log.h"
#include "raft/progress.h"
#include "raft/read_queue.h"
#include "raft/tracker.h"
#include "raft/writes.h"
#include "seed.h"
#include "unit/raft/fixture.h"

namespace cairn::raft::testing {
namespace {

constexpr Progress::Limits kLimits{.inflight_count_max = 3, .inflight_bytes_max = 1000};

Log log_from(const std::vector<Entry>& entries, SnapshotMeta floor = {}) {
    Log log(std::move(floor));
    for (const Entry& entry : entries) {
        REQUIRE(log.append(entry).has_value());
    }
    log.start(log.floor().last.index, log.floor().last.index);
    return log;
}

ProposalId from(std::uint64_t member, std::uint64_t boot, std::uint64_t sequence) {
    return {NodeId{member}, boot, sequence};
}

}  // namespace

TEST_CASE("the golden bytes of a configuration change", "[raft][format]") {
    const ConfChange change{ConfChangeKind::kBootstrapVoter, NodeId{0x1122334455667788U},
                            Bytes::copy_of("abc")};
    const char golden[] =
        "\x01\x01\x88\x77\x66\x55\x44\x33\x22\x11"
        "abc";
    const Bytes bytes = encode_conf_change(change);
    REQUIRE(bytes == Bytes::copy_of({golden, sizeof(golden) - 1}));
    REQUIRE(decode_conf_change(bytes).value() == change);
}

TEST_CASE("a malformed configuration change is an error", "[raft][format]") {
    const Bytes good = encode_conf_change({ConfChangeKind::kBootstrapVoter, NodeId{7}, {}});
    for (std::size_t size = 0; size < good.size(); ++size) {
        REQUIRE(decode_conf_change(good.slice(0, size)).error().code == Errc::kMalformed);
    }
    const auto with = [&](std::size_t at, char value) {
        std::string text(good.view());
        text[at] = value;
        return decode_conf_change(Bytes::copy_of(text));
    };
    REQUIRE(with(0, 2).has_error());
    REQUIRE(with(1, 0).has_error());
    REQUIRE(with(1, 7).has_error());
    REQUIRE(with(1, 6).has_error());  // leaving a joint configuration names nobody
    REQUIRE(with(2, 0).has_error());  // member 0
    REQUIRE(with(9, 1).has_value());
    REQUIRE(decode_conf_change(Bytes::copy_of(std::string(70'000, '\1'))).has_error());
}

TEST_CASE("adding voters keeps the configuration sorted", "[raft][conf]") {
    ConfState conf;
    for (const std::uint64_t id : {5U, 1U, 3U}) {
        conf = apply_conf_change(conf, {ConfChangeKind::kBootstrapVoter, NodeId{id}, {}}).value();
    }
    REQUIRE(conf.voters == std::vector<NodeId>{NodeId{1}, NodeId{3}, NodeId{5}});
    REQUIRE(apply_conf_change(conf, {ConfChangeKind::kBootstrapVoter, NodeId{3}, {}}).has_error());
    conf.learners = {NodeId{9}};
    REQUIRE(apply_conf_change(conf, {ConfChangeKind::kBootstrapVoter, NodeId{9}, {}}).has_error());
    conf.voters_outgoing = {NodeId{1}};
    REQUIRE(apply_conf_change(conf, {ConfChangeKind::kBootstrapVoter, NodeId{8}, {}}).has_error());
}

TEST_CASE("bootstrap entries are the same whatever the order of the members", "[raft][conf]") {
    const auto batch = bootstrap_batch({{NodeId{2}, Bytes::copy_of("b")}, {NodeId{1}, {}}});
    REQUIRE(batch == bootstrap_batch({{NodeId{1}, {}}, {NodeId{2}, Bytes::copy_of("b")}}));
    REQUIRE(batch.seq == PersistSeq{1});
    REQUIRE(batch.hard_state == HardState{Term{1}, NodeId{}, Index{2}});
    REQUIRE(batch.entries.size() == 2);
    REQUIRE(batch.entries[1].id == EntryId{Term{1}, Index{2}});
    const ConfChange second{ConfChangeKind::kBootstrapVoter, NodeId{2}, Bytes::copy_of("b")};
    REQUIRE(decode_conf_change(batch.entries[1].payload).value() == second);
}

TEST_CASE("inflights are bounded in count and in bytes", "[raft][inflights]") {
    Inflights window(3, 100);
    window.add(Index{1}, 10);
    window.add(Index{2}, 10);
    REQUIRE_FALSE(window.full());
    window.add(Index{5}, 10);
    REQUIRE(window.full());
    window.free_up_to(Index{4});
    REQUIRE(window.count() == 1);
    REQUIRE(window.bytes() == 10);
    window.add(Index{9}, 95);
    REQUIRE(window.full());
    window.free_up_to(Index{9});
    REQUIRE(window.count() == 0);
    REQUIRE(window.bytes() == 0);
}

TEST_CASE("inflights count as a plain list does", "[raft][inflights][random]") {
    const std::uint64_t seed = seed_or(4711);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    Inflights window(37, 5000);
    std::deque<std::pair<std::uint64_t, std::uint64_t>> twin;
    std::uint64_t last = 0;
    for (int i = 0; i < 20000; ++i) {
        if (!window.full() && prng.chance(2, 3)) {
            last += prng.between(1, 5);
            const std::uint64_t bytes = prng.below(400);
            window.add(Index{last}, bytes);
            twin.emplace_back(last, bytes);
        } else {
            const std::uint64_t match = last - std::min(last, prng.below(30));
            window.free_up_to(Index{match});
            while (!twin.empty() && twin.front().first <= match) {
                twin.pop_front();
            }
        }
        std::uint64_t bytes = 0;
        for (const auto& sent : twin) {
            bytes += sent.second;
        }
        REQUIRE(window.count() == twin.size());
        REQUIRE(window.bytes() == bytes);
        REQUIRE(window.full() == (twin.size() >= 37 || bytes >= 5000));
    }
}

TEST_CASE("the log answers for its terms down to the floor", "[raft][log]") {
    SnapshotMeta floor;
    floor.last = {Term{2}, Index{10}};
    const Log log = log_from({command(2, 11), command(5, 12), command(5, 13)}, floor);
    REQUIRE(log.first() == Index{11});
    REQUIRE(log.last_id() == EntryId{Term{5}, Index{13}});
    REQUIRE_FALSE(log.term_at(Index{9}));
    REQUIRE(log.term_at(Index{10}) == Term{2});
    REQUIRE(log.term_at(Index{12}) == Term{5});
    REQUIRE_FALSE(log.term_at(Index{14}));
    REQUIRE(log.last_not_above({Term{4}, Index{99}}) == EntryId{Term{2}, Index{11}});
    REQUIRE(log.last_not_above({Term{5}, Index{12}}) == EntryId{Term{5}, Index{12}});
    REQUIRE(log.last_not_above({Term{1}, Index{12}}) == floor.last);
}

TEST_CASE("the search for a common prefix finds what a scan finds", "[raft][log][random]") {
    const std::uint64_t seed = seed_or(99);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    for (int round = 0; round < 300; ++round) {
        std::vector<Entry> entries;
        std::uint64_t term = 1;
        for (std::uint64_t i = 1; i <= prng.below(20); ++i) {
            term += prng.below(3);
            entries.push_back(command(term, i));
        }
        const Log log = log_from(entries);
        const EntryId limit{Term{prng.below(15)}, Index{prng.below(25)}};
        EntryId want;
        for (const Entry& entry : entries) {
            if (entry.id.term <= limit.term && entry.id.index <= limit.index) {
                want = entry.id;
            }
        }
        REQUIRE(log.last_not_above(limit) == want);
    }
}

TEST_CASE("the floor within bounds is what a walk over the log finds", "[raft][log][random]") {
    const std::uint64_t seed = seed_or(2026);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    Log log{SnapshotMeta{}};
    for (int i = 0; i < 3000; ++i) {
        // More appended than cut off, and now and then all of it gone, at either end.
        const std::uint64_t held = log.last() - log.floor().last.index;
        const std::uint64_t some = prng.chance(1, 20) ? held : prng.below(held + 1) / 8;
        if (held > 0 && prng.chance(1, 10)) {
            log.truncate(log.last() + 1 - std::max<std::uint64_t>(some, 1));
        } else if (prng.chance(1, 10)) {
            const Index to = log.floor().last.index + some;
            log.start(to, to);
            log.compact(to);
        } else {
            Entry entry = command(1, log.last().value + 1);
            entry.payload = Bytes::copy_of(std::string(prng.below(200), 'x'));
            REQUIRE(log.append(std::move(entry)).has_value());
        }
        std::uint64_t all = 0;
        for (Index at = log.first(); at <= log.last(); ++at) {
            all += log.at(at).cost_bytes();
        }
        REQUIRE(log.bytes() == all);
        const std::uint64_t bytes_max = prng.below(all + 100);
        const std::uint64_t entries_max = prng.below(held + 3);
        std::uint64_t bytes = 0;
        Index floor = log.last();
        while (floor > log.floor().last.index && log.last() - floor < entries_max &&
               bytes + log.at(floor).cost_bytes() <= bytes_max) {
            bytes += log.at(floor).cost_bytes();
            floor = floor - 1;
        }
        REQUIRE(log.floor_within(bytes_max, entries_max) == floor);
        REQUIRE(log.floor_within(log.bytes(), held + 1) == log.floor().last.index);
    }
}

TEST_CASE("a slice is bounded in bytes, but never empty", "[raft][log]") {
    const Log log = log_from(log_of({1, 1, 1}));
    const std::uint64_t cost = log.at(Index{1}).cost_bytes();
    std::vector<Entry> out;
    REQUIRE(log.copy_from(Index{1}, 1, out) == cost);
    REQUIRE(out.size() == 1);
    out.clear();
    REQUIRE(log.copy_from(Index{1}, 2 * cost, out) == 2 * cost);
    out.clear();
    REQUIRE(log.copy_from(Index{2}, 1000, out) == 2 * cost);
    out.clear();
    REQUIRE(log.copy_from(Index{4}, 1000, out) == 0);
}

TEST_CASE("a configuration is in effect when appended and undone when truncated", "[raft][log]") {
    SnapshotMeta floor;
    floor.conf.voters = node_ids(3);
    Log log = log_from(log_of({1, 1}), floor);
    const Entry change{
        .id = {Term{2}, Index{3}},
        .kind = EntryKind::kConfig,
        .payload = encode_conf_change({ConfChangeKind::kBootstrapVoter, NodeId{4}, {}})};
    REQUIRE(log.append(change).has_value());
    REQUIRE(log.conf().voters == node_ids(4));
    REQUIRE(log.conf_at(Index{2}).voters == node_ids(3));
    REQUIRE(log.conf_index() == Index{3});
    log.truncate(Index{3});
    REQUIRE(log.conf().voters == node_ids(3));
    // A bad one leaves the log as it was.
    Entry bad = change;
    bad.payload = Bytes::copy_of("bad");
    REQUIRE(log.append(bad).error().code == Errc::kMalformed);
    REQUIRE(log.last() == Index{2});
    // The floor takes the configuration of its index along.
    REQUIRE(log.append(change).has_value());
    std::vector<Entry> taken;
    log.take_unsaved(taken);
    log.stable_to(Index{3});
    log.commit_to(Index{3});
    log.take_committed(10'000, taken);
    log.applied_to(Index{3});
    log.compact(Index{3});
    REQUIRE(log.floor() == SnapshotMeta{{Term{2}, Index{3}}, log.conf()});
    REQUIRE(log.conf().voters == node_ids(4));
    REQUIRE(log.last() == Index{3});
}

TEST_CASE("entries are handed out when committed and stable, in bounded bites", "[raft][log]") {
    Log log(SnapshotMeta{});
    log.start({}, {});
    for (const Entry& entry : log_of({1, 1, 1, 1})) {
        REQUIRE(log.append(entry).has_value());
    }
    const std::uint64_t cost = log.at(Index{1}).cost_bytes();
    std::vector<Entry> out;
    log.take_unsaved(out);
    out.clear();
    log.commit_to(Index{4});
    REQUIRE_FALSE(log.has_committed(1000));  // committed by others, not durable here
    log.stable_to(Index{3});
    log.take_committed(2 * cost, out);
    REQUIRE(out.size() == 2);
    log.take_committed(2 * cost, out);
    REQUIRE(out.size() == 2);  // still applying
    log.applied_to(Index{1});
    log.take_committed(2 * cost, out);
    REQUIRE(out.size() == 3);
    log.applied_to(Index{3});
    REQUIRE_FALSE(log.has_committed(1000));
    log.stable_to(Index{4});
    log.take_committed(1, out);  // one always fits
    REQUIRE(out.size() == 4);
    REQUIRE(log.uncommitted_bytes() == 0);
}

TEST_CASE("a probe waits for its answer and then streams", "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{10});
    REQUIRE(peer.wants_append(Index{10}, Index{}));
    peer.sent(Index{10}, 0, Index{});
    REQUIRE_FALSE(peer.wants_append(Index{12}, Index{9}));
    REQUIRE_FALSE(peer.refused(Index{9}, Index{3}));  // not the probe's prev
    REQUIRE(peer.refused(Index{10}, Index{3}));
    REQUIRE(peer.next() == Index{4});
    peer.sent(Index{10}, 100, Index{});
    REQUIRE(peer.next() == Index{4});  // a probe does not run ahead
    REQUIRE(peer.acked(Index{8}, Index{}));
    REQUIRE(peer.state() == ProgressState::kReplicate);
    REQUIRE(peer.next() == Index{9});
}

TEST_CASE("streaming is bounded by the window and resumes with an answer", "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{0});
    REQUIRE(peer.acked(Index{0}, Index{}));
    for (std::uint64_t i = 1; i <= 3; ++i) {
        REQUIRE(peer.wants_append(Index{9}, Index{}));
        peer.sent(Index{i}, 10, Index{});
    }
    REQUIRE_FALSE(peer.wants_append(Index{9}, Index{}));
    REQUIRE_FALSE(peer.may_carry_entries());
    REQUIRE(peer.acked(Index{2}, Index{}));
    REQUIRE(peer.wants_append(Index{9}, Index{}));
    REQUIRE_FALSE(peer.acked(Index{1}, Index{}));  // stale
    REQUIRE(peer.match() == Index{2});
    REQUIRE_FALSE(peer.refused(Index{2}, Index{0}));  // stale: known to match
    REQUIRE(peer.refused(Index{3}, Index{0}));
    REQUIRE(peer.state() == ProgressState::kProbe);
    REQUIRE(peer.next() == Index{3});
    REQUIRE(peer.inflights().count() == 0);
}

TEST_CASE("a full window still asks with an empty append when nudged", "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{0});
    REQUIRE(peer.acked(Index{0}, Index{}));
    peer.sent(Index{1}, 5000, Index{});
    REQUIRE_FALSE(peer.wants_append(Index{2}, Index{}));
    peer.nudge();
    REQUIRE(peer.wants_append(Index{2}, Index{}));
    REQUIRE_FALSE(peer.may_carry_entries());
    peer.sent(Index{1}, 0, Index{});
    REQUIRE_FALSE(peer.wants_append(Index{2}, Index{}));
}

TEST_CASE("news of the commit index is sent once", "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{0});
    REQUIRE(peer.acked(Index{0}, Index{}));
    peer.sent(Index{1}, 10, Index{0});
    REQUIRE(peer.acked(Index{1}, Index{}));
    REQUIRE_FALSE(peer.wants_append(Index{1}, Index{0}));
    REQUIRE(peer.wants_append(Index{1}, Index{1}));
    peer.sent(Index{1}, 0, Index{1});
    REQUIRE_FALSE(peer.wants_append(Index{1}, Index{1}));
}

TEST_CASE("after lost messages nothing streams until the peer answers", "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{0});
    REQUIRE(peer.acked(Index{0}, Index{}));
    peer.sent(Index{4}, 10, Index{});
    peer.unreachable();
    REQUIRE(peer.state() == ProgressState::kProbe);
    REQUIRE(peer.next() == Index{1});
    REQUIRE_FALSE(peer.wants_append(Index{4}, Index{}));
    peer.nudge();
    REQUIRE(peer.wants_append(Index{4}, Index{}));
}

TEST_CASE("a snapshot is waited for only while the log does not hold what a peer lacks",
          "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{10});
    peer.become_snapshot(Index{8});
    REQUIRE(peer.acked(Index{5}, Index{6}));
    REQUIRE(peer.state() == ProgressState::kSnapshot);
    REQUIRE_FALSE(peer.wants_append(Index{10}, Index{}));
    // Not as far as the snapshot, but the log begins here.
    REQUIRE(peer.acked(Index{6}, Index{6}));
    REQUIRE(peer.state() == ProgressState::kReplicate);
    REQUIRE(peer.next() == Index{7});
    REQUIRE(peer.catching_up_from() == Index{6});
}

TEST_CASE("a refusal never leads below the match", "[raft][progress]") {
    Progress peer(NodeId{2}, kLimits);
    peer.reset(Index{10});
    peer.become_snapshot(Index{8});
    REQUIRE(peer.acked(Index{5}, Index{6}));
    peer.snapshot_sent(Index{20});
    REQUIRE(peer.next() == Index{21});
    REQUIRE(peer.refused(Index{20}, Index{2}));
    REQUIRE(peer.next() == Index{6});
}

TEST_CASE("joint configurations need both majorities; learners never count", "[raft][tracker]") {
    Tracker tracker(NodeId{1}, kLimits);
    ConfState conf;
    conf.voters = node_ids(3);
    conf.voters_outgoing = {NodeId{3}, NodeId{4}, NodeId{5}};
    conf.learners = {NodeId{9}};
    tracker.configure(conf, Index{0});
    const auto acked_by = [&](std::uint64_t id, std::uint64_t match) {
        tracker.find(NodeId{id})->acked(Index{match}, Index{});
    };
    acked_by(1, 8);
    acked_by(2, 8);
    acked_by(9, 8);
    REQUIRE(tracker.committed() == Index{0});
    acked_by(4, 5);
    acked_by(5, 6);
    REQUIRE(tracker.committed() == Index{5});
    REQUIRE(tracker.least_match() == Index{0});
    tracker.clear_votes();
    for (const std::uint64_t id : {1U, 2U, 9U}) {
        tracker.record_vote(NodeId{id}, true);
    }
    REQUIRE(tracker.vote_result() == VoteResult::kPending);
    tracker.record_vote(NodeId{4}, false);
    tracker.record_vote(NodeId{4}, true);  // the first answer counts
    REQUIRE(tracker.vote_result() == VoteResult::kPending);
    tracker.record_vote(NodeId{5}, false);
    REQUIRE(tracker.vote_result() == VoteResult::kLost);
    REQUIRE_FALSE(tracker.is_voter(NodeId{9}));
    REQUIRE_FALSE(tracker.self_decides());
}

TEST_CASE("without voters nothing is ever agreed", "[raft][tracker]") {
    Tracker tracker(NodeId{1}, kLimits);
    tracker.configure({}, Index{0});
    REQUIRE(tracker.committed() == Index{0});
    REQUIRE(tracker.vote_result() == VoteResult::kPending);
    REQUIRE(tracker.least_match() == Index{0});
    REQUIRE_FALSE(tracker.self_decides());
}

TEST_CASE("reads are confirmed by rounds begun after they came", "[raft][reads]") {
    ReadQueue queue;
    REQUIRE(queue.add({}, 1));
    queue.begin_round(Index{5});
    REQUIRE(queue.add(NodeId{2}, 9));
    REQUIRE(queue.has_unassigned());
    std::vector<PendingRead> out;
    queue.take_confirmed(7, out);  // a round of the future confirms nothing that has no round
    REQUIRE(out.size() == 1);
    REQUIRE(out[0].index == Index{5});
    queue.begin_round(Index{6});
    queue.take_confirmed(1, out);
    REQUIRE(out.size() == 1);
    queue.take_confirmed(2, out);
    REQUIRE(out.size() == 2);
    REQUIRE(out[1].from == NodeId{2});
    REQUIRE(queue.empty());
}

TEST_CASE("reads beyond the bound are refused", "[raft][reads]") {
    ReadQueue queue;
    for (std::size_t i = 0; i < ReadQueue::kPendingMax; ++i) {
        REQUIRE(queue.add({}, i));
    }
    REQUIRE_FALSE(queue.add({}, 1));
    REQUIRE(queue.size() == ReadQueue::kPendingMax);
}

TEST_CASE("a forwarded proposal is new once in a term", "[raft][forward]") {
    using Verdict = ForwardWindow::Verdict;
    ForwardWindow window;
    REQUIRE(window.take(from(2, 1, 1)) == Verdict::kNew);
    REQUIRE(window.take(from(2, 1, 1)) == Verdict::kOld);
    REQUIRE(window.take(from(2, 1, 3)) == Verdict::kNew);
    REQUIRE(window.take(from(2, 1, 2)) == Verdict::kNew);  // out of order
    REQUIRE(window.take(from(2, 1, 2)) == Verdict::kOld);
    REQUIRE(window.take(from(2, 2, 1)) == Verdict::kNew);  // another run
    REQUIRE(window.take(from(3, 1, 1)) == Verdict::kNew);  // another member
    const std::uint64_t far = 10 * ForwardWindow::kSequences;
    REQUIRE(window.take(from(2, 1, far)) == Verdict::kNew);
    REQUIRE(window.take(from(2, 1, far - ForwardWindow::kSequences)) == Verdict::kOld);
    REQUIRE(window.take(from(2, 1, far - ForwardWindow::kSequences + 1)) == Verdict::kNew);
    window.reset();
    REQUIRE(window.take(from(2, 1, 1)) == Verdict::kNew);
}

TEST_CASE("the window never says new twice", "[raft][forward][random]") {
    const std::uint64_t seed = seed_or(31);
    INFO("CAIRN_SEED=" << seed);
    Prng prng(seed);
    ForwardWindow window;
    std::vector<ProposalId> taken;
    std::uint64_t base = 1;
    for (int i = 0; i < 30000; ++i) {
        base += prng.chance(1, 500) ? prng.below(100'000) : prng.below(20);
        const ProposalId id = from(2, prng.below(2), base + prng.below(200));
        const bool before = std::find(taken.begin(), taken.end(), id) != taken.end();
        const bool fresh = window.take(id) == ForwardWindow::Verdict::kNew;
        REQUIRE((!fresh || !before));
        if (fresh && taken.size() < 500) {
            taken.push_back(id);
        }
    }
}

TEST_CASE("runs are bounded: old ones are closed, new ones refused at last", "[raft][forward]") {
    using Verdict = ForwardWindow::Verdict;
    ForwardWindow window;
    for (std::uint64_t boot = 1; boot <= ForwardWindow::kOpenRunsMax + 1; ++boot) {
        REQUIRE(window.take(from(2, boot, 1)) == Verdict::kNew);
    }
    REQUIRE(window.take(from(2, 1, 2)) == Verdict::kOld);  // closed: its process is dead
    REQUIRE(window.take(from(2, 2, 2)) == Verdict::kNew);
    for (std::uint64_t boot = 100; boot < 100 + ForwardWindow::kRunsMax; ++boot) {
        window.take(from(3, boot, 1));
    }
    REQUIRE(window.take(from(4, 1, 1)) == Verdict::kFull);
    REQUIRE(window.take(from(4, 1, 1)) == Verdict::kFull);
}

TEST_CASE("a truncated batch no longer speaks for what was cut", "[raft][writes]") {
    Writes writes(HardState{Term{1}, {}, {}});
    writes.start({Term{1}, {}, {}}, Index{5});
    writes.truncated(Index{3});
    writes.start({Term{2}, {}, {}}, Index{5});  // the same indexes again: ABA
    REQUIRE(writes.batch_of_index(Index{2}) == PersistSeq{1});
    REQUIRE(writes.batch_of_index(Index{5}) == PersistSeq{2});
    REQUIRE(writes.persisted(PersistSeq{1}).stable == Index{2});
    REQUIRE(writes.persisted(PersistSeq{2}).stable == Index{5});
    REQUIRE(writes.persisted(PersistSeq{1}).stable == Index{0});  // again: nothing
}

TEST_CASE("withheld messages are bounded", "[raft][writes]") {
    Writes writes(HardState{});
    for (std::size_t i = 0; i < Writes::kWithheldMax; ++i) {
        REQUIRE(writes.withhold(PersistSeq{1}, message(1, 2, 1, VoteReply{.granted = true})));
    }
    REQUIRE_FALSE(writes.withhold(PersistSeq{1}, message(1, 2, 1, VoteReply{.granted = true})));
}

TEST_CASE("a configuration that makes no sense is refused", "[raft][config]") {
    const auto broken = [](auto&& change) {
        Config config = test_config(1);
        change(config);
        return config.validate().has_error();
    };
    REQUIRE_FALSE(broken([](Config&) {}));
    REQUIRE(broken([](Config& c) { c.id = {}; }));
    REQUIRE(broken([](Config& c) { c.heartbeat_ticks = 0; }));
    REQUIRE(broken([](Config& c) { c.election_ticks = c.heartbeat_ticks; }));
    REQUIRE(broken([](Config& c) { c.append_bytes_max = 0; }));
    REQUIRE(broken([](Config& c) { c.inflight_count_max = 0; }));
    REQUIRE(broken([](Config& c) { c.inflight_bytes_max = 0; }));
    REQUIRE(broken([](Config& c) { c.uncommitted_bytes_max = 0; }));
    REQUIRE(broken([](Config& c) { c.apply_bytes_max = 0; }));
    REQUIRE(broken([](Config& c) { c.apply_gap_max = 0; }));
}

}  // namespace cairn::raft::testing
