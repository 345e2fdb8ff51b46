#include "tests/unit/replica_alloc/null_world.h"

#include <optional>
#include <utility>

#include "base/assert.h"
#include "storage/command.h"

namespace cairn::server {
namespace {

constexpr std::uint64_t kMembers = 3;
constexpr NodeId kLeader{1};

raft::ConfState everybody() {
    raft::ConfState conf;
    for (std::uint64_t id = 1; id <= kMembers; ++id) {
        conf.voters.push_back(NodeId{id});
    }
    return conf;
}

std::unique_ptr<Replica> make_replica(NodeId id) {
    ReplicaConfig config;
    config.raft.id = id;
    config.raft.seed = id.value;
    // Only the leader-to-be is in a hurry.
    config.raft.election_ticks = id == kLeader ? 10 : 1000;
    config.boot = 1;
    raft::Recovered empty;
    empty.floor.conf = everybody();
    return Replica::restore(config, std::move(empty), {}).value();
}

// What a follower answers that has everything and agrees with everything.
std::optional<raft::MessageBody> made_up_answer(const raft::MessageBody& body) {
    if (std::holds_alternative<raft::PreVote>(body)) {
        return raft::PreVoteReply{.granted = true};
    }
    if (std::holds_alternative<raft::Vote>(body)) {
        return raft::VoteReply{.granted = true};
    }
    if (const auto* append = std::get_if<raft::Append>(&body)) {
        return raft::AppendReply{.success = true,
                                 .match = append->prev.index + append->entries.size(),
                                 .rejected = {},
                                 .hint = {}};
    }
    if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&body)) {
        return raft::HeartbeatReply{.read_round = heartbeat->read_round};
    }
    return std::nullopt;
}

// The null state machine: every command of `boot` at `member` came to an empty answer.
storage::ApplyOutput apply_nothing(const std::vector<raft::Entry>& entries, NodeId member) {
    storage::ApplyOutput output;
    output.applied = entries.back().id;
    output.results.reserve(entries.size());
    for (const raft::Entry& entry : entries) {
        if (entry.kind != raft::EntryKind::kCommand) {
            continue;
        }
        const ProposalId id = storage::decode_command_id(entry.payload.view()).value();
        if (id.member == member) {
            storage::ApplyResult& result = output.results.emplace_back();
            result.id = id;
            result.revision = static_cast<std::int64_t>(entry.id.index.value);
        }
    }
    return output;
}

}  // namespace

NullWorld::NullWorld(Followers followers) : followers_(followers) {
    const std::uint64_t count = followers == Followers::kReal ? kMembers : 1;
    for (std::uint64_t id = 1; id <= count; ++id) {
        Member& member = members_.emplace_back();
        member.id = NodeId{id};
        member.replica = make_replica(member.id);
    }
    elect();
}

void NullWorld::elect() {
    while (!leader().view().is_leader) {
        members_.front().replica->step(Tick{});
        settle();
    }
}

void NullWorld::put_batch(std::size_t count, const Bytes& request) {
    answered_ = 0;
    for (std::size_t i = 0; i < count; ++i) {
        members_.front().replica->step(
            Submit{.call = CallId{next_call_++}, .kind = command::PUT, .request = request});
    }
    settle();
    CAIRN_ASSERT(answered_ == count);
}

void NullWorld::housekeeping() {
    for (Member& member : members_) {
        member.replica->step(StateFlushed{.applied = member.applied});
    }
    members_.front().replica->step(Tick{});
    settle();
}

void NullWorld::settle() {
    bool busy = true;
    while (busy) {
        busy = false;
        for (Member& member : members_) {
            busy = turn(member) || busy;
        }
    }
}

bool NullWorld::turn(Member& member) {
    received_.swap(member.inbox);
    for (raft::Message& message : received_) {
        member.replica->step(Receive{.message = std::move(message)});
    }
    received_.clear();
    member.replica->take_effects(effects_);
    CAIRN_ASSERT(!effects_.halt);
    const bool idle = effects_.send.empty() && !effects_.persist && effects_.apply.empty() &&
                      effects_.completions.empty();
    if (effects_.persist) {
        member.replica->step(LogPersisted{.seq = effects_.persist->seq});
    }
    for (const Completion& completion : effects_.completions) {
        const auto& outcome = std::get<ProposalOutcome>(completion.result);
        CAIRN_ASSERT(std::holds_alternative<Applied>(outcome));
        ++answered_;
    }
    apply(member);
    for (raft::Message& message : effects_.send) {
        deliver(std::move(message));
    }
    return !idle;
}

void NullWorld::apply(Member& member) {
    if (!effects_.apply.empty()) {
        member.applied = effects_.apply.back().id.index;
        member.replica->step(StateApplied{.output = apply_nothing(effects_.apply, member.id)});
    }
}

void NullWorld::deliver(raft::Message message) {
    if (followers_ == Followers::kReal) {
        members_[message.to.value - 1].inbox.push_back(std::move(message));
        return;
    }
    if (auto answer = made_up_answer(message.body)) {
        members_.front().inbox.push_back({.from = message.to,
                                          .to = message.from,
                                          .term = message.term,
                                          .body = *std::move(answer)});
    }
}

}  // namespace cairn::server
