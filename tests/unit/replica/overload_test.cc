// "too many requests": too much that is not committed, not applied, or not answered yet.
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

constexpr NodeId kSelf{1};
constexpr NodeId kFollower{2};
constexpr std::uint64_t kBoot = 1;
constexpr std::uint64_t kEtcdGap = 5000;

// One member and what is around it: its log is durable at once, its state machine and its peers
// answer when the test says so.
class Member {
  public:
    Member(std::vector<NodeId> voters, ReplicaConfig config) {
        config.raft.id = kSelf;
        config.boot = kBoot;
        raft::Recovered log;
        log.floor.conf.voters = std::move(voters);
        replica_ = Replica::restore(config, std::move(log), {}).value();
    }

    void lead() {
        for (int tick = 0; tick < 100 && !replica_->view().is_leader; ++tick) {
            replica_->step(Tick{});
            turn();
        }
        REQUIRE(replica_->view().is_leader);
    }

    CallId submit(std::size_t bytes) {
        const CallId call{++calls_};
        replica_->step(Submit{call, command::PUT, Bytes::copy_of(std::string(bytes, 'r'))});
        turn();
        return call;
    }

    // Runs until nothing is left to do but what the test holds back.
    void turn() {
        for (bool busy = true; busy;) {
            replica_->take_effects(effects_);
            REQUIRE_FALSE(effects_.halt);
            busy = false;
            if (effects_.persist) {
                replica_->step(LogPersisted{effects_.persist->seq});
                busy = true;
            }
            for (const auto& message : effects_.send) {
                busy = answer(message) || busy;
            }
            for (auto& completion : effects_.completions) {
                answers_.push_back(std::move(completion));
            }
            if (!effects_.apply.empty()) {
                applying_ = std::move(effects_.apply);
                busy = busy || !state_paused;
            }
            if (!state_paused && !applying_.empty()) {
                apply();
                busy = true;
            }
        }
    }

    // What became of the call; none: it waits.
    [[nodiscard]] std::optional<ProposalOutcome> outcome(CallId call) const {
        for (const auto& completion : answers_) {
            if (completion.call == call) {
                return std::get<ProposalOutcome>(completion.result);
            }
        }
        return std::nullopt;
    }
    [[nodiscard]] bool is_refused(CallId call) const {
        return outcome(call) == ProposalOutcome{NotApplied{Errc::kTooManyRequests}};
    }
    [[nodiscard]] bool is_applied(CallId call) const {
        const auto found = outcome(call);
        return found && std::holds_alternative<Applied>(*found);
    }
    [[nodiscard]] Replica& replica() { return *replica_; }

    bool state_paused = false;
    bool follower_stalled = false;

  private:
    // A follower that has everything, once it answers.
    bool answer(const raft::Message& message) {
        raft::MessageBody body;
        if (std::holds_alternative<raft::PreVote>(message.body)) {
            body = raft::PreVoteReply{.granted = true};
        } else if (std::holds_alternative<raft::Vote>(message.body)) {
            body = raft::VoteReply{.granted = true};
        } else if (const auto* append = std::get_if<raft::Append>(&message.body);
                   append != nullptr && !follower_stalled) {
            body = raft::AppendReply{.success = true,
                                     .match = append->prev.index + append->entries.size(),
                                     .rejected = {},
                                     .hint = {}};
        } else {
            return false;
        }
        replica_->step(Receive{{message.to, message.from, message.term, std::move(body)}});
        return true;
    }

    void apply() {
        storage::ApplyOutput output;
        output.applied = applying_.back().id;
        for (const raft::Entry& entry : applying_) {
            if (entry.kind == raft::EntryKind::kCommand) {
                storage::ApplyResult& result = output.results.emplace_back();
                result.id = storage::decode_command_id(entry.payload.view()).value();
                result.revision = static_cast<std::int64_t>(entry.id.index.value);
            }
        }
        applying_.clear();
        replica_->step(StateApplied{std::move(output)});
    }

    std::unique_ptr<Replica> replica_;
    Effects effects_;
    std::vector<raft::Entry> applying_;
    std::vector<Completion> answers_;
    std::uint64_t calls_ = 0;
};

ReplicaConfig config_of(std::uint64_t election_ticks = 10) {
    ReplicaConfig config;
    config.raft.election_ticks = static_cast<std::uint32_t>(election_ticks);
    return config;
}

}  // namespace

TEST_CASE("a state thread that lags is not fed any more", "[replica][overload]") {
    Member member({kSelf}, config_of());
    member.lead();
    member.state_paused = true;
    const Index applied = member.replica().view().applied;
    CallId last;
    // One more than the gap is taken: it is looked at before.
    for (std::uint64_t i = 0; i <= kEtcdGap; ++i) {
        last = member.submit(10);
        REQUIRE_FALSE(member.outcome(last));
    }
    CHECK(member.replica().view().commit == applied + kEtcdGap + 1);
    const CallId refused = member.submit(10);
    CHECK(member.is_refused(refused));
    CHECK(member.replica().view().commit == applied + kEtcdGap + 1);
    // It comes to itself: those that wait are answered, and new ones taken.
    member.state_paused = false;
    member.turn();
    CHECK(member.is_applied(last));
    CHECK(member.is_applied(member.submit(10)));
    CHECK(member.replica().view().proposals_failed == 1);
}

