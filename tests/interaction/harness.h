// A cluster of cores driven by a script: every message, write and apply happens when it says so.
// Owned by one test case. Deterministic: nothing in it is random but the cores' election timers,
// whose seeds are fixed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "interaction/script.h"
#include "unit/raft/fixture.h"

namespace cairn::raft::testing {

// Which cells of the role x message table, and which cells of the term gate, have been entered.
struct Coverage {
    enum class Gate : std::uint8_t { kLower, kHigher };
    std::set<std::pair<Role, MessageKind>> cells;
    std::set<std::pair<Gate, MessageKind>> gate;
};

class Harness {
  public:
    explicit Harness(Coverage& coverage) : coverage_(coverage) {}

    // Runs one command and returns what it has to show.
    std::string run(const Command& command);

  private:
    using Action = std::string (Harness::*)(const Command&);
    static const std::map<std::string, Action>& actions();

    // Setting up.
    std::string cluster(const Command& command);  // cluster 3 [spares=1] [prevote=no] ...
    std::string start(const Command& command);    // start 2 term=3 vote=1 commit=0 log=1,1,2
    std::string become(const Command& command);   // become 1 leader term=5
    // Inputs.
    std::string tick(const Command& command);         // tick 1 10
    std::string campaign(const Command& command);     // campaign 1
    std::string propose(const Command& command);      // propose 1 text
    std::string read(const Command& command);         // read 1 77
    std::string transfer(const Command& command);     // transfer 1 2 (0: to the best)
    std::string compact(const Command& command);      // compact 1 5
    std::string unreachable(const Command& command);  // unreachable 1 2
    std::string conf(const Command& command);         // conf 1 add|learn|remove|update 4
    std::string sent(const Command& command);         // sent 1 2 [last=7] (none: it failed)
    std::string installed(const Command& command);    // installed 2
    std::string inject(const Command& command);       // inject 2->1 Heartbeat term=1 commit=0
    std::string persist(const Command& command);      // persist 1 [count]
    std::string apply(const Command& command);        // apply 1
    // The world between the nodes.
    std::string deliver(const Command& command);    // deliver [2->1 | 1] : what is on its way
    std::string drop(const Command& command);       // drop [2->1 | 1]
    std::string repeat(const Command& command);     // repeat 2->1 : the newest once more
    std::string crash(const Command& command);      // crash 1 [applied=3]
    std::string stabilize(const Command& command);  // stabilize [show=yes]
    // Looking.
    std::string status(const Command& command);  // status [1]
    std::string log(const Command& command);     // log 1
    std::string network(const Command& command);

    TestNode& node(std::uint64_t id);
    std::string step(std::uint64_t id, Input input);
    std::string drain(std::uint64_t id);
    std::string receive(const Message& message);
    void visit(const Message& message);
    std::string persist_one(std::uint64_t id);
    std::string apply_handed(std::uint64_t id);
    bool stabilize_round(std::string& shown);
    static bool on_route(const Message& message, const Command& command);

    Coverage& coverage_;
    std::map<std::uint64_t, TestNode> nodes_;
    std::map<std::uint64_t, Index> handed_;           // given to the state machine, not yet applied
    std::map<std::uint64_t, SnapshotMeta> installs_;  // asked for by Ready::install
    std::deque<Message> network_;
    std::uint64_t sequence_ = 0;
};

// The message that `inject` describes.
Message parse_message(const Command& command);

}  // namespace cairn::raft::testing
