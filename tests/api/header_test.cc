// The header's hand-written bytes against protobuf's.
#include "server/api/header.h"

#include <cstdint>
#include <limits>
#include <string>

#include "catch.h"

#include "proto/etcd/rpc_kv.pb.h"

namespace cairn::server::api {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

std::string expected(const HeaderFields& fields) {
    etcdserverpb::CompactionResponse reply;
    auto& header = *reply.mutable_header();
    header.set_cluster_id(fields.identity.cluster.value);
    header.set_member_id(fields.identity.member.value);
    header.set_revision(fields.revision);
    header.set_raft_term(fields.term.value);
    return reply.SerializeAsString();
}

}  // namespace

TEST_CASE("the header is written as protobuf writes it", "[api][header]") {
    for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127},
                                   std::uint64_t{128}, std::uint64_t{1} << 63U, kMax}) {
        for (const std::int64_t revision :
             {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{300},
              std::numeric_limits<std::int64_t>::max()}) {
            const HeaderFields fields{.identity = {.cluster = ClusterId{id}, .member = NodeId{id}},
                                      .revision = revision,
                                      .term = Term{id}};
            std::string reply;
            append_header(fields, reply);
            REQUIRE(reply == expected(fields));
            REQUIRE(with_header(fields, "body").view() == expected(fields) + "body");
            REQUIRE(with_header(fields, {}).view() == expected(fields));
        }
    }
}

TEST_CASE("a body behind the header is one message", "[api][header]") {
    etcdserverpb::RangeResponse body;
    body.add_kvs()->set_key("k");
    body.set_count(3);
    const HeaderFields fields{.identity = {.cluster = ClusterId{7}, .member = NodeId{8}},
                              .revision = 9,
                              .term = Term{10}};
    const Bytes reply = with_header(fields, body.SerializeAsString());
    etcdserverpb::RangeResponse parsed;
    REQUIRE(parsed.ParseFromString(std::string(reply.view())));
    REQUIRE(parsed.header().member_id() == 8);
    REQUIRE(parsed.kvs(0).key() == "k");
    REQUIRE(parsed.count() == 3);
}

}  // namespace cairn::server::api
