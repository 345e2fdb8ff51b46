// Turns what the pure code traced into log lines.
// Any thread. The wording may change freely: no test reads it.
#pragma once

#include <vector>

#include "base/trace_event.h"

namespace cairn::server {

void log_trace(const std::vector<TraceEvent>& events);

}  // namespace cairn::server
