// CPU time used by processes, from their start until now.
// Any thread. Never sees a process that has ended.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

namespace cairn::bench {

// User and system time of this process.
double own_cpu_seconds();
// The same for another one, from /proc: in steps of 10 ms on most systems. None: no such process.
std::optional<double> cpu_seconds_of(pid_t pid);
// Their sum. None: one of them is not there.
std::optional<double> cpu_seconds_of(const std::vector<pid_t>& pids);

}  // namespace cairn::bench
