// Turns what the pure code traced into log lines.
// Any thread. The wording may change: tests read few of them.
#pragma once

#include <vector>

#include "base/error.h"
#include "base/trace_event.h"
#include "server/replica/snapshot_work.h"

namespace cairn::server {

void log_trace(const std::vector<TraceEvent>& events);
void log_snapshot(const SnapshotNote& note);
void log_snapshot_error(const Error& error);

}  // namespace cairn::server
