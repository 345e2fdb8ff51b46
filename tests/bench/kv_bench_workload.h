// What kv_bench asks: for each operation its requests, and whether the answers are right.
// Made by one thread, then used by the Load, on its IoThread.
// Must never answer for the server: an answer that is not what was put counts as an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/prng.h"
#include "client/channel.h"

namespace cairn::bench {

// The keys "bench/0000000000", … and a value of so many bytes for each.
struct DataSet {
    std::size_t key_count = 10'000;
    std::size_t value_bytes = 256;
};

// Each lane asks again when it is answered; `call` counts the calls of all lanes from 0.
class Workload {
  public:
    virtual ~Workload() = default;
    [[nodiscard]] virtual client::CallRequest next(std::size_t lane, std::uint64_t call) = 0;
    // Of the lane's last call, whose status is ok. Says what is wrong with it, or nothing.
    [[nodiscard]] virtual std::string on_answer(std::size_t lane, ByteView answer) = 0;
    // A call to send beside the one that next() has just given: not measured, but no error either.
    [[nodiscard]] virtual std::optional<client::CallRequest> beside() { return std::nullopt; }
    // Operations in the first `calls` calls.
    [[nodiscard]] virtual std::uint64_t ops(std::uint64_t calls) const { return calls; }
};

// Puts every key once, in the order of the keys, kPutsInTxn in a call.
inline constexpr std::size_t kPutsInTxn = 128;  // etcd's default --max-txn-ops
std::uint64_t load_calls(const DataSet& data);
std::unique_ptr<Workload> make_load(const DataSet& data);

// A random key each.
std::unique_ptr<Workload> make_puts(const DataSet& data);
std::unique_ptr<Workload> make_gets(const DataSet& data, bool serializable);
// `keys` keys from a random one on, with their values.
std::unique_ptr<Workload> make_ranges(const DataSet& data, std::size_t keys);
// count_only over all keys.
std::unique_ptr<Workload> make_counts(const DataSet& data);
// A Txn that puts a random key if its mod revision is what the last answer said, and else gets it.
std::unique_ptr<Workload> make_swaps(const DataSet& data, std::size_t lanes);
// Each lane reads all keys by pages of `limit`, over and over, as Kubernetes does: every page at
// the revision of the first, with the count of what is left. Beside each page goes a put.
std::unique_ptr<Workload> make_lists(const DataSet& data, std::size_t lanes, std::size_t limit);

}  // namespace cairn::bench
