// Clients that ask for long answers and do not read them, or leave. Real cairnds; the program is in
// $CAIRND.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "process/h2_client.h"
#include "process/process_cluster.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kTxn = "/etcdserverpb.KV/Txn";
constexpr const char* kDelete = "/etcdserverpb.KV/DeleteRange";
constexpr const char* kHashKv = "/etcdserverpb.Maintenance/HashKV";
constexpr std::uint64_t kMiB = 1024U * 1024U;
constexpr std::uint64_t kBudget = 256 * kMiB;

constexpr std::size_t kLargeKeys = 100;  // 100 MB
constexpr std::size_t kLargeBytes = 1'000'000;
constexpr std::size_t kValueBytes = 100'000;  // of the other tests

// For what has to happen at some time: no measure of how fast it is.
constexpr auto kPatience = 60s;

etcdserverpb::RangeRequest all_of_it() {
    etcdserverpb::RangeRequest request;
    request.set_key("big/");
    request.set_range_end("big0");
    request.set_serializable(true);
    return request;
}

etcdserverpb::TxnRequest write_and_read_all(const std::string& key) {
    etcdserverpb::TxnRequest txn;
    txn.add_success()->mutable_request_put()->set_key(key);
    *txn.add_success()->mutable_request_range() = all_of_it();
    return txn;
}

// A page of /metrics, by HTTP/1.1.
std::string metrics_page(const std::string& endpoint) {
    boost::asio::io_context io;
    tcp::socket socket(io);
    tcp::resolver resolver(io);
    const std::size_t colon = endpoint.rfind(':');
    boost::asio::connect(socket,
                         resolver.resolve(endpoint.substr(0, colon), endpoint.substr(colon + 1)));
    const std::string request = "GET /metrics HTTP/1.0\r\nHost: test\r\n\r\n";
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string page;
    boost::system::error_code end;
    boost::asio::read(socket, boost::asio::dynamic_buffer(page), end);
    return page;
}

// The value behind "name ", labels included in the name.
std::uint64_t metric_of(const std::string& text, const std::string& name) {
    std::istringstream page(text);
    for (std::string line; std::getline(page, line);) {
        if (line.rfind(name + " ", 0) == 0) {
            return static_cast<std::uint64_t>(std::stod(line.substr(name.size() + 1)));
        }
    }
    FAIL("no metric " << name);
    return 0;
}

std::uint64_t metric(const std::string& endpoint, const std::string& name) {
    return metric_of(metrics_page(endpoint), name);
}

// The processes, and how to look at the one that leads.
class Cluster {
  public:
    explicit Cluster(std::size_t size, std::vector<std::string> flags = {})
        : nodes_(size, std::getenv("CAIRND"), std::move(flags)) {
        nodes_.start_all();
        nodes_.wait_until_all_serve();
        leader_ = nodes_.wait_for_leader();
    }

