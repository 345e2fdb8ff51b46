// Linearizable reads on their way to the leader.
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "catch.h"

#include "server/replica/replica.h"

namespace cairn::server {
namespace {

constexpr NodeId kSelf{1};
constexpr NodeId kLeader{2};

// The questions for a read index among what the replica sends now.
std::vector<std::uint64_t> questions(Replica& replica) {
    std::vector<std::uint64_t> asked;
    Effects effects;
    replica.take_effects(effects);
    for (const raft::Message& message : effects.send) {
        if (const auto* request = std::get_if<raft::ReadIndexRequest>(&message.body)) {
            asked.push_back(request->request);
        }
    }
    if (effects.persist) {
        replica.step(LogPersisted{effects.persist->seq});
    }
    return asked;
}

}  // namespace

TEST_CASE("a question for a read index that is lost is asked again", "[replica][reads]") {
    ReplicaConfig config;
    config.raft.id = kSelf;
    config.boot = 1;
    config.read_retry_ticks = 3;
    raft::Recovered log;
    log.floor.conf.voters = {kSelf, kLeader, NodeId{3}};
    const auto replica = Replica::restore(config, std::move(log), {}).value();
    replica->step(Receive{{kLeader, kSelf, Term{1}, raft::Heartbeat{}}});
    CHECK(questions(*replica).empty());

    replica->step(SubmitRead{CallId{1}});
    const auto first = questions(*replica);
    REQUIRE(first.size() == 1);
    for (std::uint64_t tick = 1; tick < config.read_retry_ticks; ++tick) {
        replica->step(Tick{});
        CHECK(questions(*replica).empty());
    }
    replica->step(Tick{});
    const auto second = questions(*replica);
    REQUIRE(second.size() == 1);
    CHECK(second[0] != first[0]);
}

}  // namespace cairn::server
