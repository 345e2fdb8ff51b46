// Drives an etcd or a cairn with one operation, a fixed number under way, and prints one line of
// JSON: throughput, latencies, CPU time of this client and of the processes it is told to watch.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/bench/kv_bench_cpu.h"
#include "tests/bench/kv_bench_load.h"
#include "tests/bench/kv_bench_workload.h"

namespace cairn::bench {
namespace {

struct Options {
    std::vector<std::string> endpoints{"127.0.0.1:2379"};
    std::string op = "put";
    std::size_t in_flight = 64;
    std::size_t connections = 3;
    double seconds = 10;
    std::uint64_t count = 0;
    double warmup = 2;
    DataSet data;
    std::size_t range_keys = 1000;
    bool progress = false;
    std::vector<pid_t> watch_pids;
};

std::chrono::nanoseconds nanoseconds(double seconds) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

constexpr const char* kOps =
    "what each call does: put, get-linear, get-serial a random key; range: --range-keys keys from "
    "a random one on; count: count_only over all keys; cas: a Txn that puts a random key if nobody "
    "else has since; list: a page of --range-keys keys at the revision of its list's first page, "
    "with a put beside it; load: puts every key once, 128 in a Txn, and ends. All but put and load "
    "want the keys to be there";

void declare(CLI::App& app, Options& options) {
    const CLI::Range positive(std::size_t{1}, std::size_t{10'000'000});
    app.add_option("--endpoints", options.endpoints, "where the servers listen: host:port,…")
        ->delimiter(',')
        ->capture_default_str();
    app.add_option("--op", options.op, kOps)
        ->check(CLI::IsMember(
            {"put", "get-linear", "get-serial", "range", "count", "cas", "list", "load"}))
        ->capture_default_str();
    app.add_option("--in-flight", options.in_flight, "calls under way at any time")
        ->check(positive)
        ->capture_default_str();
    app.add_option("--connections", options.connections,
                   "TCP connections, over the endpoints in turn; calls use them in turn")
        ->check(positive)
        ->capture_default_str();
    app.add_option("--seconds", options.seconds, "how long to measure")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--count", options.count, "how many calls to measure, instead of --seconds");
    app.add_option("--warmup", options.warmup, "seconds of the same load before")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--value-bytes", options.data.value_bytes, "size of each value")
        ->capture_default_str();
    app.add_option("--key-count", options.data.key_count, "keys that there are")
        ->check(positive)
        ->capture_default_str();
    app.add_option("--range-keys", options.range_keys, "keys that one range asks for, or one page")
        ->check(positive)
        ->capture_default_str();
    app.add_flag("--progress", options.progress, "say on stderr, line by line, how far it is");
    app.add_option("--watch-pids", options.watch_pids,
                   "processes of this machine whose CPU time to count over the measured time")
        ->delimiter(',');
}

std::string json_text(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += static_cast<unsigned char>(c) < 0x20U ? ' ' : c;
    }
    return out + "\"";
}

// `sorted` may be empty. The smallest value that at least `share` of all do not exceed.
double percentile_us(const std::vector<std::uint64_t>& sorted, double share) {
    if (sorted.empty()) {
        return 0;
    }
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1));
    return static_cast<double>(sorted[rank]) / 1e3;
}

struct Cpu {
    double client = 0;
    double watched = 0;
};

struct Measured {
    Sample sample;
    Cpu cpu;
    std::uint64_t ops = 0;
};

std::string to_json(const Options& options, Measured measured) {
    Sample& sample = measured.sample;
    const Cpu& cpu = measured.cpu;
    std::vector<std::uint64_t>& latencies = sample.latencies_ns;
    std::sort(latencies.begin(), latencies.end());
    const auto ops = static_cast<double>(measured.ops);
    const auto each = [&](double total_seconds) { return ops > 0 ? total_seconds * 1e6 / ops : 0; };
    std::string out = fmt::format(
        R"({{"op":"{}","in_flight":{},"connections":{},"value_bytes":{},"key_count":{},)",
        options.op, options.in_flight, options.connections, options.data.value_bytes,
        options.data.key_count);
    out += fmt::format(
        R"("ops":{},"errors":{},"first_error":{},"seconds":{:.3f},"ops_per_second":{:.1f},)",
        measured.ops, sample.errors, json_text(sample.first_error), sample.seconds,
        sample.seconds > 0 ? ops / sample.seconds : 0);
    out += fmt::format(
        R"("latency_us":{{"p50":{:.1f},"p90":{:.1f},"p99":{:.1f},"p999":{:.1f},"max":{:.1f}}},)",
        percentile_us(latencies, 0.5), percentile_us(latencies, 0.9),
        percentile_us(latencies, 0.99), percentile_us(latencies, 0.999),
        percentile_us(latencies, 1));
    out += fmt::format(R"("client_cpu_us_per_op":{:.2f},"client_cores":{:.2f})", each(cpu.client),
                       sample.seconds > 0 ? cpu.client / sample.seconds : 0);
    if (!options.watch_pids.empty()) {
        out +=
            fmt::format(R"(,"server_cpu_us_per_op":{:.2f},"server_cores":{:.2f})",
                        each(cpu.watched), sample.seconds > 0 ? cpu.watched / sample.seconds : 0);
    }
    return out + "}\n";
}

