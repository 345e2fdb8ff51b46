#include "base/assert.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace cairn {
namespace {
std::atomic<CrashHook> crash_hook{nullptr};
}  // namespace

CrashHook set_crash_hook(CrashHook hook) { return crash_hook.exchange(hook); }

void assert_failed(const char* file, int line, const char* what) {
    std::fprintf(stderr, "cairn: assertion failed at %s:%d: %s\n", file, line, what);
    // Taken out first, so that an assertion inside the hook cannot recurse.
    if (CrashHook hook = crash_hook.exchange(nullptr); hook != nullptr) {
        hook();
    }
    std::fflush(stderr);
    std::abort();
}

}  // namespace cairn
