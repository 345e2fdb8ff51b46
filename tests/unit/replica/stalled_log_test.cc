// A member whose log does not answer: who leads then, and what becomes of what was asked of it.
#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "catch.h"

#include "server/replica/replica.h"
#include "storage/command.h"

namespace cairn::server {
namespace {

constexpr std::uint32_t kElectionTicks = 10;

// A member; its state machine applies at once, its log is durable unless it hangs.
struct Member {
    Member(NodeId id, const std::vector<NodeId>& voters) {
        ReplicaConfig config;
        config.raft.id = id;
        config.raft.seed = id.value;
        config.raft.election_ticks = kElectionTicks;
        config.boot = id.value;
        raft::Recovered log;
        log.floor.conf.voters = voters;
        replica = Replica::restore(config, std::move(log), {}).value();
    }

    void apply(const std::vector<raft::Entry>& entries) {
        storage::ApplyOutput output;
        output.applied = entries.back().id;
        for (const raft::Entry& entry : entries) {
            if (entry.kind == raft::EntryKind::kCommand) {
                storage::ApplyResult& result = output.results.emplace_back();
                result.id = storage::decode_command_id(entry.payload.view()).value();
                result.revision = static_cast<std::int64_t>(entry.id.index.value);
                applied.push_back(entry.id);
            }
        }
        replica->step(StateApplied{std::move(output)});
    }

    std::unique_ptr<Replica> replica;
    bool hangs = false;
    bool halted = false;
    std::deque<PersistSeq> writes;
    std::vector<raft::EntryId> applied;  // commands
    std::map<std::uint64_t, ProposalOutcome> outcomes;
};

// Members with a network that loses nothing and takes no time.
class Cluster {
  public:
    explicit Cluster(std::uint64_t size) {
        std::vector<NodeId> ids;
        for (std::uint64_t id = 1; id <= size; ++id) {
            ids.push_back(NodeId{id});
        }
        for (const NodeId id : ids) {
            members_.try_emplace(id, id, ids);
        }
    }

    Member& member(NodeId id) { return members_.at(id); }
    void tick() {
        for (auto& [id, member] : members_) {
            member.replica->step(Tick{});
        }
        while (turn()) {
        }
    }
    // Of the newest term; none while nobody leads.
    [[nodiscard]] NodeId leader() const {
        NodeId found;
        Term term;
        for (const auto& [id, member] : members_) {
            const NodeView& view = member.replica->view();
            if (!member.halted && view.is_leader && view.term > term) {
                found = id;
                term = view.term;
            }
        }
        return found;
    }
    std::uint64_t put(NodeId at) {
        const std::uint64_t call = ++calls_;
        member(at).replica->step(Submit{CallId{call}, command::PUT, Bytes::copy_of("x")});
        while (turn()) {
        }
        return call;
    }
    [[nodiscard]] bool is_applied(NodeId at, std::uint64_t call) {
        const auto& outcomes = member(at).outcomes;
        const auto found = outcomes.find(call);
        return found != outcomes.end() && std::holds_alternative<Applied>(found->second);
    }
    // Its log says no; it is asked for nothing afterwards.
    void fail(NodeId id) {
        member(id).replica->step(StorageFailed{Error{Errc::kNoSpace}});
        while (turn()) {
        }
    }
    void let_go(NodeId id) {
        member(id).hangs = false;
        while (turn()) {
        }
    }

  private:
    bool turn() {
        bool busy = false;
        for (auto& [id, member] : members_) {
            busy = turn_of(member) || busy;
        }
        return busy;
    }
    bool turn_of(Member& member) {
        if (member.halted) {
            return false;
        }
        bool busy = !member.hangs && !member.writes.empty();
        if (busy) {
            const PersistSeq done = member.writes.back();
            member.writes.clear();
            member.replica->step(LogPersisted{done});
        }
        Effects effects;
        member.replica->take_effects(effects);
        member.halted = effects.halt.has_value();
        if (effects.persist) {
            member.writes.push_back(effects.persist->seq);
        }
        for (raft::Message& message : effects.send) {
            members_.at(message.to).replica->step(Receive{std::move(message)});
        }
        for (const Completion& completion : effects.completions) {
            member.outcomes.emplace(completion.call.value,
                                    std::get<ProposalOutcome>(completion.result));
        }
        if (!effects.apply.empty()) {
            member.apply(effects.apply);
        }
        return busy || effects.persist || !effects.send.empty() || !effects.apply.empty();
    }

