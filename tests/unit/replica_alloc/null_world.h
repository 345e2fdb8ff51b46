// A leader replica whose disk and network cost nothing: writes are durable and sent messages are
// answered at once, by two followers that are either replicas too or made up.
// One thread; for benchmarks and for counting allocations.
// Never loses, delays or reorders anything: the simulator does that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "server/replica/replica.h"

namespace cairn::server {

enum class Followers : std::uint8_t {
    kMadeUp,  // an Append is answered without a look at its entries
    kReal,    // a Replica each, with the same null disk
};

class NullWorld {
  public:
    // Elects the leader.
    explicit NullWorld(Followers followers);

    // Submits `count` puts in one turn and runs until each has been applied and answered.
    void put_batch(std::size_t count, const Bytes& request);
    // What happens beside puts: time passes, and the logs are cut below what is applied.
    void housekeeping();

    [[nodiscard]] const Replica& leader() const { return *members_.front().replica; }

  private:
    struct Member {
        NodeId id;
        std::unique_ptr<Replica> replica;
        std::vector<raft::Message> inbox;
        Index applied;
    };

    void elect();
    // Runs everybody until nobody has anything to do.
    void settle();
    // One turn of one member. False: it had nothing to do.
    bool turn(Member& member);
    void deliver(raft::Message message);
    void apply(Member& member);

    Followers followers_;
    std::vector<Member> members_;  // the leader first; alone when the followers are made up
    Effects effects_;              // of the turn that runs
    std::vector<raft::Message> received_;
    std::uint64_t next_call_ = 1;
    std::size_t answered_ = 0;
};

}  // namespace cairn::server