TEST_CASE("reads are granted no earlier for a state thread that lags, and not refused",
          "[replica][overload]") {
    Member member({kSelf}, config_of());
    member.lead();
    member.state_paused = true;
    for (std::uint64_t i = 0; i <= kEtcdGap + 1; ++i) {
        member.submit(10);
    }
    member.replica().step(SubmitRead{CallId{1'000'000}});
    Effects effects;
    member.replica().take_effects(effects);
    CHECK(effects.completions.empty());
}

TEST_CASE("a leader whose follower is stalled takes a bounded number of bytes",
          "[replica][overload]") {
    ReplicaConfig config = config_of();
    config.raft.uncommitted_bytes_max = 100'000;
    Member member({kSelf, kFollower}, config);
    member.lead();
    member.follower_stalled = true;
    std::vector<CallId> taken;
    CallId refused;
    for (int i = 0; i < 1000 && refused == CallId{}; ++i) {
        const CallId call = member.submit(1000);
        if (member.is_refused(call)) {
            refused = call;
        } else {
            taken.push_back(call);
        }
    }
    REQUIRE(refused != CallId{});
    CHECK(taken.size() > 80);
    CHECK(taken.size() <= 100);
    // Smaller ones may still fit, larger ones not.
    CHECK(member.is_refused(member.submit(2000)));
    for (const CallId call : taken) {
        CHECK_FALSE(member.outcome(call));
    }
    // It comes back, and has them all.
    member.follower_stalled = false;
    member.replica().step(Receive{
        {kFollower, kSelf, member.replica().view().term,
         raft::AppendReply{
             .success = true, .match = member.replica().view().last, .rejected = {}, .hint = {}}}});
    member.turn();
    for (const CallId call : taken) {
        CHECK(member.is_applied(call));
    }
    CHECK(member.is_applied(member.submit(1000)));
}

TEST_CASE("one request always fits, however large", "[replica][overload]") {
    ReplicaConfig config = config_of();
    config.raft.uncommitted_bytes_max = 1000;
    config.pending_bytes_max = 1000;
    Member member({kSelf, kFollower}, config);
    member.lead();
    member.follower_stalled = true;
    CHECK_FALSE(member.outcome(member.submit(50'000)));
    CHECK(member.is_refused(member.submit(1)));
}

// etcd: each member looks at its own gap, also one that only hands on.
TEST_CASE("a follower that lags in applying takes nothing", "[replica][overload]") {
    Member member({kSelf, kFollower}, config_of(1000));
    member.state_paused = true;
    raft::Append append;
    for (std::uint64_t i = 1; i <= kEtcdGap + 1; ++i) {
        const storage::Command command{.kind = command::PUT,
                                       .id = {kFollower, kBoot, i},
                                       .decided_in = Term{1},
                                       .request = {}};
        append.entries.push_back(
            {{Term{1}, Index{i}}, raft::EntryKind::kCommand, storage::encode_command(command)});
    }
    append.commit = Index{kEtcdGap};
    member.replica().step(Receive{{kFollower, kSelf, Term{1}, append}});
    member.turn();
    CHECK_FALSE(member.outcome(member.submit(10)));
    member.replica().step(Receive{{kFollower, kSelf, Term{1},
                                   raft::Append{.prev = {Term{1}, Index{kEtcdGap + 1}},
                                                .commit = Index{kEtcdGap + 1},
                                                .entries = {}}}});
    member.turn();
    CHECK(member.replica().view().commit == Index{kEtcdGap + 1});
    CHECK(member.is_refused(member.submit(10)));
    member.state_paused = false;
    member.turn();
    CHECK_FALSE(member.outcome(member.submit(10)));
}

TEST_CASE("a member that starts far up the log does not count from zero", "[replica][overload]") {
    ReplicaConfig config = config_of(1000);
    config.raft.id = kSelf;
    config.boot = kBoot;
    raft::Recovered log;
    log.floor.conf.voters = {kSelf, kFollower};
    log.floor.last = {Term{1}, Index{100'000}};
    log.hard_state = {.term = Term{1}, .vote = {}, .commit = Index{100'000}};
    storage::AppliedState state;
    state.applied = log.floor.last;
    const auto replica = Replica::restore(config, std::move(log), state).value();
    replica->step(
        Receive{{kFollower, kSelf, Term{1},
                 raft::Append{
                     .prev = {Term{1}, Index{100'000}}, .commit = Index{100'000}, .entries = {}}}});
    replica->step(Submit{CallId{1}, command::PUT, Bytes::copy_of("r")});
    Effects effects;
    replica->take_effects(effects);
    CHECK(effects.completions.empty());
}

}  // namespace cairn::server
