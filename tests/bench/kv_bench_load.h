// The load of kv_bench: calls over the client library's channels, a fixed number always under way.
// Used by one thread; the calls run on the IoThread it is given.
// Never thinks between calls: an answered call starts the next at once (a closed loop).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/channel.h"
#include "client/io_thread.h"
#include "tests/bench/kv_bench_workload.h"

namespace cairn::bench {

// Ends by the number of calls, or once the time is over.
struct Span {
    std::uint64_t count_max = ~std::uint64_t{0};
    std::chrono::nanoseconds time_max = std::chrono::hours(24);
};

struct Sample {
    std::vector<std::uint64_t> latencies_ns;  // of the calls that went well
    std::uint64_t errors = 0;
    std::string first_error;
    double seconds = 0;  // from the first start to the last end
};

class Load {
  public:
    // Told now and then how many calls have ended.
    using OnProgress = std::function<void(std::uint64_t calls)>;

    // Both must outlive the load.
    Load(client::IoThread& io, std::vector<client::Channel>& channels, std::size_t lanes);

    // Waits until every call that was started has ended. Nothing: no call ended for a minute, and
    // the process had better end.
    std::optional<Sample> run(Workload& workload, const Span& span, const OnProgress& on_progress);

  private:
    using Clock = std::chrono::steady_clock;
    // Gives up the span: whatever answers is no server of ours.
    static constexpr std::uint64_t kErrorsMax = 1000;

    void start_next(std::size_t lane);
    void start_beside();
    void on_done(std::size_t lane, Clock::time_point start, const client::CallResult& result);
    void fail(std::string why);
    void maybe_end();
    [[nodiscard]] bool may_start(Clock::time_point now) const;

    client::IoThread& io_;
    std::vector<client::Channel>& channels_;
    std::size_t lanes_;

    // Of the span that runs: on the IoThread.
    Workload* workload_ = nullptr;
    Span span_;
    Sample sample_;
    Clock::time_point begin_;
    Clock::time_point last_end_;
    std::uint64_t started_ = 0;
    std::uint64_t under_way_ = 0;
    std::atomic<std::uint64_t> ended_{0};  // any thread reads
    std::function<void()> on_over_;
};

}  // namespace cairn::bench
