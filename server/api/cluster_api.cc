#include "server/api/cluster_api.h"

#include "proto/etcd/rpc_cluster.pb.h"

namespace cairn::server::api {

Result<Intent> on_member_list(const Call& call, const CallContext& context) {
    etcdserverpb::MemberListRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    return Intent{Read{.kind = ReadKind::kMemberList,
                       .linearizable = request.linearizable(),
                       .point = true,
                       .request = call.request}};
}

void append_member_list(std::span<const command::MemberInfo> members, std::string& reply) {
    etcdserverpb::MemberListResponse response;
    for (const command::MemberInfo& info : members) {
        etcdserverpb::Member& member = *response.add_members();
        member.set_id(info.id());
        member.set_name(info.name());
        *member.mutable_peerurls() = info.peer_urls();
        *member.mutable_clienturls() = info.client_urls();
        member.set_islearner(info.is_learner());
    }
    response.AppendToString(&reply);
}

}  // namespace cairn::server::api
