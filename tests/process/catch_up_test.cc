// cairn_catch_up_test: an empty node is added to a cluster with many keys while writes go on; it
// must get all there is, and be equal to the others. Prints how long puts took before and
// meanwhile. Usage:
// cairn_catch_up_test --server=CAIRND [--keys=N] [--rounds=N] [--seconds=N] [--judge-times]
// --rounds: how often, each time with a node that is empty again; --seconds: how long puts are
// measured before each. With --judge-times it also fails when the 99th percentile of puts of all
// rounds together more than doubles meanwhile, and waits before each for the compactions that
// follow the filling, and the wiping.
#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/prng.h"
#include "process/flags.h"
#include "process/load.h"
#include "process/process_cluster.h"
#include "process/raw_client.h"
#include "process/verify.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNew = 3;  // the node to be added, behind the three others
constexpr std::size_t kValueBytes = 256;
constexpr std::size_t kKeysPerTxn = 100;
constexpr std::size_t kFillsInFlight = 16;
constexpr std::size_t kWriters = 4;
constexpr auto kPause = 5ms;
constexpr auto kFillTimeout = 60s;
constexpr auto kPutTimeout = 10s;
constexpr auto kCatchUpLimit = 600s;
// Usually the compactions that follow the filling are over by then. Where they are not, puts are
// slow before, too, as the lines of the seconds show.
constexpr auto kSettleTime = 20s;
constexpr double kSlowdownMax = 2;

// What hardly compresses, as the data of others.
std::string random_text(Prng& prng, std::size_t bytes) {
    std::string text(bytes, '\0');
    for (char& letter : text) {
        letter = static_cast<char>('!' + prng.below(94));
    }
    return text;
}

struct TimedPut {
    std::string key;
    std::string value;
    sim::Time invoked;
    sim::Time returned = 0;
    bool acknowledged = false;  // else nobody knows
};

// Clients that put keys of their own, each once, until told to stop.
class Putters {
  public:
    explicit Putters(const std::vector<std::string>& endpoints) {
        for (std::size_t number = 0; number < kWriters; ++number) {
            threads_.emplace_back(
                [this, endpoints, number] { put_until_stopped(endpoints, number); });
        }
    }
    ~Putters() { stop(); }
    Putters(const Putters&) = delete;
    Putters& operator=(const Putters&) = delete;

    void stop() {
        stopping_ = true;
        for (auto& thread : threads_) {
            thread.join();
        }
        threads_.clear();
    }
    // After stop.
    [[nodiscard]] const std::vector<TimedPut>& puts() const { return puts_; }
    [[nodiscard]] const std::map<std::string, std::size_t>& errors() const { return errors_; }
    // Of those that were invoked in between, the failed ones too; in milliseconds, sorted.
    [[nodiscard]] std::vector<double> latencies(sim::Time begin, sim::Time end) const;

  private:
    void put_until_stopped(const std::vector<std::string>& endpoints, std::size_t number);

    std::mutex mutex_;  // over the next two
    std::vector<TimedPut> puts_;
    std::map<std::string, std::size_t> errors_;
    std::atomic<bool> stopping_ = false;
    std::vector<std::thread> threads_;
};

void Putters::put_until_stopped(const std::vector<std::string>& endpoints, std::size_t number) {
    auto client = client::Client::connect({.endpoints = endpoints, .request_timeout = kPutTimeout});
    Prng prng = Prng(number).split("values");
    for (std::uint64_t count = 0; !stopping_; ++count) {
        TimedPut put{.key = fmt::format("put/{}/{:08}", number, count),
                     .value = random_text(prng, kValueBytes),
                     .invoked = now()};
        const auto answer = client->put(put.key, put.value);
        put.returned = now();
        put.acknowledged = answer.has_value();
        {
            const std::lock_guard guard(mutex_);
            puts_.push_back(std::move(put));
            if (!answer) {
                ++errors_[text_of(answer.error())];
            }
        }
        std::this_thread::sleep_for(kPause);
    }
}

std::vector<double> Putters::latencies(sim::Time begin, sim::Time end) const {
    std::vector<double> result;
    for (const auto& put : puts_) {
        if (put.invoked >= begin && put.invoked < end) {
            const std::chrono::nanoseconds took(put.returned - put.invoked);
            result.push_back(std::chrono::duration<double, std::milli>(took).count());
        }
    }
    std::sort(result.begin(), result.end());
    return result;
}

double p99(const std::vector<double>& sorted) { return sorted[(sorted.size() - 1) * 99 / 100]; }

// Puts were measured from `begin` on; the node was there from `added` on, and served from `ready`
// on.
struct Round {
    sim::Time begin = now();
    sim::Time added = 0;
    sim::Time ready = 0;
};

