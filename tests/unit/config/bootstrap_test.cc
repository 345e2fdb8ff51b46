#include "server/bootstrap.h"

#include "catch.h"
#include <fmt/format.h>

#include "proto/cairn/command.pb.h"

namespace cairn::server {
namespace {

ServerConfig config_of(const std::vector<std::string>& arguments) {
    const Result<CommandLine> line = parse_command_line(arguments, {});
    REQUIRE(line);
    Result<ServerConfig> config = build_config(line.value());
    REQUIRE(config);
    return std::move(config.value());
}

Bootstrap plan_of(const std::vector<std::string>& arguments) {
    Result<Bootstrap> plan = plan_bootstrap(config_of(arguments));
    REQUIRE(plan);
    return std::move(plan.value());
}

command::MemberInfo member(std::uint64_t id, const std::string& name, const std::string& url) {
    command::MemberInfo info;
    info.set_id(id);
    info.set_name(name);
    info.add_peer_urls(url);
    return info;
}

// One that has told where clients reach it.
command::MemberInfo started(command::MemberInfo info) {
    info.add_client_urls("http://h:9");
    return info;
}

struct Golden {
    std::string name;
    std::string advertise;
    std::string cluster;
    std::string token;
    std::uint64_t member = 0;
    std::uint64_t cluster_id = 0;
};

}  // namespace

// The ids that etcd 3.5.30 and 3.4.23 log ("local-member-id", "cluster-id") when started so.
TEST_CASE("bootstrap: the ids are etcd's", "[config][bootstrap]") {
    const std::string three =
        "infra0=http://127.0.0.1:2380,infra1=http://127.0.0.1:22380,infra2=http://127.0.0.1:32380";
    const auto golden = GENERATE_COPY(values<Golden>({
        {"default", "http://localhost:2380", "", "etcd-cluster", 0x8e9e05c52164694d,
         0xcdf818194e3a8c32},
        {"infra0", "http://127.0.0.1:2380", three, "etcd-cluster-1", 0xbf9071f4639c75cc,
         0x059a05384c9b79ee},
        {"infra0", "http://127.0.0.1:2380", three, "etcd-cluster", 0xb71f75320dc06a6c,
         0x066d3a070bf89b39},
        {"infra1", "http://127.0.0.1:22380", three, "etcd-cluster", 0x9e737febb6b99eee,
         0x066d3a070bf89b39},
        {"infra2", "http://127.0.0.1:32380", three, "etcd-cluster", 0x0628170c800dbcee,
         0x066d3a070bf89b39},
        {"m", "http://127.0.0.1:2391,http://127.0.0.1:2390",
         "m=http://127.0.0.1:2391,m=http://127.0.0.1:2390", "tok", 0xc775ad3a1191fe52,
         0x26791928713d724f},
        {"m", "http://127.0.0.1:2390", "m=HTTP://127.0.0.1:2390", "etcd-cluster",
         0x75fb7df1dacfc315, 0x10f01b74d2e6351f},
        {"m", "http://127.0.0.1:2390", "", "etcd-cluster", 0x75fb7df1dacfc315, 0x10f01b74d2e6351f},
    }));
    const Bootstrap plan =
        plan_of({"--name=" + golden.name, "--initial-advertise-peer-urls=" + golden.advertise,
                 "--initial-cluster=" + golden.cluster, "--initial-cluster-token=" + golden.token});
    CHECK(fmt::format("{:x}", plan.self.value) == fmt::format("{:x}", golden.member));
    CHECK(fmt::format("{:x}", plan.cluster.value) == fmt::format("{:x}", golden.cluster_id));
}

TEST_CASE("bootstrap: every member derives the same entries", "[config][bootstrap]") {
    const std::string cluster = "a=http://h:1,b=http://h:2,c=http://h:3";
    const std::string shuffled = "c=http://h:3,a=http://h:1,b=http://h:2";
    const Bootstrap a = plan_of(
        {"--name=a", "--initial-advertise-peer-urls=http://h:1", "--initial-cluster=" + cluster});
    const Bootstrap b = plan_of(
        {"--name=b", "--initial-advertise-peer-urls=http://h:2", "--initial-cluster=" + shuffled});
    CHECK(a.cluster == b.cluster);
    CHECK(a.self != b.self);
    REQUIRE(a.members.size() == 3);
    REQUIRE(b.members.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(a.members[i].id == b.members[i].id);
        CHECK(a.members[i].context == b.members[i].context);
        command::MemberInfo info;
        REQUIRE(info.ParseFromString(std::string(a.members[i].context.view())));
        CHECK(info.id() == a.members[i].id.value);
        CHECK(info.peer_urls_size() == 1);
        // As in etcd: named from the beginning, and nowhere to be reached by clients yet.
        const std::string url = info.peer_urls(0);
        CHECK(info.name() + "=" + url == cluster.substr(cluster.find(url) - 2, url.size() + 2));
        CHECK(info.client_urls_size() == 0);
        CHECK((i == 0 || a.members[i - 1].id < a.members[i].id));
    }
}

TEST_CASE("bootstrap: a member that has started does not join again", "[config][bootstrap]") {
    const ServerConfig config = config_of({"--name=b", "--initial-advertise-peer-urls=http://h:2",
                                           "--initial-cluster=a=http://h:1,b=http://h:2",
                                           "--initial-cluster-state=existing"});
    RunningCluster running{
        ClusterId{0xc1}, {started(member(0xa, "a", "http://h:1")), member(0xb, "", "http://h:2")}};
    const auto joined = plan_join(config, running);
    REQUIRE(joined.has_value());
    CHECK(joined.value() == NodeId{0xb});
    running.members[1] = started(member(0xb, "b", "http://h:2"));
    const auto again = plan_join(config, running);
    REQUIRE(again.has_error());
    CHECK(again.error().code == Errc::kInvalidConfig);
    CHECK(again.error().detail ==
          "member b has already been bootstrapped, and its data is not here: remove it from the "
          "cluster, add it anew, and start that one with an empty data directory");
    // Whatever it calls itself now.
    running.members[1].set_name("another");
    CHECK(plan_join(config, running).has_error());
}

TEST_CASE("bootstrap: a member that has started does not begin a cluster again",
          "[config][bootstrap]") {
    const ServerConfig config = config_of({"--name=b", "--initial-advertise-peer-urls=http://h:2",
                                           "--initial-cluster=a=http://h:1,b=http://h:2"});
    const auto plan = plan_bootstrap(config);
    REQUIRE(plan);
    const std::uint64_t self = plan.value().self.value;
    const auto refused = [&](command::MemberInfo own) {
        const RunningCluster running{plan.value().cluster,
                                     {started(member(0xa, "a", "http://h:1")), std::move(own)}};
        return check_unstarted(config, plan.value(), running).has_error();
    };
    // The others came up first.
    CHECK_FALSE(refused(member(self, "b", "http://h:2")));
    CHECK_FALSE(refused(member(self, "", "http://h:2")));
    CHECK(refused(started(member(self, "b", "http://h:2"))));
    // It had moved; and it had been added, so that its id is another.
    CHECK(refused(started(member(self, "b", "http://h:7"))));
    CHECK(refused(started(member(0xb, "b", "http://h:2"))));
    CHECK_FALSE(refused(started(member(0xb, "c", "http://h:3"))));
}

}  // namespace cairn::server
