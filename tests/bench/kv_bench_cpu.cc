#include "tests/bench/kv_bench_cpu.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>

namespace cairn::bench {
namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

double own_cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::optional<double> cpu_seconds_of(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string line;
    if (!std::getline(file, line)) {
        return std::nullopt;
    }
    // The name in parentheses may hold anything; behind it stand state and then numbers, of which
    // the 11th and 12th are utime and stime (proc(5), fields 14 and 15).
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    std::string skipped;
    for (int i = 0; i < 11; ++i) {
        fields >> skipped;
    }
    std::uint64_t user = 0;
    std::uint64_t system = 0;
    if (!(fields >> user >> system)) {
        return std::nullopt;
    }
    return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::optional<double> cpu_seconds_of(const std::vector<pid_t>& pids) {
    double sum = 0;
    for (const pid_t pid : pids) {
        const std::optional<double> one = cpu_seconds_of(pid);
        if (!one) {
            return std::nullopt;
        }
        sum += *one;
    }
    return sum;
}

}  // namespace cairn::bench