    std::map<NodeId, Member> members_;
    std::uint64_t calls_ = 0;
};

// Somebody leads, and serves.
NodeId elect(Cluster& cluster) {
    for (std::uint32_t ticks = 0; ticks < 20 * kElectionTicks && !cluster.leader(); ++ticks) {
        cluster.tick();
    }
    const NodeId leader = cluster.leader();
    REQUIRE(leader);
    REQUIRE(cluster.is_applied(leader, cluster.put(leader)));
    return leader;
}

}  // namespace

TEST_CASE("a leader whose log does not answer is succeeded, and nothing is lost",
          "[replica][disk]") {
    Cluster cluster(3);
    const NodeId former = elect(cluster);
    cluster.member(former).hangs = true;
    const std::uint64_t waits = cluster.put(former);
    CHECK_FALSE(cluster.is_applied(former, waits));
    for (std::uint32_t ticks = 1; ticks < kElectionTicks; ++ticks) {
        cluster.tick();
        REQUIRE(cluster.leader() == former);
    }
    // Heartbeats do not keep it in office, and nobody waits for another timeout.
    cluster.tick();
    const NodeId next = cluster.leader();
    REQUIRE(next);
    REQUIRE(next != former);
    const NodeView& view = cluster.member(former).replica->view();
    CHECK(view.log_stalled);
    CHECK(view.stalled_step_downs == 1);
    CHECK(cluster.is_applied(next, cluster.put(next)));
    // It follows, and is no candidate.
    const Term term = cluster.member(next).replica->view().term;
    for (std::uint32_t ticks = 0; ticks < 5 * kElectionTicks; ++ticks) {
        cluster.tick();
    }
    CHECK(cluster.leader() == next);
    CHECK(cluster.member(next).replica->view().term == term);
    CHECK(cluster.is_applied(next, cluster.put(next)));

    cluster.let_go(former);
    cluster.tick();
    CHECK_FALSE(view.log_stalled);
    CHECK(cluster.is_applied(former, waits));
    CHECK(cluster.member(former).applied.size() == 4);
    for (std::uint64_t id = 1; id <= 3; ++id) {
        CHECK(cluster.member(NodeId{id}).applied == cluster.member(former).applied);
    }
}

TEST_CASE("a leader whose disk says no is succeeded at once", "[replica][disk]") {
    Cluster cluster(3);
    const NodeId former = elect(cluster);
    cluster.fail(former);
    CHECK(cluster.member(former).halted);
    const NodeId next = cluster.leader();
    REQUIRE(next);
    REQUIRE(next != former);
    CHECK(cluster.is_applied(next, cluster.put(next)));
    // A follower has no successor.
    const NodeId third{6 - former.value - next.value};
    const Term term = cluster.member(next).replica->view().term;
    cluster.fail(third);
    CHECK(cluster.leader() == next);
    CHECK(cluster.member(next).replica->view().term == term);
}

TEST_CASE("a follower whose log does not answer holds up nobody", "[replica][disk]") {
    Cluster cluster(3);
    const NodeId leader = elect(cluster);
    const NodeId slow{leader.value % 3 + 1};
    cluster.member(slow).hangs = true;
    for (std::uint32_t ticks = 0; ticks < 5 * kElectionTicks; ++ticks) {
        CHECK(cluster.is_applied(leader, cluster.put(leader)));
        cluster.tick();
    }
    CHECK(cluster.leader() == leader);
    const NodeView& view = cluster.member(slow).replica->view();
    CHECK(view.log_stalled);
    CHECK(view.stalled_step_downs == 0);
    cluster.let_go(slow);
    cluster.tick();
    CHECK(cluster.member(slow).applied == cluster.member(leader).applied);
}

}  // namespace cairn::server
