#include "base/probe.h"

// The ends of the linker's table; absent when no probe is linked in.
extern "C" {
extern const cairn::Probe __start_cairn_probes[] __attribute__((weak));
extern const cairn::Probe __stop_cairn_probes[] __attribute__((weak));
}

namespace cairn {

std::span<const Probe> probes() { return {__start_cairn_probes, __stop_cairn_probes}; }

}  // namespace cairn
