// A member and clients that are late, gone, or not reading. One real cairnd; the program is in
// $CAIRND.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "catch.h"
#include <fmt/format.h>

#include "base/prng.h"
#include "process/h2_client.h"
#include "process/process_cluster.h"
#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::process {
namespace {

using namespace std::chrono_literals;

constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kPut = "/etcdserverpb.KV/Put";

std::string get_request(const std::string& key, const std::string& range_end = "") {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(range_end);
    request.set_serializable(true);
    return request.SerializeAsString();
}

struct LoneNode {
    LoneNode() {
        cluster.start_all();
        cluster.wait_until_all_serve();
    }
    [[nodiscard]] std::string endpoint() const { return cluster.endpoints().front(); }
    void fill(const std::string& key, std::size_t bytes) const {
        REQUIRE(client.put(key, std::string(bytes, 'v')).has_value());
    }
    // Resident memory of the process, in bytes.
    [[nodiscard]] std::uint64_t memory() const {
        std::ifstream status("/proc/" + std::to_string(cluster.pid(0)) + "/statm");
        std::uint64_t size = 0;
        std::uint64_t resident = 0;
        status >> size >> resident;
        return resident * 4096;
    }

    ProcessCluster cluster{1, std::getenv("CAIRND")};
    mutable client::Client client = cluster.client_of(0);
};

TEST_CASE("The longest timeout that gRPC can say does not end the call", "[process][session]") {
    const LoneNode node;
    etcdserverpb::PutRequest request;
    request.set_key("k");
    request.set_value("v");
    H2Client client(node.endpoint());
    const auto stream =
        client.call(kPut, request.SerializeAsString(), std::numeric_limits<std::int64_t>::max());
    client.read_until_ended(1);
    REQUIRE(client.answers().at(stream).status.has_value());
    CHECK(client.answers().at(stream).status->is_ok());
}

TEST_CASE("A client that asks and does not read costs bounded memory", "[process][session]") {
    constexpr std::size_t kValueBytes = 1U << 20U;
    constexpr std::size_t kCalls = 200;
    const LoneNode node;
    node.fill("large", kValueBytes);
    const std::uint64_t before = node.memory();
    H2Client greedy(node.endpoint());
    for (std::size_t i = 0; i < kCalls; ++i) {
        greedy.call(kRange, get_request("large"));
    }
    // Whoever comes later is served meanwhile.
    for (int i = 0; i < 20; ++i) {
        node.fill("small", 10);
    }
    CHECK(node.memory() < before + 64 * kValueBytes);
    greedy.read_until_ended(kCalls);
    std::size_t whole = 0;
    for (const auto& [stream, answer] : greedy.answers()) {
        whole += answer.status && answer.status->is_ok() && answer.message.size() > kValueBytes;
    }
    CHECK(whole == kCalls);
}

TEST_CASE("Scans of clients that left are not run", "[process][session]") {
    const LoneNode node;
    for (int i = 0; i < 200; ++i) {
        node.fill("scan/" + std::to_string(i), 100'000);
    }
    {
        H2Client gone(node.endpoint());
        for (int i = 0; i < 150; ++i) {
            gone.reset(gone.call(kRange, get_request("scan/", "scan0")));
        }
    }
    // 150 scans of 20 MB would take longer than a client waits.
    client::GetOptions options;
    options.range_end = client::prefix_end("scan/1");
    options.keys_only = true;
    const auto begin = Clock::now();
    const auto got = node.client.get("scan/1", options);
    REQUIRE(got.has_value());
    CHECK(got->count == 111);
    CHECK(Clock::now() - begin < 1s);
}

// So that the log of many small entries can be dropped long before its bytes would tell.
TEST_CASE("The engine is flushed at half the entries that the log may keep", "[process][session]") {
    constexpr std::size_t kEntriesMax = 10'000;
    constexpr std::size_t kAtOnce = 500;
    ProcessCluster cluster{
        1, std::getenv("CAIRND"), {fmt::format("--experimental-log-entries-max={}", kEntriesMax)}};
    cluster.start_all();
    cluster.wait_until_all_serve();
    const auto is_flushed = [&] {
        const std::filesystem::directory_iterator files(cluster.data_dir(0) + "/db");
        return std::any_of(begin(files), end(files),
                           [](const auto& file) { return file.path().extension() == ".sst"; });
    };
    H2Client client(cluster.endpoints().front());
    std::size_t put = 0;
    const auto put_up_to = [&](std::size_t count) {
        etcdserverpb::PutRequest request;
        request.set_key("k");
        while (put < count) {
            for (std::size_t i = 0; i < kAtOnce; ++i) {
                client.call(kPut, request.SerializeAsString());
            }
            put += kAtOnce;
            client.read_until_ended(put);
        }
    };
    put_up_to(kEntriesMax / 2 - kAtOnce);
    CHECK_FALSE(wait_until(is_flushed, 3s));
    put_up_to(kEntriesMax / 2 + kAtOnce);
    CHECK(wait_until(is_flushed, 10s));
}

// Both read what was applied last, whichever thread they run on.
TEST_CASE("A serializable get is never older than the scan before it", "[process][session]") {
    const LoneNode node;
    node.fill("k", 1);
    std::atomic<bool> done = false;
    std::thread writer([&node, &done] {
        client::Client client = node.cluster.client_of(0);
        while (!done) {
            static_cast<void>(client.put("k", "v"));
        }
    });
    client::GetOptions scan;
    scan.range_end = "l";
    scan.serializable = true;
    client::GetOptions get;
    get.serializable = true;
    int older = 0;
    for (int i = 0; i < 2000; ++i) {
        const auto scanned = node.client.get("k", scan);
        const auto got = node.client.get("k", get);
        older += !scanned || !got || got->header.revision < scanned->header.revision ||
                 got->kvs.at(0).mod_revision < scanned->kvs.at(0).mod_revision;
    }
    done = true;
    writer.join();
    CHECK(older == 0);
}

TEST_CASE("A connection may have two snapshots on their way, and no third", "[process][session]") {
    const LoneNode node;
    Prng random(1);
    for (int i = 0; i < 4; ++i) {
        std::string value(1U << 20U, '\0');
        std::generate(value.begin(), value.end(),
                      [&random] { return static_cast<char>(random.next()); });
        REQUIRE(node.client.put("large/" + std::to_string(i), value).has_value());
    }
    H2Client client(node.endpoint());
    for (int i = 0; i < 3; ++i) {
        // Larger than what the server may send before this reads.
        client.call("/etcdserverpb.Maintenance/Snapshot", "", std::nullopt,
                    {{wire::kSnapshotFormatHeader, wire::kNativeSnapshot}});
    }
    client.read_until_ended(3);
    std::size_t whole = 0;
    std::size_t refused = 0;
    for (const auto& [stream, answer] : client.answers()) {
        REQUIRE(answer.status.has_value());
        whole += answer.status->is_ok();
        refused += answer.status->message == "etcdserver: too many requests";
    }
    CHECK(whole == 2);
    CHECK(refused == 1);
}

TEST_CASE("A member that stops sends its last answers whole", "[process][session]") {
    constexpr std::size_t kValueBytes = 1U << 20U;
    LoneNode node;
    node.fill("large", kValueBytes);
    H2Client slow(node.endpoint());
    const auto stream = slow.call(kRange, get_request("large"));
    // Wait until it is served: what is asked later on another connection has its answer.
    node.fill("small", 10);
    node.cluster.send_signal(0, SIGTERM);
    REQUIRE(wait_until(
        [&] { return node.cluster.log_of(0).find("received a signal") != std::string::npos; },
        10s));
    slow.read_until_ended(1);
    const auto& answer = slow.answers().at(stream);
    REQUIRE(answer.status.has_value());
    CHECK(answer.status->is_ok());
    CHECK(answer.message.size() > kValueBytes);
    CHECK(node.cluster.wait_for_exit(0) == 0);
}

}  // namespace
}  // namespace cairn::process
