// Coverage probes: a rare branch says that it was reached, so that a batch of simulated runs can
// tell which of them it never saw. Any thread. Nothing at all where CAIRN_DCHECKS is off, as in
// what is shipped. Never in a template or an inline function: each place is one counter.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

namespace cairn {

struct Probe {
    const char* name;
    std::atomic<std::uint64_t> count;
};

// All probes of the program, reached or not; their names are unique.
std::span<const Probe> probes();

}  // namespace cairn

#ifdef CAIRN_DCHECKS
// The linker gathers the counters in one table.
#define CAIRN_PROBE(label)                                                                         \
    do {                                                                                           \
        __attribute__((section("cairn_probes"), used)) static constinit ::cairn::Probe site{label, \
                                                                                            {}};   \
        site.count.fetch_add(1, std::memory_order_relaxed);                                        \
    } while (false)
#else
#define CAIRN_PROBE(label) static_cast<void>(0)
#endif