    // Together that is one answer of `keys` times `value_bytes`.
    void fill(std::size_t keys, std::size_t value_bytes) {
        auto client = nodes_.client_of(leader_);
        const std::string value(value_bytes, 'v');
        for (std::size_t i = 0; i < keys; ++i) {
            REQUIRE(client.put("big/" + std::to_string(100'000 + i), value).has_value());
        }
    }
    void read_all_once() const {
        H2Client reader(endpoint());
        const auto stream = reader.call(kRange, all_of_it().SerializeAsString());
        reader.read_until_ended(1);
        REQUIRE(reader.answers().at(stream).status->is_ok());
    }

    [[nodiscard]] std::string endpoint() const { return nodes_.endpoints()[leader_]; }
    [[nodiscard]] client::Client client() const { return nodes_.client_of(leader_); }
    [[nodiscard]] std::uint64_t value_of(const std::string& name) const {
        return metric(endpoint(), name);
    }
    // Resident memory of the leader that no file stands behind, in bytes.
    [[nodiscard]] std::uint64_t memory() const {
        std::ifstream status("/proc/" + std::to_string(nodes_.pid(leader_)) + "/status");
        for (std::string line; std::getline(status, line);) {
            if (line.rfind("RssAnon:", 0) == 0) {
                return std::stoull(line.substr(8)) * 1024;
            }
        }
        FAIL("no RssAnon");
        return 0;
    }
    [[nodiscard]] ProcessCluster& nodes() { return nodes_; }
    [[nodiscard]] std::size_t leader() const { return leader_; }

  private:
    ProcessCluster nodes_;
    std::size_t leader_ = 0;
};

std::uint64_t cancelled(const Cluster& cluster, const std::string& state) {
    return cluster.value_of("cairn_reads_cancelled_total{state=\"" + state + "\"}");
}

// All of `streams` end, refused with `message`.
void check_refused(H2Client& client, const std::vector<wire::StreamId>& streams,
                   const std::string& message) {
    client.read_until_ended(streams.size());
    for (const auto stream : streams) {
        const auto& status = client.answers().at(stream).status;
        REQUIRE(status.has_value());
        CHECK(status->code == wire::GrpcCode::kResourceExhausted);
        CHECK(status->message == message);
    }
}

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// What puts took while something else went on.
struct PutTimes {
    std::vector<double> milliseconds;
    std::uint64_t memory_max = 0;

    // One every 10 ms for so long, and until what they are to be disturbed by is there.
    void measure(const Cluster& cluster, std::chrono::seconds span,
                 const std::function<bool()>& disturbed) {
        auto client = cluster.client();
        const auto begun = Clock::now();
        while (Clock::now() - begun < span || (!disturbed() && Clock::now() - begun < kPatience)) {
            const auto begin = Clock::now();
            const auto done = client.put("small", "value");
            INFO((done.has_value() ? std::string() : done.error().message));
            REQUIRE(done.has_value());
            milliseconds.push_back(milliseconds_since(begin));
            memory_max = std::max(memory_max, cluster.memory());
            std::this_thread::sleep_for(10ms);
        }
        std::sort(milliseconds.begin(), milliseconds.end());
    }
    [[nodiscard]] double quantile(double part) const {
        return milliseconds[static_cast<std::size_t>(part *
                                                     static_cast<double>(milliseconds.size() - 1))];
    }
};

}  // namespace

TEST_CASE("64 clients that ask for 100 MB and do not read cost no more than the budget",
          "[process][response_budget]") {
    // Of the allocator, of the sessions (a quarter of a MiB each) and of what the puts leave.
    constexpr std::uint64_t kSlack = 64 * kMiB;
    Cluster cluster(3);
    cluster.fill(kLargeKeys, kLargeBytes);
    cluster.read_all_once();  // what the engine keeps of it is there before
    const std::uint64_t before = cluster.memory();
    const std::uint64_t elections = cluster.value_of("etcd_server_leader_changes_seen_total");

    std::vector<std::unique_ptr<H2Client>> greedy;
    for (int i = 0; i < 64; ++i) {
        greedy.push_back(std::make_unique<H2Client>(cluster.endpoint()));
        greedy.back()->call(kRange, all_of_it().SerializeAsString());
    }
    PutTimes puts;
    puts.measure(cluster, 4s, [&] { return cluster.value_of("cairn_response_waits_total") >= 50; });
    const std::uint64_t held = cluster.value_of("cairn_response_bytes");
    std::printf(
        "memory: %llu MiB before, at most %llu MiB more; held by answers %llu MiB\n"
        "%zu puts meanwhile: median %.1f ms, 99%% %.1f ms, longest %.1f ms\n",
        static_cast<unsigned long long>(before / kMiB),
        static_cast<unsigned long long>((puts.memory_max - before) / kMiB),
        static_cast<unsigned long long>(held / kMiB), puts.milliseconds.size(), puts.quantile(0.5),
        puts.quantile(0.99), puts.milliseconds.back());
    CHECK(cluster.value_of("cairn_response_budget_bytes") == kBudget);
    CHECK(puts.memory_max < before + kBudget + kSlack);
    CHECK(held <= kBudget);
    CHECK(held >= kLargeKeys * kLargeBytes);  // one answer at least is there, whole
    CHECK(puts.milliseconds.size() > 40);
    CHECK(puts.quantile(0.5) < 500);
    CHECK(cluster.value_of("etcd_server_leader_changes_seen_total") == elections);
    CHECK(cluster.value_of("cairn_response_waits_total") >= 50);

    // A long answer finds no room, and says so; its caller may also want to wait less.
    H2Client late(cluster.endpoint());
    const auto refused = late.call(kRange, all_of_it().SerializeAsString());
    const auto hurried = late.call(kRange, all_of_it().SerializeAsString(), 200'000'000);
    late.read_until_ended(1);  // the first to end is the one that wants to wait less
    REQUIRE(late.answers().at(hurried).status.has_value());
    CHECK(late.answers().at(hurried).status->code == wire::GrpcCode::kDeadlineExceeded);
    late.read_until_ended(2);
    REQUIRE(late.answers().at(refused).status.has_value());
    CHECK(late.answers().at(refused).status->code == wire::GrpcCode::kResourceExhausted);
    CHECK(late.answers().at(refused).status->message.find("no room for the answer") !=
          std::string::npos);
    // A short one is answered as ever.
    client::GetOptions page;
    page.range_end = "big0";
    page.keys_only = true;
    const auto got = cluster.client().get("big/", page);
    REQUIRE(got.has_value());
    CHECK(got->count == static_cast<std::int64_t>(kLargeKeys));
    CHECK(cluster.value_of("cairn_response_refused_total") >= 60);

    // They leave: nothing of it stays.
    greedy.clear();
    REQUIRE(wait_until([&] { return cluster.value_of("cairn_response_bytes") == 0; }, kPatience));
    CHECK(wait_until([&] { return cluster.memory() < before + kSlack; }, kPatience));
    std::printf("memory after they left: %lld MiB more than before\n",
                (static_cast<long long>(cluster.memory()) - static_cast<long long>(before)) /
                    static_cast<long long>(kMiB));
    cluster.read_all_once();
}

TEST_CASE("Answers wait for room in turn, and all come when they are read",
          "[process][response_budget]") {
    constexpr std::size_t kCalls = 24;
    Cluster cluster(1, {"--experimental-response-budget-bytes=16777216"});
    cluster.fill(80, kValueBytes);  // 8 MB: one fits, two do not
    std::vector<std::unique_ptr<H2Client>> clients;
    for (std::size_t i = 0; i < kCalls; ++i) {
        clients.push_back(std::make_unique<H2Client>(cluster.endpoint()));
        clients.back()->call(kRange, all_of_it().SerializeAsString());
    }
    // Whoever reads makes room for the next; in which order is the server's choice.
    std::vector<std::thread> readers;
    for (auto& client : clients) {
        readers.emplace_back([&client] { client->read_until_ended(1); });
    }
    for (auto& reader : readers) {
        reader.join();
    }
    std::size_t whole = 0;
    std::size_t refused = 0;
    for (const auto& client : clients) {
        const auto& answer = client->answers().begin()->second;
        REQUIRE(answer.status.has_value());
        whole += answer.status->is_ok() && answer.message.size() > 80 * kValueBytes ? 1U : 0U;
        refused += answer.status->code == wire::GrpcCode::kResourceExhausted ? 1U : 0U;
    }
    CHECK(whole + refused == kCalls);
    CHECK(whole >= kCalls / 2);
    CHECK(cluster.value_of("cairn_response_waits_total") > 0);
    std::printf("%zu of %zu answers were read whole, %zu refused after their wait\n", whole, kCalls,
                refused);
    CHECK(wait_until([&] { return cluster.value_of("cairn_response_bytes") == 0; }, kPatience));
}

TEST_CASE("An answer that is larger than the budget is refused at once",
          "[process][response_budget]") {
    Cluster cluster(1, {"--experimental-response-budget-bytes=4194304"});
    cluster.fill(50, kValueBytes);  // 5 MB
    etcdserverpb::TxnRequest txn;
    *txn.add_success()->mutable_request_range() = all_of_it();
    auto sorted = all_of_it();
    sorted.set_sort_target(etcdserverpb::RangeRequest::VALUE);
    sorted.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
    H2Client client(cluster.endpoint());
    const std::vector<wire::StreamId> streams{
        client.call(kRange, all_of_it().SerializeAsString()),
        client.call(kRange, sorted.SerializeAsString()),
        client.call(kTxn, txn.SerializeAsString()),
    };
    check_refused(
        client, streams,
        "cairn: one answer may take 3670016 bytes of "
        "--experimental-response-budget-bytes, this one needs more; ask for less at once");
    // The half of it fits.
    auto half = all_of_it();
    half.set_limit(25);
    const auto fits = client.call(kRange, half.SerializeAsString());
    client.read_until_ended(streams.size() + 1);
    CHECK(client.answers().at(fits).status->is_ok());
}

TEST_CASE("64 transactions that write and answer much cost no more than the budget",
          "[process][response_budget]") {
    // Of the allocator and the sessions, and one answer that is on its way through the reactor.
    constexpr std::uint64_t kSlack = 64 * kMiB;
    constexpr std::uint64_t kSmallBudget = 64 * kMiB;
    constexpr std::size_t kKeys = 20;  // 20 MB; a write may answer 24 MiB
    Cluster cluster(1, {"--experimental-response-budget-bytes=67108864"});
    cluster.fill(kKeys, kLargeBytes);
    const std::string request = write_and_read_all("written").SerializeAsString();
    const auto read_one = [&] {
        H2Client reader(cluster.endpoint());
        const auto stream = reader.call(kTxn, request);
        reader.read_until_ended(1);
        REQUIRE(reader.answers().at(stream).status.has_value());
        INFO(reader.answers().at(stream).status->message);
        REQUIRE(reader.answers().at(stream).status->is_ok());
        CHECK(reader.answers().at(stream).message.size() > kKeys * kLargeBytes);
    };
    read_one();  // what it takes while it is applied is there before
    const std::uint64_t before = cluster.memory();
    std::vector<std::unique_ptr<H2Client>> greedy;
    for (int i = 0; i < 64; ++i) {
        greedy.push_back(std::make_unique<H2Client>(cluster.endpoint()));
        greedy.back()->call(kTxn, request);
    }
    std::uint64_t most = 0;
    std::uint64_t most_held = 0;
    CHECK(wait_until(
        [&] {
            most = std::max(most, cluster.memory());
            most_held = std::max(most_held, cluster.value_of("cairn_response_bytes"));
            return cluster.value_of("cairn_response_refused_total") >= 60;
        },
        kPatience));
    std::printf("at most %lld MiB more; held by answers and claims at most %llu MiB\n",
                (static_cast<long long>(most) - static_cast<long long>(before)) /
                    static_cast<long long>(kMiB),
                static_cast<unsigned long long>(most_held / kMiB));
    CHECK(most < before + kSmallBudget + kSlack);
    CHECK(most_held <= kSmallBudget);
    CHECK(most_held >= kKeys * kLargeBytes);
    // Whoever was refused changed nothing, and whoever changed something has its answer, but for
    // those that took it too late, on a slow machine.
    std::int64_t whole = 0;
    for (auto& client : greedy) {
        client->read_until_ended(1);
        const auto& answer = client->answers().begin()->second;
        if (answer.status.has_value() && !answer.status->is_ok()) {
            CHECK(answer.status->code == wire::GrpcCode::kResourceExhausted);
        }
        whole += answer.status.has_value() && answer.status->is_ok() ? 1 : 0;
    }
    CHECK(whole >= 1);
    const auto ended = static_cast<std::int64_t>(cluster.value_of("cairn_response_stalled_total"));
    const auto written = cluster.client().get("written");
    REQUIRE(written.has_value());
    REQUIRE(written->kvs.size() == 1);
    CHECK(written->kvs.front().version >= 1 + whole);
    CHECK(written->kvs.front().version <= 1 + whole + ended);
    CHECK(wait_until([&] { return cluster.value_of("cairn_response_bytes") == 0; }, kPatience));
    read_one();
}

TEST_CASE("A write whose answer is too long has no effect, and says so",
          "[process][response_budget]") {
    Cluster cluster(1, {"--experimental-response-budget-bytes=8388608"});
    cluster.fill(50, kValueBytes);  // 5 MB; a write may answer 3 MiB
    etcdserverpb::DeleteRangeRequest removal;
    removal.set_key("big/");
    removal.set_range_end("big0");
    removal.set_prev_kv(true);
    H2Client client(cluster.endpoint());
    const std::vector<wire::StreamId> streams{
        client.call(kTxn, write_and_read_all("written").SerializeAsString()),
        client.call(kDelete, removal.SerializeAsString()),
    };
    check_refused(
        client, streams,
        "cairn: the answer of one write may have 3145728 bytes, three eighths of "
        "--experimental-response-budget-bytes, this one needs more; ask for less at once");
    CHECK(cluster.client().get("written")->kvs.empty());
    CHECK(cluster.client().get("big/100049")->kvs.size() == 1);
    // What is shorter goes through, for all that the first claims were too little for it.
    removal.set_key("big/100025");
    const auto fits = client.call(kDelete, removal.SerializeAsString());
    client.read_until_ended(streams.size() + 1);
    REQUIRE(client.answers().at(fits).status->is_ok());
    etcdserverpb::DeleteRangeResponse gone;
    REQUIRE(gone.ParseFromString(client.answers().at(fits).message));
    CHECK(gone.deleted() == 25);
    CHECK(gone.prev_kvs_size() == 25);
    CHECK(cluster.value_of("cairn_response_bytes") == 0);
}

TEST_CASE("Clients that never read do not stop the writes of others, and are ended",
          "[process][response_budget]") {
    Cluster cluster(1, {"--experimental-response-budget-bytes=16777216"});
    cluster.fill(50, kValueBytes);
    std::vector<std::unique_ptr<H2Client>> greedy;
    for (int i = 0; i < 8; ++i) {  // 5 MB each: two or three of them fill it
        greedy.push_back(std::make_unique<H2Client>(cluster.endpoint()));
        greedy.back()->call(kRange, all_of_it().SerializeAsString());
    }
    REQUIRE(wait_until([&] { return cluster.value_of("cairn_response_refused_total") > 0; },
                       kPatience));
    REQUIRE(cluster.value_of("cairn_response_bytes") > 8 * kMiB);
    // A compare-and-swap that reads on failure, its success, and a removal.
    etcdserverpb::TxnRequest swap;
    auto* guard = swap.add_compare();
    guard->set_key("small");
    guard->set_target(etcdserverpb::Compare::VERSION);
    guard->set_version(0);
    swap.add_success()->mutable_request_put()->set_key("small");
    swap.add_failure()->mutable_request_range()->set_key("small");
    etcdserverpb::DeleteRangeRequest removal;
    removal.set_key("small");
    H2Client other(cluster.endpoint());
    for (const auto& [method, request] :
         {std::pair(kTxn, swap.SerializeAsString()), std::pair(kTxn, swap.SerializeAsString()),
          std::pair(kDelete, removal.SerializeAsString())}) {
        const auto stream = other.call(method, request);
        other.read_until_ended(static_cast<std::size_t>(stream + 1) / 2);
        CHECK(other.answers().at(stream).status->is_ok());
    }
    CHECK(cluster.value_of("cairn_response_stalled_total") == 0);  // nobody was ended for them
    // Somebody else wants a long answer until those that take nothing are ended.
    CHECK(wait_until(
        [&] {
            H2Client late(cluster.endpoint());
            const auto stream = late.call(kRange, all_of_it().SerializeAsString());
            late.read_until_ended(1);
            return late.answers().at(stream).status->is_ok();
        },
        kPatience));
    CHECK(cluster.value_of("cairn_response_stalled_total") >= 1);
    CHECK(cluster.nodes().log_of(0).find("do not take their answers") != std::string::npos);
    // The others have their answers.
    std::uint64_t ended = 0;
    for (auto& client : greedy) {
        client->read_until_ended(1);
        ended += client->answers().begin()->second.status.has_value() ? 0U : 1U;
    }
    CHECK(ended == cluster.value_of("cairn_response_stalled_total"));
}

TEST_CASE("What waits behind an answer goes on when that is reset", "[process][response_budget]") {
    Cluster cluster(1);
    cluster.fill(80, kValueBytes);
    H2Client client(cluster.endpoint());
    const auto unread = client.call(kRange, all_of_it().SerializeAsString());
    REQUIRE(wait_until([&] { return cluster.value_of("cairn_response_bytes") > 0; }, kPatience));
    std::this_thread::sleep_for(200ms);
    // Held: more than 4 MiB are to be sent before.
    etcdserverpb::RangeRequest small;
    small.set_key("big/100000");
    const auto behind = client.call(kRange, small.SerializeAsString(), 60'000'000'000);
    std::this_thread::sleep_for(200ms);
    client.reset(unread);
    client.read_until_ended(1);
    REQUIRE(client.answers().at(behind).status.has_value());
    CHECK(client.answers().at(behind).status->is_ok());
}

TEST_CASE("A client that leaves ends its scan", "[process][response_budget]") {
    Cluster cluster(1);
    cluster.fill(200, kValueBytes);
    etcdserverpb::HashKVRequest hash;
    const auto [method, request] =
        GENERATE_COPY(std::pair(std::string(kRange), all_of_it().SerializeAsString()),
                      std::pair(std::string(kHashKv), hash.SerializeAsString()));
    const bool resets = GENERATE(true, false);
    // A scan takes some milliseconds: in one of the rounds the client leaves in the middle. One
    // that leaves very early may take its calls with it, unseen.
    std::uint64_t running = 0;
    for (int round = 0; round < 50 && running == 0; ++round) {
        {
            H2Client gone(cluster.endpoint());
            std::vector<wire::StreamId> streams;
            for (int i = 0; i < 16; ++i) {
                streams.push_back(gone.call(method, request));
            }
            std::this_thread::sleep_for(round % 10 * 2ms);
            for (std::size_t i = 0; resets && i < streams.size(); ++i) {
                gone.reset(streams[i]);
            }
        }
        REQUIRE(
            wait_until([&] { return cluster.value_of("cairn_response_bytes") == 0; }, kPatience));
        wait_until([&] { return (running = cancelled(cluster, "running")) > 0; }, 1s);
    }
    CHECK(running > 0);
    cluster.read_all_once();
}

TEST_CASE("What a client leaves unread goes at once, not when its scans would have run",
          "[process][response_budget]") {
    Cluster cluster(1);
    cluster.fill(400, kValueBytes);
    auto part = all_of_it();
    part.set_limit(30);
    auto gone = std::make_unique<H2Client>(cluster.endpoint());
    gone->call(kRange, part.SerializeAsString());
    REQUIRE(
        wait_until([&] { return cluster.value_of("cairn_response_bytes") > 2 * kMiB; }, kPatience));
    std::vector<std::unique_ptr<H2Client>> busy;
    for (int i = 0; i < 64; ++i) {
        if (i % 16 == 0) {
            busy.push_back(std::make_unique<H2Client>(cluster.endpoint()));
        }
        busy.back()->call(kHashKv, {});
    }
    std::this_thread::sleep_for(20ms);
    gone->call(kHashKv, {});  // they go one by one: it waits behind those
    std::this_thread::sleep_for(5ms);
    gone.reset();
    std::uint64_t held = 1;
    std::uint64_t dropped = 0;
    while (held > 0) {
        const std::string page = metrics_page(cluster.endpoint());
        held = metric_of(page, "cairn_response_bytes");
        dropped = metric_of(page, "cairn_reads_cancelled_total{state=\"waiting\"}");
    }
    CHECK(dropped == 0);
    for (auto& client : busy) {
        client->read_until_ended(16);
    }
    CHECK(wait_until([&] { return cancelled(cluster, "waiting") == 1; }, kPatience));
}

TEST_CASE("A leader whose followers are stopped refuses what it cannot commit",
          "[process][response_budget]") {
    // It leads until it has not heard of them for so long.
    Cluster cluster(3, {"--election-timeout=10000", "--heartbeat-interval=500"});
    constexpr std::size_t kClients = 10;  // one connection may not have so much unfinished
    constexpr std::size_t kPuts = 10;     // each, of 1 MiB; 64 MiB may be uncommitted
    etcdserverpb::PutRequest put;
    put.set_key("large");
    put.set_value(std::string(kMiB, 'v'));
    const std::string request = put.SerializeAsString();
    const auto each_follower = [&](int signal) {
        for (std::size_t node = 0; node < cluster.nodes().size(); ++node) {
            if (node != cluster.leader()) {
                cluster.nodes().send_signal(node, signal);
            }
        }
    };
    each_follower(SIGSTOP);
    std::vector<std::unique_ptr<H2Client>> clients;
    std::vector<std::thread> writers;
    for (std::size_t i = 0; i < kClients; ++i) {
        clients.push_back(std::make_unique<H2Client>(cluster.endpoint()));
        writers.emplace_back([&request, client = clients.back().get()] {
            for (std::size_t call = 0; call < kPuts; ++call) {
                client->call("/etcdserverpb.KV/Put", request);
            }
            client->read_until_ended(kPuts);
        });
    }
    CHECK(
        wait_until([&] { return cluster.value_of("etcd_server_proposals_failed_total") > 0; }, 9s));
    each_follower(SIGCONT);
    for (auto& writer : writers) {
        writer.join();
    }
    std::size_t refused = 0;
    for (const auto& client : clients) {
        for (const auto& [stream, answer] : client->answers()) {
            REQUIRE(answer.status.has_value());
            if (answer.status->message == "etcdserver: too many requests") {
                CHECK(answer.status->code == wire::GrpcCode::kUnknown);  // as etcd 3.5
                ++refused;
            }
        }
    }
    std::printf("%zu of %zu puts refused\n", refused, kClients * kPuts);
    CHECK(refused > 0);
    CHECK(refused < kClients * kPuts);
    CHECK(
        wait_until([&] { return cluster.client().put("after", "value").has_value(); }, kPatience));
}

}  // namespace cairn::process
