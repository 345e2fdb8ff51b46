#include "server/bootstrap.h"

#include "catch.h"
#include <fmt/format.h>

#include "proto/cairn/command.pb.h"

namespace cairn::server {
namespace {

Bootstrap plan_of(const std::vector<std::string>& arguments) {
    const Result<CommandLine> line = parse_command_line(arguments, {});
    REQUIRE(line);
    const Result<ServerConfig> config = build_config(line.value());
    REQUIRE(config);
    Result<Bootstrap> plan = plan_bootstrap(config.value());
    REQUIRE(plan);
    return std::move(plan.value());
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
        // What differs between members' command lines may not be in it.
        CHECK(info.name().empty());
        CHECK(info.client_urls_size() == 0);
        CHECK((i == 0 || a.members[i - 1].id < a.members[i].id));
    }
}

}  // namespace cairn::server
