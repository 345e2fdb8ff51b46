// Load: clients that write and read a few keys and write down all that they did and saw. Each
// member has a writer of its own, so that one that is silent holds up no other's writes; readers
// take all members in turn. Owned by a test; each client on a thread of its own, all else from one
// other thread. Must never forget a call: what got no answer is in the history as open.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "client/result.h"
#include "sim/check_linear.h"

namespace cairn::process {

// Nanoseconds of the monotonic clock, in the history's type.
sim::Time now();

struct LoadOptions {
    std::size_t readers = 2;
    std::uint64_t seed = 1;
    // Of the first client; those of two loads whose histories are joined must not overlap.
    std::uint64_t client_id_first = 1;
    std::chrono::microseconds pause_max{20'000};  // between two calls of a client
    std::size_t padding_bytes_max = 200;          // of a value
    std::chrono::milliseconds request_timeout{1'000};
};

class Load {
  public:
    // Starts at once. A member for each endpoint, running or not.
    Load(const std::vector<std::string>& endpoints, const LoadOptions& options);
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    // Until a write is acknowledged that began at `begin` or later; false after `limit`.
    bool wait_for_write_since(sim::Time begin, std::chrono::seconds limit);
    // The longest time in between in which no client's write was acknowledged.
    std::chrono::nanoseconds longest_standstill(sim::Time begin, sim::Time end);
    std::size_t writes_acknowledged();
    // How calls failed, and how often.
    std::map<std::string, std::size_t> errors();
    // Ends all clients. All that they did and saw, by time of return.
    const std::vector<sim::HistoryOp>& stop();

  private:
    class Worker;
    void record(sim::HistoryOp op, const std::string& error);

    std::mutex mutex_;                     // over the next three
    std::vector<sim::HistoryOp> history_;  // by time of return
    std::size_t writes_acknowledged_ = 0;
    std::map<std::string, std::size_t> errors_;
    std::atomic<bool> stopping_ = false;
    std::vector<std::thread> threads_;
};

// How a call failed: its code and the server's words.
std::string text_of(const client::Error& error);
// Whether a call may end so: as unavailable, too late, or refused because the node is busy.
bool is_excused(std::string_view text);
// Prints how calls failed. What is wrong with that, or nothing: all must be excused.
std::optional<std::string> refusal(const std::map<std::string, std::size_t>& errors);

}  // namespace cairn::process
