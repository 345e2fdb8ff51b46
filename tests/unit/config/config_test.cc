#include "server/config.h"

#include "catch.h"

#include "server/bootstrap.h"

namespace cairn::server {
namespace {

// A member on loopback ports of its own, as scripts start it.
std::vector<std::string> with_addresses(const std::vector<std::string>& more) {
    std::vector<std::string> arguments{
        "--listen-client-urls=http://127.0.0.1:24379",
        "--advertise-client-urls=http://127.0.0.1:24379",
        "--listen-peer-urls=http://127.0.0.1:24380",
        "--initial-advertise-peer-urls=http://127.0.0.1:24380",
    };
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

Result<ServerConfig> build(const std::vector<std::string>& arguments) {
    const Result<CommandLine> line = parse_command_line(arguments, {});
    REQUIRE(line);
    return build_config(line.value());
}

std::string error_of(const std::vector<std::string>& arguments) {
    const Result<ServerConfig> config = build(arguments);
    REQUIRE_FALSE(config);
    CHECK(config.error().code == Errc::kInvalidConfig);
    return config.error().detail;
}

// The error of a first start; there is none for a member that has data.
std::string first_start_error(const std::vector<std::string>& arguments) {
    const Result<ServerConfig> config = build(arguments);
    REQUIRE(config);
    const Result<Bootstrap> plan = plan_bootstrap(config.value());
    REQUIRE_FALSE(plan);
    return plan.error().detail;
}

}  // namespace

TEST_CASE("config: without flags, a single node on etcd's ports", "[config]") {
    const Result<ServerConfig> built = build({});
    REQUIRE(built);
    const ServerConfig& config = built.value();
    CHECK(config.name == "default");
    CHECK(config.data_dir == "default.cairn");
    CHECK(join_urls(config.listen_client_urls) == "http://localhost:2379");
    CHECK(join_urls(config.listen_peer_urls) == "http://localhost:2380");
    CHECK(config.listen_client_urls[0].port == 2379);
    CHECK(config.initial_cluster ==
          std::vector<InitialMember>{{"default", {"http://localhost:2380"}}});
    CHECK(config.initial_cluster_token == "etcd-cluster");
    CHECK(config.max_request_bytes == 1'572'864);
    CHECK(config.max_txn_ops == 128);
    CHECK(config.max_concurrent_streams == 4'294'967'295U);
    CHECK(config.election_ticks() == 10);
    CHECK(config.grpc_keepalive_min_time == std::chrono::seconds(5));
    CHECK(config.warnings.empty());
    CHECK_FALSE(config.initial_error);
}

TEST_CASE("config: values arrive", "[config]") {
    const Result<ServerConfig> built = build(with_addresses(
        {"--name=m1", "--data-dir=/d", "--heartbeat-interval=20", "--election-timeout=130",
         "--pre-vote=false", "--max-request-bytes=1000", "--max-txn-ops=7", "--log-level=error",
         "--log-format=json", "--log-outputs=stdout", "--snapshot-count=5",
         "--initial-cluster=m2=http://b:2,m1=http://127.0.0.1:24380,m2=http://b:1"}));
    REQUIRE(built);
    const ServerConfig& config = built.value();
    CHECK(config.data_dir == "/d");
    CHECK(config.election_ticks() == 6);
    CHECK_FALSE(config.pre_vote);
    CHECK(config.max_request_bytes == 1000);
    CHECK(config.max_txn_ops == 7);
    CHECK(config.log_level == LogLevel::kError);
    CHECK(config.log_format == LogFormat::kJson);
    CHECK(config.log_output == LogOutput::kStdout);
    CHECK(config.initial_cluster ==
          std::vector<InitialMember>{{"m1", {"http://127.0.0.1:24380"}},
                                     {"m2", {"http://b:1", "http://b:2"}}});
    REQUIRE(config.warnings.size() == 1);
    CHECK(config.warnings[0].find("--snapshot-count=5 has no effect") == 0);
}

TEST_CASE("config: names and URLs that no record of a member can have", "[config]") {
    CHECK(first_start_error({"--name="}) == "--name must not be empty");
    CHECK(error_of({"--name=caf\xe9"}) == "--name=\"caf\\xe9\" is not UTF-8");
    CHECK(build({"--name=caf\xc3\xa9"}));
    CHECK(first_start_error({"--initial-cluster=a=http://h\xff:1"}) ==
          "--initial-cluster=\"a=http://h\\xff:1\" is not UTF-8");
    CHECK(first_start_error({"--initial-cluster==http://h:1,default=http://localhost:2380"}) ==
          "--initial-cluster: a member without a name: =http://h:1");
}

TEST_CASE("config: times and limits in etcd's words", "[config]") {
    CHECK(error_of({"--heartbeat-interval=500"}) ==
          "--election-timeout[1000ms] should be at least as 5 times as "
          "--heartbeat-interval[500ms]");
    CHECK(build({"--heartbeat-interval=200"}));
    CHECK_FALSE(build({"--heartbeat-interval=201"}));
    CHECK(error_of({"--election-timeout=60000"}) ==
          "--election-timeout[60000ms] is too long, and should be set less than 50000ms");
    CHECK(build({"--election-timeout=50000"}));
    CHECK(error_of({"--heartbeat-interval=0"}) == "--heartbeat-interval must be >0 (set to 0ms)");
    CHECK(error_of({"--election-timeout=0"}) == "--election-timeout must be >0 (set to 0ms)");
    CHECK(error_of({"--max-request-bytes=33554433"}) ==
          "--max-request-bytes=33554433: must be from 1 to 33554432");
    CHECK(build({"--experimental-response-budget-bytes=9602000", "--max-request-bytes=8400000"}));
    CHECK(
        error_of({"--experimental-response-budget-bytes=9600000", "--max-request-bytes=8400000"}) ==
        "--experimental-response-budget-bytes=9600000: one answer may take seven eighths of it, "
        "which must be at least 1 KiB more than --max-request-bytes=8400000");
    CHECK(build({"--experimental-log-entries-max=10000"}));
    CHECK(error_of({"--experimental-log-entries-max=9999"}) ==
          "--experimental-log-entries-max=9999: must be from 10000 to 1000000000");
    CHECK(error_of({"--max-txn-ops=0"}) == "--max-txn-ops=0: must be at least 1");
    CHECK(error_of({"--max-learners=0"}) == "--max-learners must be greater than 0");
    CHECK(error_of({"--max-learners=-1"}) == "--max-learners must be greater than 0");
    CHECK(build({"--max-learners=+2"}).value().max_learners == 2);
    CHECK(error_of({"--max-concurrent-streams=0"}) ==
          "--max-concurrent-streams=0: must be at least 1");
    CHECK(error_of({"--grpc-keepalive-min-time=-1s"}) ==
          "--grpc-keepalive-min-time=-1s: must not be negative");
}

TEST_CASE("config: addresses", "[config]") {
    CHECK(error_of({"--listen-client-urls=http://127.0.0.1:1"}) ==
          "--advertise-client-urls is required when --listen-client-urls is set explicitly");
    const auto listening = [](const std::string& url) {
        return std::vector<std::string>{"--advertise-client-urls=http://a:1",
                                        "--listen-client-urls=" + url};
    };
    CHECK(error_of(listening("http://foo.example:24379")) ==
          "expected IP in URL for binding (http://foo.example:24379)");
    CHECK(error_of(listening("http://:2379")) == "expected IP in URL for binding (http://:2379)");
    CHECK(error_of(listening("https://127.0.0.1:1")) ==
          "--listen-client-urls=https://127.0.0.1:1: TLS is not supported yet");
    CHECK(error_of(listening("unix://localhost:1")) ==
          "--listen-client-urls=unix://localhost:1: unix sockets are not supported yet");
    CHECK(error_of(listening("http://localhost:2380")) ==
          "--listen-client-urls and --listen-peer-urls are the same: http://localhost:2380");
    CHECK(error_of({"--advertise-client-urls=http://:1"}) == "unexpected empty host (http://:1)");
    CHECK(build(listening("http://[::1]:2379, HTTP://0.0.0.0:0 ")));
}

TEST_CASE("config: a URL's parts", "[config][url]") {
    const Url six = parse_url("http://[fe80::1]:80").value();
    CHECK(six.host == "fe80::1");
    CHECK(six.port == 80);
    CHECK(six.host_is_ip());
    CHECK(six.text == "http://[fe80::1]:80");
    CHECK(parse_url(" HTTP://Host:65535\n").value().text == "http://Host:65535");
    CHECK_FALSE(parse_url("http://a:1").value().host_is_ip());
    for (const char* bad :
         {"", "a:1", "http://", "http://a", "http://a:", "http://a:65536", "http://a:-1",
          "http://a:1x", "http://a:b:1", "http://[::1]", "http://::1:1", "http://a:1?x",
          "http://a:1#x", "http://u@a:1", "http://a:1/"}) {
        INFO(bad);
        CHECK_FALSE(parse_url(bad));
    }
    CHECK_FALSE(parse_urls("http://a:1,"));
    CHECK(join_urls(parse_urls("http://b:1,http://a:2").value()) == "http://a:2,http://b:1");
}

TEST_CASE("config: contradictions of the first start, in etcd's words", "[config][bootstrap]") {
    CHECK(first_start_error(with_addresses({"--initial-cluster=default=http://127.0.0.1:9999"})) ==
          "--initial-cluster has default=http://127.0.0.1:9999 but missing from "
          "--initial-advertise-peer-urls=http://127.0.0.1:24380 (resolved urls: "
          "\"http://127.0.0.1:24380\" != \"http://127.0.0.1:9999\")");
    CHECK(first_start_error(with_addresses({"--initial-cluster=other=http://127.0.0.1:9999"})) ==
          "couldn't find local name \"default\" in the initial cluster configuration");
    CHECK(first_start_error({"--initial-advertise-peer-urls=http://a:1,http://a:2",
                             "--initial-cluster=default=http://a:1"}) ==
          "--initial-advertise-peer-urls has http://a:2 but missing from "
          "--initial-cluster=default=http://a:1");
    CHECK(first_start_error(with_addresses({"--initial-cluster=default=http://127.0.0.1:24380,"
                                            "n=http://127.0.0.1:24380"})) ==
          "initial cluster default=http://127.0.0.1:24380,n=http://127.0.0.1:24380 has duplicate "
          "url");
    CHECK(first_start_error({"--initial-cluster=default"}) ==
          "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ");
    CHECK(first_start_error({"--initial-cluster=default=HTTP://127.0.0.1:2390/"}) ==
          "error setting up initial cluster: URL must not contain a path: "
          "HTTP://127.0.0.1:2390/");
    CHECK(first_start_error({"--initial-cluster=default=https://127.0.0.1:2390"}) ==
          "--initial-cluster=https://127.0.0.1:2390: TLS is not supported yet");
    std::string many = "--initial-cluster=default=http://localhost:2380";
    for (int i = 0; i < 64; ++i) {
        many += ",m" + std::to_string(i) + "=http://h:" + std::to_string(i);
    }
    CHECK(first_start_error({many}) == "--initial-cluster has 65 members, at most 64 are possible");
    // localhost and its address are the same place; a comma too many is no member.
    CHECK(plan_bootstrap(build({"--initial-cluster=default=http://127.0.0.1:2380,"}).value()));
}

TEST_CASE("config: who joins finds itself among the members", "[config][bootstrap]") {
    const auto config = build({"--name=n2", "--initial-cluster-state=existing",
                               "--initial-cluster=n1=http://localhost:1,n2=http://h:2"});
    REQUIRE(config);
    RunningCluster running{ClusterId{0xc1}, {}};
    const auto add = [&](std::uint64_t id, const std::string& name, const std::string& url) {
        command::MemberInfo& member = running.members.emplace_back();
        member.set_id(id);
        member.set_name(name);
        member.add_peer_urls(url);
    };
    add(0xa1, "n1", "http://127.0.0.1:1");
    const auto error = [&] { return plan_join(config.value(), running).error().detail; };
    CHECK(error() ==
          "error validating peerURLs {ClusterID:c1 Members:[&{ID:a1 "
          "RaftAttributes:{PeerURLs:[http://127.0.0.1:1] IsLearner:false} Attributes:{Name:n1 "
          "ClientURLs:[]}}] RemovedMemberIDs:[]}: member count is unequal");
    add(0xb2, "", "http://h:3");
    CHECK(error().ends_with(
        "PeerURLs: no match found for existing member (b2, [http://h:3]), last resolver error "
        "(resolved urls: \"http://h:3\" != \"http://h:2\")"));
    running.members.back().set_peer_urls(0, "http://h:2");
    // Not the name that the cluster knows: a newcomer has none there yet.
    CHECK(plan_join(config.value(), running).value() == NodeId{0xb2});
}

}  // namespace cairn::server
