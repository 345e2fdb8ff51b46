// The newest events of a replica in short, for the post-mortem of a broken invariant.
// Owned by the replica; one thread.
// Never keeps a payload: keys and values of clients do not belong into a crash report.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/ring.h"
#include "base/trace_event.h"
#include "server/replica/event.h"

namespace cairn::server {

class FlightRecorder {
  public:
    explicit FlightRecorder(NodeId node)
        : node_(node), ring_(std::make_unique<Ring<TraceEvent, kEventsMax>>()) {}

    void record(const Event& event, std::uint64_t now_ticks);
    [[nodiscard]] std::vector<TraceEvent> events() const { return ring_->values(); }

  private:
    static constexpr std::size_t kEventsMax = 4096;

    NodeId node_;
    std::unique_ptr<Ring<TraceEvent, kEventsMax>> ring_;
};

}  // namespace cairn::server
