#include "server/replica/flight_recorder.h"

#include <variant>

namespace cairn::server {
namespace {

// Fills in what is worth knowing of each kind of event.
struct Describe {
    TraceEvent& out;

    void operator()(const Tick& /*event*/) const {}
    void operator()(const ClockRead& /*event*/) const {}
    void operator()(const Receive& event) const {
        out.detail = static_cast<std::uint16_t>(event.message.kind());
        out.peer = event.message.from;
        out.term = event.message.term;
    }
    void operator()(const Submit& event) const {
        out.detail = static_cast<std::uint16_t>(event.kind);
        out.index = Index{event.call.value};
    }
    void operator()(const SubmitRead& event) const { out.index = Index{event.call.value}; }
    void operator()(const Cancel& event) const { out.index = Index{event.call.value}; }
    void operator()(const LogPersisted& event) const { out.index = Index{event.seq.value}; }
    void operator()(const StorageFailed& event) const {
        out.detail = static_cast<std::uint16_t>(event.error.code);
    }
    void operator()(const StateApplied& event) const {
        out.term = event.output.applied.term;
        out.index = event.output.applied.index;
    }
    void operator()(const StateFlushed& event) const { out.index = event.applied; }
    void operator()(const GarbageCollected& event) const {
        out.index = Index{static_cast<std::uint64_t>(event.revision)};
    }
    void operator()(const PeerLost& event) const { out.peer = event.node; }
    void operator()(const TransferLeader& event) const { out.peer = event.to; }
    void operator()(const SnapshotSent& event) const {
        out.peer = event.to;
        out.index = event.last.value_or(Index{});
    }
    void operator()(const SnapshotInstalled& event) const {
        out.term = event.snapshot.last.term;
        out.index = event.snapshot.last.index;
    }
    void operator()(const Shutdown& /*event*/) const {}
};

}  // namespace

void FlightRecorder::record(const Event& event, std::uint64_t now_ticks) {
    TraceEvent entry{
        .kind = static_cast<std::uint16_t>(event.index()), .node = node_, .arg = now_ticks};
    std::visit(Describe{entry}, event);
    ring_->push(entry);
}

}  // namespace cairn::server
