// cairn_threads_test: three nodes on which all threads have work at once: applies, reads of every
// kind, scans, compactions and their garbage, pages over HTTP, calls that are given up, a member
// that stops in peace and comes back. Usage: cairn_threads_test CAIRND
// A data race ends a node that ThreadSanitizer watches, and with it the test. What the answers say
// is for other tests; here the nodes must agree at the end.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "process/load.h"
#include "process/process_cluster.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr int kScanKeys = 300;
constexpr std::size_t kScanValueBytes = 4096;
constexpr int kCallersOfOneClient = 3;
constexpr std::size_t kWritesBetween = 100;
constexpr auto kPause = 10ms;  // between two calls of a caller
constexpr auto kGivenUp = 500us;
constexpr auto kWriteLimit = 60s;
constexpr const char* kSanitizer = "ThreadSanitizer";

// Of each kind of call that must have been answered, or the test shows nothing.
constexpr int kAnswersMin = 5;

class Busy {
  public:
    explicit Busy(const std::string& server) : cluster_(3, server) {}
    ~Busy() { stop_callers(); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

    void run();
    [[nodiscard]] std::string what_nodes_said() const;

  private:
    // One thread that makes such calls until the end; `call` says whether it was answered.
    struct Caller {
        std::string name;
        std::function<bool()> call;
        std::atomic<int> answered = 0;
    };

    void fill();
    void add_callers();
    void start_callers();
    void stop_callers();
    void stop_and_restart(std::size_t node);
    void settle(Load& load);
    void compare_hashes();
    void end_all();
    bool get_page(const std::string& path);
    [[nodiscard]] client::Client any_client(std::chrono::nanoseconds request_timeout) const;

    ProcessCluster cluster_;
    std::vector<std::string> endpoints_;
    std::vector<std::unique_ptr<Caller>> callers_;
    std::promise<void> stop_;
    const std::shared_future<void> stopped_ = stop_.get_future().share();
    std::vector<std::thread> threads_;
};

void Busy::run() {
    cluster_.start_all();
    cluster_.wait_until_all_serve();
    endpoints_ = cluster_.endpoints();
    fill();
    Load load(endpoints_, LoadOptions{.pause_max = 2'000us, .request_timeout = 5s});
    add_callers();
    start_callers();
    settle(load);
    stop_and_restart(cluster_.wait_for_leader());
    settle(load);
    stop_and_restart((cluster_.wait_for_leader() + 1) % cluster_.size());
    settle(load);
    stop_callers();
    load.stop();
    compare_hashes();
    end_all();
}

client::Client Busy::any_client(std::chrono::nanoseconds request_timeout) const {
    auto client = client::Client::connect(
        {.endpoints = endpoints_, .dial_timeout = 1s, .request_timeout = request_timeout});
    return std::move(*client);
}

// Keys that nobody changes: what the scans are over.
void Busy::fill() {
    client::Client client = any_client(10s);
    for (int i = 0; i < kScanKeys; ++i) {
        if (!client.put(fmt::format("scan/{}", i), std::string(kScanValueBytes, 'v'))) {
            throw Failure{"a put of a cluster at rest failed"};
        }
    }
}

void Busy::add_callers() {
    const auto add = [this](std::string name, std::function<bool()> call) {
        callers_.push_back(std::make_unique<Caller>());
        callers_.back()->name = std::move(name);
        callers_.back()->call = std::move(call);
    };
    client::GetOptions all;
    all.range_end = client::prefix_end("scan/");
    client::GetOptions sorted = all;
    sorted.sort_target = client::SortTarget::kValue;
    sorted.serializable = true;

    const client::Client shared = any_client(5s);
    for (int i = 0; i < kCallersOfOneClient; ++i) {
        const std::string key = fmt::format("shared/{}", i);
        add("put", [client = shared, key]() mutable { return client.put(key, "v").has_value(); });
    }
    add("scan", [client = shared, all]() mutable { return client.get("scan/", all).has_value(); });
    add("sorted scan",
        [client = shared, sorted]() mutable { return client.get("scan/", sorted).has_value(); });
    add("compaction", [client = shared]() mutable {
        const auto now = client.get("shared/0");
        return now && client.compact(now->header.revision, true).has_value();
    });
    add("hash", [client = shared]() mutable { return client.hash_kv().has_value(); });
    add("status", [client = shared]() mutable { return client.status().has_value(); });
    add("page", [this] { return get_page("/metrics"); });
    // It counts when it really is given up: the answer takes longer than that.
    add("given up", [client = any_client(kGivenUp), all]() mutable {
        const auto answer = client.get("scan/", all);
        return !answer && answer.error().code == client::GrpcCode::kDeadlineExceeded;
    });
    add("short-lived client", [this] { return any_client(5s).get("shared/1").has_value(); });
}

void Busy::start_callers() {
    for (const auto& caller : callers_) {
        threads_.emplace_back([this, caller = caller.get()] {
            do {
                caller->answered += caller->call() ? 1 : 0;
            } while (stopped_.wait_for(kPause) == std::future_status::timeout);
        });
    }
}

void Busy::stop_callers() {
    if (threads_.empty()) {
        return;
    }
    stop_.set_value();
    for (std::thread& thread : threads_) {
        thread.join();
    }
    threads_.clear();
}

bool Busy::get_page(const std::string& path) {
    asio::io_context io;
    asio::ip::tcp::resolver resolver(io);
    asio::ip::tcp::socket socket(io);
    boost::system::error_code error;
    const std::string& endpoint = endpoints_.front();
    const auto colon = endpoint.find(':');
    asio::connect(socket, resolver.resolve(endpoint.substr(0, colon), endpoint.substr(colon + 1)),
                  error);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    if (!error) {
        asio::write(socket, asio::buffer(request), error);
    }
    std::string answer;
    if (!error) {
        asio::read(socket, asio::dynamic_buffer(answer), error);
    }
    return answer.starts_with("HTTP/1.1 200");
}

void Busy::settle(Load& load) {
    cluster_.wait_until_all_serve();
    const auto goal = load.writes_acknowledged() + kWritesBetween;
    if (!wait_until([&] { return load.writes_acknowledged() >= goal; }, kWriteLimit)) {
        throw Failure{"clients do not get on though all nodes serve"};
    }
    for (const auto& caller : callers_) {
        const int begin = caller->answered;
        if (!wait_until([&] { return caller->answered >= begin + kAnswersMin; }, kWriteLimit)) {
            throw Failure{"no answer any more to: " + caller->name};
        }
    }
}

void Busy::stop_and_restart(std::size_t node) {
    cluster_.send_signal(node, SIGTERM);
    if (const int code = cluster_.wait_for_exit(node); code != 0) {
        throw Failure{fmt::format("node {} ended with code {}", node, code)};
    }
    cluster_.start(node);
}

void Busy::compare_hashes() {
    const auto newest = any_client(10s).get("x");
    if (!newest) {
        throw Failure{"a read of a cluster at rest failed"};
    }
    std::set<std::uint32_t> hashes;
    for (const std::string& endpoint : endpoints_) {
        auto client = client::Client::connect({.endpoints = {endpoint}, .request_timeout = 10s});
        // Up to date first: the hash is of what the member itself has.
        const auto caught_up = client->get("x");
        const auto hash = client->hash_kv(newest->header.revision);
        if (!caught_up || !hash) {
            throw Failure{endpoint + " does not answer"};
        }
        hashes.insert(hash->hash);
    }
    if (hashes.size() != 1) {
        throw Failure{"the nodes do not hold the same"};
    }
}

void Busy::end_all() {
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        cluster_.send_signal(node, SIGTERM);
    }
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        const int code = cluster_.wait_for_exit(node);
        if (code != 0 || cluster_.log_of(node).find(kSanitizer) != std::string::npos) {
            throw Failure{fmt::format("node {} ended with code {}", node, code)};
        }
    }
}

// The sanitizer's reports whole, else the end of each log.
std::string Busy::what_nodes_said() const {
    std::string text;
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        const std::string log = cluster_.log_of(node);
        if (const auto report = log.find("WARNING: ThreadSanitizer"); report != std::string::npos) {
            text += fmt::format("--- node {}\n{}\n", node, log.substr(report));
        }
    }
    return text.empty() ? cluster_.last_lines() : text;
}

}  // namespace
}  // namespace cairn::process

int main(int argc, char** argv) {
    using namespace cairn::process;
    if (argc != 2) {
        fmt::print(stderr, "usage: {} CAIRND\n", argv[0]);
        return 2;
    }
    Busy busy(argv[1]);
    try {
        busy.run();
    } catch (const Failure& failure) {
        fmt::print("{}FAILED: {}\n", busy.what_nodes_said(), failure.text);
        return 1;
    }
    return 0;
}
