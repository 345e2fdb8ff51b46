// Assertions that stay on in every build: a broken invariant ends the process.
// Any thread. Never used for bad input, which is an Error.
#pragma once

namespace cairn {

// Called once, before the abort, so that a replica can print its last inputs.
// Must not allocate much or lock: the process is already broken.
using CrashHook = void (*)();

// Installs the hook and returns the one before it; nullptr for none.
CrashHook set_crash_hook(CrashHook hook);

// Prints where and what, runs the crash hook, aborts.
[[noreturn]] void assert_failed(const char* file, int line, const char* what);

}  // namespace cairn

// Always on. Must be O(1).
#define CAIRN_ASSERT(condition)                                     \
    do {                                                            \
        if (!(condition)) [[unlikely]] {                            \
            ::cairn::assert_failed(__FILE__, __LINE__, #condition); \
        }                                                           \
    } while (false)

// For checks that cost more than O(1): on where CAIRN_DCHECKS is defined (tests, dev, sanitizers).
#ifdef CAIRN_DCHECKS
#define CAIRN_DCHECK(condition) CAIRN_ASSERT(condition)
#else
#define CAIRN_DCHECK(condition) static_cast<void>(sizeof(condition))
#endif

#define CAIRN_UNREACHABLE() ::cairn::assert_failed(__FILE__, __LINE__, "unreachable")
