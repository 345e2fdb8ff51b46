// The world's one priority queue: (time, random tie-break, sequence) -> action.
// Owned by the world; one thread.
// Never runs anything: the world takes the next action and dispatches it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "base/prng.h"
#include "raft/message.h"
#include "sim/basics.h"

namespace cairn::sim {

enum class NodeEventKind : std::uint8_t {
    kTick,
    kTurn,       // the replica's effects are taken
    kDiskDone,   // the log write in flight returns
    kApplyRun,   // the state machine applies
    kApplyDone,  // the replica hears of it
    kFlush,      // the engine flushes
    kFlushed,    // arg: up to where; the replica hears of it
    kCollect,    // the garbage collector takes a step
    kReadRun,    // arg: the call whose granted read runs
    kPeerLost,   // arg: the peer
    kRestart,
    kSnapshotWork,  // the oldest piece of work for a snapshot is done
};

// For one life of one node: ignored when that life is over.
struct NodeEvent {
    NodeIndex node{};
    std::uint32_t life{};
    NodeEventKind kind = NodeEventKind::kTick;
    std::uint64_t arg{};
};

struct Delivery {
    NodeIndex to{};
    raft::Message message{};
};

enum class LaneEventKind : std::uint8_t {
    kDial,
    kForth,      // a message reaches the side that was dialled
    kBack,       // and one the other side
    kLostHere,   // the dialer notices that the connection is broken
    kLostThere,  // and the other side does
};
// Of the connection for snapshots between two nodes; void when there was another since.
struct LaneEvent {
    NodeIndex dialer{};
    NodeIndex acceptor{};
    std::uint64_t epoch{};
    LaneEventKind kind = LaneEventKind::kDial;

    // Whom it happens to.
    [[nodiscard]] NodeIndex node() const {
        return kind == LaneEventKind::kForth || kind == LaneEventKind::kLostThere ? acceptor
                                                                                  : dialer;
    }
};

enum class ClientEventKind : std::uint8_t { kThink, kArrive, kReply, kDeadline };
struct ClientEvent {
    std::uint32_t client{};
    ClientEventKind kind = ClientEventKind::kThink;
    std::uint64_t op{};
};

// A step of the nemesis: `arg` names what it was to end, 0 for the next fault.
struct NemesisEvent {
    std::uint64_t arg{};
};

// The administrator looks after the members.
struct AdminEvent {};

using Action = std::variant<NodeEvent, Delivery, LaneEvent, ClientEvent, NemesisEvent, AdminEvent>;

class EventQueue {
  public:
    explicit EventQueue(Prng tie_break) : prng_(tie_break) {}

    [[nodiscard]] Time now() const { return now_; }
    [[nodiscard]] bool empty() const { return heap_.empty(); }
    [[nodiscard]] std::uint64_t popped() const { return popped_; }

    // At `delay` from now.
    void after(Time delay, Action action) { at(now_ + delay, std::move(action)); }
    void at(Time time, Action action) {
        std::uint32_t slot = 0;
        if (free_.empty()) {
            slot = static_cast<std::uint32_t>(slots_.size());
            slots_.push_back(std::move(action));
        } else {
            slot = free_.back();
            free_.pop_back();
            slots_[slot] = std::move(action);
        }
        const auto tie = static_cast<std::uint32_t>(prng_.next());
        heap_.push_back(Item{.time = time, .sequence = next_sequence_++, .tie = tie, .slot = slot});
        std::push_heap(heap_.begin(), heap_.end(), Later{});
    }
    // The earliest action; time moves on to it.
    Action pop() {
        std::pop_heap(heap_.begin(), heap_.end(), Later{});
        const Item item = heap_.back();
        heap_.pop_back();
        now_ = item.time;
        ++popped_;
        free_.push_back(item.slot);
        return std::move(slots_[item.slot]);
    }
    // What the tie-break generator would draw next: part of the proof that two runs are equal.
    [[nodiscard]] std::uint64_t final_draw() { return prng_.next(); }

  private:
    struct Item {
        Time time{};
        std::uint64_t sequence{};
        std::uint32_t tie{};
        std::uint32_t slot{};
    };
    struct Later {
        bool operator()(const Item& a, const Item& b) const {
            if (a.time != b.time) {
                return a.time > b.time;
            }
            return a.tie != b.tie ? a.tie > b.tie : a.sequence > b.sequence;
        }
    };

    Prng prng_;
    std::vector<Item> heap_;
    std::vector<Action> slots_;
    std::vector<std::uint32_t> free_;
    Time now_ = 0;
    std::uint64_t next_sequence_ = 0;
    std::uint64_t popped_ = 0;
};

}  // namespace cairn::sim