std::unique_ptr<Workload> make_workload(const Options& options) {
    if (options.op == "load") {
        return make_load(options.data);
    }
    if (options.op == "put") {
        return make_puts(options.data);
    }
    if (options.op == "range") {
        return make_ranges(options.data, options.range_keys);
    }
    if (options.op == "count") {
        return make_counts(options.data);
    }
    if (options.op == "cas") {
        return make_swaps(options.data, options.in_flight);
    }
    if (options.op == "list") {
        return make_lists(options.data, options.in_flight, options.range_keys);
    }
    return make_gets(options.data, options.op == "get-serial");
}

Span measured_span(const Options& options) {
    if (options.op == "load") {
        return {.count_max = load_calls(options.data)};
    }
    if (options.count > 0) {
        return {.count_max = options.count};
    }
    return {.time_max = nanoseconds(options.seconds)};
}

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "kv_bench: %s\n", why.c_str());
    // The calls that still wait are not worth a tidy end.
    std::_Exit(1);
}

// Runs the phases of one process.
class Runner {
  public:
    Runner(Load& load, bool progress) : load_(load), progress_(progress) {}

    Sample run(Workload& workload, const Span& span, const char* what) {
        const auto show = [&](std::uint64_t calls) {
            if (progress_) {
                std::fprintf(stderr, "%s: %llu\n", what,
                             static_cast<unsigned long long>(workload.ops(calls)));
            }
        };
        std::optional<Sample> sample = load_.run(workload, span, show);
        if (!sample) {
            fail(fmt::format("{}: calls without an answer", what));
        }
        if (sample->errors > 0) {
            fail(fmt::format("{}: {} calls failed, the first with: {}", what, sample->errors,
                             sample->first_error));
        }
        return *std::move(sample);
    }

  private:
    Load& load_;
    bool progress_;
};

double watched_cpu(const Options& options) {
    const std::optional<double> cpu = cpu_seconds_of(options.watch_pids);
    if (!cpu) {
        fail("a process of --watch-pids is not there");
    }
    return *cpu;
}

int run(const Options& options) {
    client::IoThread io;
    std::vector<client::Channel> channels;
    for (std::size_t i = 0; i < options.connections; ++i) {
        const std::string& text = options.endpoints[i % options.endpoints.size()];
        auto endpoint = client::parse_endpoint(text);
        if (!endpoint) {
            fail(endpoint.error().message);
        }
        channels.emplace_back(io, std::move(endpoint).value(), client::ChannelOptions{});
    }
    Load load(io, channels, options.in_flight);
    Runner runner(load, options.progress);
    const auto workload = make_workload(options);
    if (options.warmup > 0 && options.op != "load") {
        runner.run(*workload, {.time_max = nanoseconds(options.warmup)}, "operations to warm up");
    }
    const Cpu before{.client = own_cpu_seconds(), .watched = watched_cpu(options)};
    Measured measured;
    measured.sample = runner.run(*workload, measured_span(options), "operations done");
    measured.cpu = {.client = own_cpu_seconds() - before.client,
                    .watched = watched_cpu(options) - before.watched};
    measured.ops = workload->ops(measured.sample.latencies_ns.size());
    std::fputs(to_json(options, std::move(measured)).c_str(), stdout);
    return 0;
}

}  // namespace
}  // namespace cairn::bench

int main(int argc, char** argv) {
    cairn::bench::Options options;
    CLI::App app("Drives an etcd or a cairn with one operation and prints one line of JSON.",
                 "kv_bench");
    cairn::bench::declare(app, options);
    CLI11_PARSE(app, argc, argv);
    return cairn::bench::run(options);
}
