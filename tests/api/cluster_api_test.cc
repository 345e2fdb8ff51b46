// What is no list of peer URLs that a member could have.
#include "server/api/cluster_api.h"

#include <string>
#include <vector>

#include "catch.h"

#include "proto/etcd/rpc_cluster.pb.h"
#include "server/api/validate.h"
#include "server/replica/view.h"

namespace cairn::server::api {
namespace {

// `count` URLs, all of `bytes` each.
std::vector<std::string> urls_of(std::size_t count, std::size_t bytes) {
    std::vector<std::string> urls;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string port = ":" + std::to_string(10'000 + i);
        const std::string scheme = "http://";
        urls.push_back(scheme + std::string(bytes - scheme.size() - port.size(), 'h') + port);
    }
    return urls;
}

template <class Request>
Result<Intent> ask(Result<Intent> (*handler)(const Call&, const CallContext&), Request request,
                   const std::vector<std::string>& urls) {
    request.mutable_peerurls()->Assign(urls.begin(), urls.end());
    Call call;
    call.request = Bytes::copy_of(request.SerializeAsString());
    NodeView node;
    node.leader = NodeId{1};
    const RequestLimits limits;
    return handler(call, {node, limits});
}

}  // namespace

// They stand in a log entry whose length has a limit.
TEST_CASE("the peer URLs of a member are few and short", "[api][cluster]") {
    const auto refused = [](const std::vector<std::string>& urls) {
        etcdserverpb::MemberUpdateRequest update;
        update.set_id(7);
        const auto added = ask(on_member_add, etcdserverpb::MemberAddRequest(), urls);
        const auto updated = ask(on_member_update, update, urls);
        REQUIRE(added.has_error() == updated.has_error());
        if (added.has_error()) {
            CHECK(added.error().code == Errc::kMemberBadUrls);
            CHECK(updated.error().code == Errc::kMemberBadUrls);
        }
        return added.has_error();
    };
    CHECK_FALSE(refused(urls_of(16, 30)));
    CHECK(refused(urls_of(17, 30)));
    CHECK_FALSE(refused(urls_of(16, 256)));
    CHECK(refused(urls_of(16, 257)));
    CHECK_FALSE(refused(urls_of(1, 4096)));
    CHECK(refused(urls_of(1, 4097)));
    CHECK(refused(urls_of(1, 100'000)));
    CHECK(refused(urls_of(5'000, 30)));
}

}  // namespace cairn::server::api
