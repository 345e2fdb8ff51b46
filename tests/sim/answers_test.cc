// What the clients of the simulator ask and what they take for an answer.
#include "sim/answers.h"

#include <string>

#include "catch.h"

#include "base/prng.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "server/api/dispatcher.h"
#include "sim/member_history.h"
#include "sim/requests.h"

namespace cairn::sim {
namespace {

using server::api::Reply;
using wire::GrpcCode;
using wire::GrpcStatus;
using wire::MethodId;

Reply failure(GrpcCode code, std::string text) { return {GrpcStatus{code, std::move(text)}, {}}; }

// Only requests of one kind.
LoadOptions only(std::uint32_t LoadOptions::*kind) {
    LoadOptions load{.put = 0,
                     .remove = 0,
                     .compare_and_set = 0,
                     .txn = 0,
                     .linear_read = 0,
                     .serial_read = 0,
                     .compact = 0,
                     .look = 0,
                     .unsound = 0};
    load.*kind = 1;
    return load;
}

server::Intent ask(const Request& request) {
    const server::api::Dispatcher dispatcher({.cluster = ClusterId{1}, .member = NodeId{2}},
                                             kRequestLimits);
    server::NodeView node;
    node.leader = NodeId{2};
    return dispatcher.on_request({.method = request.method,
                                  .request = Bytes::copy_of(request.op.request),
                                  .client_api_version = {}},
                                 node);
}

TEST_CASE("Every unsound request is refused in its own words", "[sim][api]") {
    const LoadOptions load = only(&LoadOptions::unsound);
    Prng prng(1);
    Requests requests(load, prng);
    for (std::uint64_t tag = 1; tag <= 300; ++tag) {
        const Request request = requests.draw(tag, 5);
        REQUIRE(request.refusal.has_value());
        const server::Intent intent = ask(request);
        REQUIRE(std::holds_alternative<server::Reject>(intent));
        CHECK(server::api::format_error(std::get<server::Reject>(intent).error) ==
              Reply{*request.refusal, {}});
    }
}

TEST_CASE("All other requests are sound, and carry their tag to the log", "[sim][api]") {
    LoadOptions load;
    load.unsound = 0;
    Prng prng(1);
    Requests requests(load, prng);
    for (std::uint64_t tag = 1; tag <= 500; ++tag) {
        const Request request = requests.draw(tag, 5);
        REQUIRE(!request.refusal.has_value());
        const server::Intent intent = ask(request);
        const bool writes = request.op.kind == OpKind::kWrite;
        REQUIRE(std::holds_alternative<server::Propose>(intent) == writes);
        const bool at_once = request.method == MethodId::kMaintenanceDefragment;
        REQUIRE(std::holds_alternative<server::ReplyNow>(intent) == at_once);
        REQUIRE(std::holds_alternative<server::Read>(intent) == (!writes && !at_once));
        if (writes) {
            CHECK(read_tag(std::get<server::Propose>(intent).request.view()) == tag);
        }
        if (request.op.kind == OpKind::kLinearRead || request.op.kind == OpKind::kSerialRead) {
            CHECK(std::get<server::Read>(intent).linearizable ==
                  (request.op.kind == OpKind::kLinearRead));
        }
    }
}

TEST_CASE("What a member is comes before what is wrong with the request", "[sim][api]") {
    Request request{.has_leader = true, .refusal = GrpcStatus{GrpcCode::kInvalidArgument, "wrong"}};
    CHECK(request.refused_by(false, false)->message == "wrong");
    CHECK(request.refused_by(false, true)->message == "etcdserver: no leader");
    CHECK(request.refused_by(true, true)->message == "etcdserver: rpc not supported for learner");
    request.of_learners = true;
    CHECK(request.refused_by(true, false)->message == "wrong");
    request.is_readable = false;
    CHECK(request.refused_by(true, true)->message == "wrong");
    CHECK(!Request{}.refused_by(false, true).has_value());
}

TEST_CASE("A client takes etcd's replies and no others", "[sim][api]") {
    etcdserverpb::PutResponse put;
    put.mutable_header()->set_revision(7);
    put.mutable_prev_kv()->set_key("a");
    const auto answer = read_reply(MethodId::kKvPut, {{}, Bytes::copy_of(put.SerializeAsString())});
    REQUIRE(answer.has_value());
    CHECK(answer->header->revision() == 7);
    put.clear_header();
    CHECK(answer->body == put.SerializeAsString());
    // Without a header, cut off, or from another method.
    CHECK(!read_reply(MethodId::kKvPut, {{}, Bytes::copy_of(put.SerializeAsString())}));
    CHECK(!read_reply(MethodId::kKvPut, {{}, Bytes::copy_of("\x0a\x05")}));
    CHECK(!read_reply(MethodId::kLeaseGrant, {{}, {}}));

    const auto busy =
        read_reply(MethodId::kKvPut, failure(GrpcCode::kUnknown, "etcdserver: too many requests"));
    REQUIRE(busy.has_value());
    CHECK(busy->error == Errc::kTooManyRequests);
    CHECK(busy->certain);
    const auto late = read_reply(MethodId::kKvPut,
                                 failure(GrpcCode::kUnavailable, "etcdserver: request timed out"));
    REQUIRE(late.has_value());
    CHECK(!late->certain);
    CHECK(!read_reply(MethodId::kKvPut,
                      failure(GrpcCode::kUnavailable, "etcdserver: too many requests")));
    CHECK(!read_reply(MethodId::kKvPut, failure(GrpcCode::kUnknown, "too many requests")));
    // A failure of another kind of call.
    const auto is_told = [](MethodId method, GrpcCode code, const char* text) {
        return read_reply(method, failure(code, text)).has_value();
    };
    const char* const learner = "etcdserver: rpc not supported for learner";
    CHECK(is_told(MethodId::kMaintenanceMoveLeader, GrpcCode::kUnavailable, learner));
    CHECK(!is_told(MethodId::kKvRange, GrpcCode::kUnavailable, learner));
    CHECK(!is_told(MethodId::kClusterMemberAdd, GrpcCode::kUnavailable, learner));
    const char* const known = "etcdserver: Peer URLs already exists";
    CHECK(is_told(MethodId::kClusterMemberUpdate, GrpcCode::kFailedPrecondition, known));
    CHECK(!is_told(MethodId::kClusterMemberRemove, GrpcCode::kFailedPrecondition, known));
    CHECK(!is_told(MethodId::kKvPut, GrpcCode::kFailedPrecondition, known));
    const char* const missing = "etcdserver: member not found";
    CHECK(is_told(MethodId::kClusterMemberRemove, GrpcCode::kNotFound, missing));
    CHECK(!is_told(MethodId::kKvRange, GrpcCode::kNotFound, missing));
    CHECK(!is_told(MethodId::kKvPut, GrpcCode::kFailedPrecondition, "etcdserver: not leader"));
    const char* const future = "etcdserver: mvcc: required revision is a future revision";
    CHECK(is_told(MethodId::kKvTxn, GrpcCode::kOutOfRange, future));
    CHECK(!is_told(MethodId::kKvPut, GrpcCode::kOutOfRange, future));

    // No header and nothing else.
    CHECK(read_reply(MethodId::kMaintenanceDefragment, {}).has_value());
    CHECK(!read_reply(MethodId::kMaintenanceDefragment,
                      {{}, Bytes::copy_of(put.SerializeAsString())}));
    Reply both = failure(GrpcCode::kUnknown, "etcdserver: too many requests");
    both.body = Bytes::copy_of("x");
    CHECK(!read_reply(MethodId::kKvPut, both));
}

TEST_CASE("A list of members is one that was, when it may be told", "[sim][api]") {
    MemberHistory history;
    command::MemberInfo info;
    etcdserverpb::MemberListResponse one;
    info.set_id(2);
    info.add_peer_urls("http://a:1");
    history.apply(Index{1}, command::MEMBER_ADD, info);
    one.add_members()->set_id(2);
    one.mutable_members(0)->add_peerurls("http://a:1");
    info.set_id(1);
    info.set_is_learner(true);
    history.apply(Index{4}, command::MEMBER_ADD, info);
    etcdserverpb::MemberListResponse two;
    *two.add_members() = one.members(0);
    two.mutable_members(0)->set_id(1);
    two.mutable_members(0)->set_islearner(true);
    *two.add_members() = one.members(0);

    CHECK(history.since(one, Index{}, Index{1}) == Index{1});
    CHECK(history.since(one, Index{3}, Index{3}) == Index{1});
    CHECK(history.since(one, Index{1}, Index{9}) == Index{1});
    CHECK(!history.since(one, Index{4}, Index{9}));
    CHECK(!history.since(two, Index{}, Index{3}));
    CHECK(history.since(two, Index{}, Index{4}) == Index{4});
    std::swap(*two.mutable_members(0), *two.mutable_members(1));  // not by id
    CHECK(!history.since(two, Index{}, Index{9}));

    history.apply(Index{5}, command::MEMBER_PROMOTE, info);
    two.mutable_members()->SwapElements(0, 1);
    CHECK(!history.since(two, Index{5}, Index{5}));
    two.mutable_members(0)->set_islearner(false);
    CHECK(history.since(two, Index{5}, Index{5}) == Index{5});
    history.apply(Index{6}, command::MEMBER_REMOVE, info);
    CHECK(history.since(one, Index{6}, Index{6}) == Index{6});
    CHECK(history.since(one, Index{2}, Index{9}) == Index{1});  // and again from 6 on
    // The time before there were any is over with the first that was heard.
    const etcdserverpb::MemberListResponse none;
    CHECK(history.since(none, Index{}, Index{9}) == Index{});
    CHECK(!history.since(none, Index{1}, Index{9}));
}

}  // namespace
}  // namespace cairn::sim