// What each second was like, counted from when the node was added.
void print_seconds(const Putters& putters, const Round& round) {
    constexpr sim::Time kSecond = 1'000'000'000;
    const auto print = [&](sim::Time from, sim::Time to, double seconds) {
        const auto ms = putters.latencies(from, std::min(to, round.ready));
        if (ms.empty()) {
            fmt::print("{:+4.0f} s: no put was begun\n", seconds);
        } else {
            fmt::print("{:+4.0f} s: {:5} puts, median {:6.1f} ms, p99 {:6.1f}, longest {:6.1f}\n",
                       seconds, ms.size(), ms[ms.size() / 2], p99(ms), ms.back());
        }
    };
    for (auto back = (round.added - round.begin) / kSecond; back > 0; --back) {
        print(round.added - back * kSecond, round.added - (back - 1) * kSecond,
              -static_cast<double>(back));
    }
    for (sim::Time from = round.added; from < round.ready; from += kSecond) {
        print(from, from + kSecond, static_cast<double>((from - round.added) / kSecond));
    }
}

class CatchUpTest {
  public:
    explicit CatchUpTest(const Flags& flags)
        : flags_(flags),
          keys_(flags.number("--keys", 50'000)),
          cluster_(kNew + 1, flags.text("--server"), {log_flag(keys_)}) {}

    void run();
    [[nodiscard]] ProcessCluster& cluster() { return cluster_; }
    // Its clients are none that check_linear could judge.
    [[nodiscard]] static Load* load() { return nullptr; }

  private:
    // So little that the log does not hold all keys: what is new must get a snapshot.
    static std::string log_flag(std::uint64_t keys);
    // Of those that are there from the beginning: no put waits for the new one.
    [[nodiscard]] std::vector<std::string> old_endpoints() const;
    void fill();
    void add();
    void check(const Putters& putters);
    // Prints how long puts took.
    void judge(const Putters& putters, const std::vector<Round>& rounds) const;
    void check_puts(const std::vector<TimedPut>& puts);
    void check_caught_up(std::size_t log_before);
    [[nodiscard]] std::map<std::string, std::string> read_from_new(const std::string& prefix);
    [[nodiscard]] std::int64_t count_on_new(const std::string& prefix);

    Flags flags_;
    std::uint64_t keys_;
    ProcessCluster cluster_;
};

std::string CatchUpTest::log_flag(std::uint64_t keys) {
    constexpr std::uint64_t kMin = 1024U * 1024U;
    constexpr std::uint64_t kMax = 128U * 1024U * 1024U;
    return fmt::format("--experimental-log-bytes-max={}",
                       std::clamp(keys * kValueBytes / 4, kMin, kMax));
}

void CatchUpTest::run() {
    cluster_.leave(kNew);
    cluster_.start_all();
    cluster_.wait_until_all_serve();
    fill();
    Putters putters(old_endpoints());
    std::vector<Round> rounds;
    for (auto left = flags_.number("--rounds", 1); left > 0; --left) {
        if (!rounds.empty()) {
            cluster_.remove_member(kNew);
            cluster_.wipe(kNew);
        }
        if (flags_.has("--judge-times")) {
            std::this_thread::sleep_for(kSettleTime);
        }
        Round& round = rounds.emplace_back();
        std::this_thread::sleep_for(std::chrono::seconds(flags_.number("--seconds", 5)));
        round.added = now();
        const std::size_t log_before = cluster_.log_of(kNew).size();
        add();
        round.ready = now();
        check_caught_up(log_before);
    }
    putters.stop();
    if (const auto wrong = refusal(putters.errors())) {
        throw Failure{*wrong};
    }
    check(putters);
    judge(putters, rounds);
}

void CatchUpTest::judge(const Putters& putters, const std::vector<Round>& rounds) const {
    std::vector<double> before;
    std::vector<double> meanwhile;
    for (const Round& round : rounds) {
        const auto add = [&](std::vector<double>& to, sim::Time begin, sim::Time end) {
            const auto ms = putters.latencies(begin, end);
            to.insert(to.end(), ms.begin(), ms.end());
        };
        add(before, round.begin, round.added);
        add(meanwhile, round.added, round.ready);
        print_seconds(putters, round);
        const std::chrono::duration<double> took =
            std::chrono::nanoseconds(round.ready - round.added);
        fmt::print("{} keys of {} bytes, caught up in {:.1f} s\n", keys_, kValueBytes,
                   took.count());
    }
    if (before.empty() || meanwhile.empty()) {
        throw Failure{"writes did not go on"};
    }
    std::sort(before.begin(), before.end());
    std::sort(meanwhile.begin(), meanwhile.end());
    fmt::print("put p99 before: {:.1f} ms of {}, meanwhile: {:.1f} ms of {}\n", p99(before),
               before.size(), p99(meanwhile), meanwhile.size());
    if (flags_.has("--judge-times") && p99(meanwhile) > kSlowdownMax * p99(before)) {
        throw Failure{"puts have become too slow"};
    }
}

std::vector<std::string> CatchUpTest::old_endpoints() const {
    auto endpoints = cluster_.endpoints();
    endpoints.erase(endpoints.begin() + kNew);
    return endpoints;
}

void CatchUpTest::fill() {
    RawClient client(old_endpoints(), 0, kFillTimeout);
    Prng prng = Prng(keys_).split("fill");
    std::deque<std::pair<std::string, std::future<client::Result<Bytes>>>> waiting;
    const auto take = [&] {
        auto [request, future] = std::move(waiting.front());
        waiting.pop_front();
        // Once more does no harm: nobody else writes these.
        until_answered("the keys cannot be put", future.get(), [&, &request = request] {
            return client.call(wire::MethodId::kKvTxn, client::CallKind::kWrite, request);
        });
    };
    for (std::uint64_t key = 0; key < keys_;) {
        etcdserverpb::TxnRequest txn;
        for (; key < keys_ && static_cast<std::size_t>(txn.success_size()) < kKeysPerTxn; ++key) {
            auto& put = *txn.add_success()->mutable_request_put();
            put.set_key(fmt::format("key/{:08}", key));
            put.set_value(random_text(prng, kValueBytes));
        }
        auto request = txn.SerializeAsString();
        auto answer = client.start(wire::MethodId::kKvTxn, client::CallKind::kWrite, request);
        waiting.emplace_back(std::move(request), std::move(answer));
        if (waiting.size() >= kFillsInFlight) {
            take();
        }
    }
    while (!waiting.empty()) {
        take();
    }
}

void CatchUpTest::add() {
    cluster_.add_member(kNew);
    cluster_.start(kNew);
    const auto serves = [&] {
        if (!cluster_.is_running(kNew)) {
            throw Failure{"the new node ended"};
        }
        // Linearizable: it has all that was written before.
        return cluster_.client_of(kNew).get("x").has_value();
    };
    if (!wait_until(serves, kCatchUpLimit)) {
        throw Failure{"the new node does not catch up"};
    }
}

void CatchUpTest::check(const Putters& putters) {
    if (const auto wrong = compare_states(cluster_)) {
        throw Failure{*wrong};
    }
    check_puts(putters.puts());
}

// The node's log goes on through all its lives.
void CatchUpTest::check_caught_up(std::size_t log_before) {
    if (cluster_.log_of(kNew).find("snapshot in use", log_before) == std::string::npos) {
        throw Failure{"it caught up without a snapshot"};
    }
    if (const auto count = count_on_new("key/"); count != static_cast<std::int64_t>(keys_)) {
        throw Failure{fmt::format("{} of {} keys", count, keys_)};
    }
}

std::int64_t CatchUpTest::count_on_new(const std::string& prefix) {
    std::string end = prefix;
    ++end.back();
    return ask_until_answered(cluster_, kNew,
                              [&](const client::Client& client) {
                                  return client.with_timeout(kFillTimeout)
                                      .get(prefix, {.range_end = end, .count_only = true});
                              })
        .count;
}

std::map<std::string, std::string> CatchUpTest::read_from_new(const std::string& prefix) {
    constexpr std::int64_t kPage = 1000;
    std::map<std::string, std::string> result;
    std::string from = prefix;
    for (bool more = true; more;) {
        auto page = ask_until_answered(cluster_, kNew, [&](const client::Client& client) {
            return client.with_timeout(kFillTimeout)
                .get(from, {.range_end = client::prefix_end(prefix), .limit = kPage});
        });
        more = page.more;
        for (auto& kv : page.kvs) {
            from = kv.key + '\0';
            result.emplace(std::move(kv.key), std::move(kv.value));
        }
    }
    return result;
}

// Each that was acknowledged is there, and nothing else but what may be there.
void CatchUpTest::check_puts(const std::vector<TimedPut>& puts) {
    auto there = read_from_new("put/");
    for (const auto& put : puts) {
        const auto found = there.find(put.key);
        if (found == there.end() ? put.acknowledged : found->second != put.value) {
            throw Failure{fmt::format("{} has {}", put.key,
                                      found == there.end() ? "no value" : "another value")};
        }
        there.erase(put.key);
    }
    if (!there.empty()) {
        throw Failure{"nobody put " + there.begin()->first};
    }
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    const auto flags =
        Flags::parse(argc, argv, {"--server", "--keys", "--rounds", "--seconds", "--judge-times"});
    if (!flags.has_value() || !flags->has("--server")) {
        fmt::print(stderr,
                   "usage: {} --server=CAIRND [--keys=N] [--rounds=N] [--seconds=N] "
                   "[--judge-times]\n",
                   argv[0]);
        return 2;
    }
    return run_test<CatchUpTest>(*flags);
}
