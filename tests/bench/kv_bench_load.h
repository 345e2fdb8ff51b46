// The load of kv_bench: calls over the client library's channels, a fixed number always under way.
// Used by one thread; the calls run on the IoThread it is given.
// Never thinks between calls: an answered call starts the next at once (a closed loop).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"
#include "client/channel.h"
#include "client/io_thread.h"

namespace cairn::bench {

// One kind of request, a message for each key.
struct Workload {
    wire::MethodId method = wire::MethodId::kMethodCount;
    std::vector<Bytes> requests{};
    std::size_t answer_bytes_min = 0;  // a shorter answer counts as an error
};

Workload make_puts(std::size_t key_count, std::size_t value_bytes);
Workload make_gets(std::size_t key_count, std::size_t value_bytes, bool serializable);

// Ends by the number of calls, or once the time is over.
struct Span {
    std::uint64_t count_max = ~std::uint64_t{0};
    std::chrono::nanoseconds time_max = std::chrono::hours(24);
    bool every_key = false;  // the keys in their order instead of at random
};

struct Sample {
    std::vector<std::uint64_t> latencies_ns;  // of the calls that went well
    std::uint64_t errors = 0;
    std::string first_error;
    double seconds = 0;  // from the first start to the last end
};

class Load {
  public:
    // Both must outlive the load.
    Load(client::IoThread& io, std::vector<client::Channel>& channels, std::size_t in_flight);

    // Waits until every call that was started has ended. Nothing: they did not within a minute
    // after the span, and the process had better end.
    std::optional<Sample> run(const Workload& workload, const Span& span);

  private:
    using Clock = std::chrono::steady_clock;
    // Gives up the span: whatever answers is no server of ours.
    static constexpr std::uint64_t kErrorsMax = 1000;

    void start_next();
    void on_done(Clock::time_point start, const client::CallResult& result);
    [[nodiscard]] bool may_start(Clock::time_point now) const;

    client::IoThread& io_;
    std::vector<client::Channel>& channels_;
    std::size_t in_flight_;
    Prng prng_{1};

    // Of the span that runs: on the IoThread.
    const Workload* workload_ = nullptr;
    Span span_;
    Sample sample_;
    Clock::time_point begin_;
    std::uint64_t started_ = 0;
    std::uint64_t ended_ = 0;
    std::function<void()> on_over_;
};

}  // namespace cairn::bench
