#include "sim/sim_lanes.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "sim/sim_node.h"

namespace cairn::sim {
namespace {

// How often a message finds its connection broken, and a piece is not what was read.
constexpr std::uint64_t kBreaks = 150;
constexpr std::uint64_t kRots = 60;
// When a side notices that its connection is gone: who sends, soon; who waits, much later.
constexpr Time kDialerNoticesUs = 2'000;
constexpr std::uint64_t kAcceptorNoticesTicks = 40;
constexpr std::uint64_t kRedialTicks = 5;

bool goes_forth(const server::SnapshotMessage& message) {
    return std::holds_alternative<server::SnapshotOffer>(message) ||
           std::holds_alternative<server::SnapshotChunk>(message);
}

}  // namespace

SimLanes::SimLanes(const Parts& parts, Prng prng)
    : parts_(parts),
      prng_(prng),
      count_(parts.options.slots()),
      lanes_(std::size_t{count_} * count_),
      damaged_to_(count_) {}

// The connection is closed at once; its other side hears of that when it hears of it.
void SimLanes::take_down(NodeIndex dialer, NodeIndex acceptor) {
    Lane& it = lane(dialer, acceptor);
    if (it.up) {
        after(prng_.between(1, kAcceptorNoticesTicks * parts_.options.tick_us),
              LaneEvent{.dialer = dialer,
                        .acceptor = acceptor,
                        .epoch = it.epoch,
                        .kind = LaneEventKind::kLostThere});
    }
    it.up = false;
    ++it.epoch;
    it.forth = Direction{};
    it.back = Direction{};
}

// Broken, and neither side wanted that: it is dialled again.
void SimLanes::lose(NodeIndex dialer, NodeIndex acceptor) {
    take_down(dialer, acceptor);
    after(prng_.between(1, kDialerNoticesUs), LaneEvent{.dialer = dialer,
                                                        .acceptor = acceptor,
                                                        .epoch = lane(dialer, acceptor).epoch,
                                                        .kind = LaneEventKind::kLostHere});
}

void SimLanes::want(NodeIndex from, NodeIndex to, bool wanted) {
    take_down(from, to);
    Lane& it = lane(from, to);
    it.wanted = wanted;
    if (wanted) {
        after(prng_.between(100, parts_.options.tick_us),
              LaneEvent{
                  .dialer = from, .acceptor = to, .epoch = it.epoch, .kind = LaneEventKind::kDial});
    }
}

void SimLanes::connect(const LaneEvent& event) {
    Lane& it = lane(event.dialer, event.acceptor);
    const bool reachable = !parts_.net.is_cut(event.dialer, event.acceptor) &&
                           !parts_.net.is_cut(event.acceptor, event.dialer) &&
                           (*nodes_)[event.acceptor]->up();
    if (!reachable) {
        return after(prng_.between(1, kRedialTicks * parts_.options.tick_us), event);
    }
    it.up = true;
    // A former one of which the other side does not know yet that it is gone makes room unnoticed.
    it.accepted = it.epoch;
    (*nodes_)[event.dialer]->on_lane(event.acceptor, true);
}

// A bit that flips on the way, where the transport's own checksum does not see it.
bool SimLanes::maybe_damage(server::SnapshotMessage& message) {
    auto* chunk = std::get_if<server::SnapshotChunk>(&message);
    if (chunk == nullptr || healed_ || parts_.options.faults.rot == 0 || !prng_.chance(1, kRots)) {
        return false;
    }
    std::string data(chunk->data.view());
    data[prng_.below(data.size())] ^= 1;
    chunk->data = Bytes::copy_of(data);
    return true;
}

void SimLanes::send(NodeIndex from, NodeIndex to, server::SnapshotMessage message) {
    const bool forth = goes_forth(message);
    const NodeIndex dialer = forth ? from : to;
    const NodeIndex acceptor = forth ? to : from;
    Lane& it = lane(dialer, acceptor);
    if (!it.up) {
        return;
    }
    const bool damaged = maybe_damage(message);
    Direction& direction = forth ? it.forth : it.back;
    const Time delay = draw_time(prng_, 50, parts_.options.net.ship_mean_us / 8);
    direction.last_arrival = std::max(parts_.queue.now() + delay, direction.last_arrival + 1);
    direction.messages.push_back({std::move(message), damaged});
    parts_.queue.at(direction.last_arrival,
                    LaneEvent{.dialer = dialer,
                              .acceptor = acceptor,
                              .epoch = it.epoch,
                              .kind = forth ? LaneEventKind::kForth : LaneEventKind::kBack});
}

void SimLanes::deliver(const LaneEvent& event, bool forth) {
    const NodeIndex from = forth ? event.dialer : event.acceptor;
    const NodeIndex to = forth ? event.acceptor : event.dialer;
    Lane& it = lane(event.dialer, event.acceptor);
    const bool breaks =
        !healed_ && parts_.options.net.drop_permille > 0 && prng_.chance(1, kBreaks);
    ++parts_.counters.messages;
    if (breaks || parts_.net.is_cut(from, to) || !(*nodes_)[to]->up()) {
        return lose(event.dialer, event.acceptor);
    }
    Direction& direction = forth ? it.forth : it.back;
    Sent sent = std::move(direction.messages.front());
    direction.messages.pop_front();
    if (sent.damaged) {
        ++damaged_to_[to];
        parts_.counters.saw(FaultClass::kRot);
    }
    parts_.trace.mix(to * 64 + 48 + sent.message.index());
    (*nodes_)[to]->on_snapshot_message(from, std::move(sent.message));
}

void SimLanes::handle(const LaneEvent& event) {
    Lane& it = lane(event.dialer, event.acceptor);
    const bool current = event.epoch == it.epoch;
    switch (event.kind) {
        case LaneEventKind::kDial:
            if (current && it.wanted) {
                connect(event);
            }
            return;
        case LaneEventKind::kForth:
        case LaneEventKind::kBack:
            if (current && it.up) {
                deliver(event, event.kind == LaneEventKind::kForth);
            }
            return;
        case LaneEventKind::kLostHere:
            if (current && it.wanted) {
                after(prng_.between(100, kRedialTicks * parts_.options.tick_us),
                      LaneEvent{.dialer = event.dialer,
                                .acceptor = event.acceptor,
                                .epoch = it.epoch,
                                .kind = LaneEventKind::kDial});
                (*nodes_)[event.dialer]->on_lane(event.acceptor, false);
            }
            return;
        case LaneEventKind::kLostThere:
            if (it.accepted == event.epoch) {
                it.accepted = 0;
                (*nodes_)[event.acceptor]->on_lane_lost(event.dialer);
            }
            return;
    }
}

void SimLanes::on_node_down(NodeIndex node) {
    for (NodeIndex other = 0; other < count_; ++other) {
        if (other == node) {
            continue;
        }
        take_down(node, other);
        lane(node, other).wanted = false;
        lane(other, node).accepted = 0;
        if (lane(other, node).up) {
            lose(other, node);
        }
    }
}

}  // namespace cairn::sim
