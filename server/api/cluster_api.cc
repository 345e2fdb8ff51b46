#include "server/api/cluster_api.h"

#include <algorithm>
#include <vector>

#include "base/url.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "server/api/member_id.h"

namespace cairn::server::api {

namespace {

using PeerUrls = google::protobuf::RepeatedPtrField<std::string>;

// Of one member: they stand in a log entry, and in what every member tells of the others.
constexpr int kPeerUrlsMax = 16;
constexpr std::size_t kPeerUrlBytesMax = 4096;  // together

// As etcd takes them: at least one, sorted. What cairn's members cannot dial would cost a quorum.
Result<std::vector<std::string>> validate_peer_urls(const PeerUrls& urls) {
    std::vector<std::string> texts;
    std::size_t bytes = 0;
    for (const std::string& text : urls) {
        bytes += text.size();
        if (bytes > kPeerUrlBytesMax) {
            return Errc::kMemberBadUrls;
        }
        const auto url = parse_url(text);
        if (url.has_error() || url.value().scheme != "http") {
            return Errc::kMemberBadUrls;
        }
        texts.push_back(url.value().text);
    }
    if (texts.empty() || urls.size() > kPeerUrlsMax) {
        return Errc::kMemberBadUrls;
    }
    std::sort(texts.begin(), texts.end());
    return texts;
}

Intent propose(command::CommandKind kind, const command::MemberInfo& info) {
    return Propose{.kind = kind, .request = Bytes::copy_of(info.SerializeAsString())};
}

// The id of no member; a configuration entry cannot name it.
Result<void> validate_id(std::uint64_t id) {
    if (id == 0) {
        return Errc::kMemberNotFound;
    }
    return ok();
}

}  // namespace

Result<Intent> on_member_list(const Call& call, const CallContext& context) {
    etcdserverpb::MemberListRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    return Intent{Read{.kind = ReadKind::kMemberList,
                       .linearizable = request.linearizable(),
                       .point = true,
                       .request = call.request}};
}

Result<Intent> on_member_add(const Call& call, const CallContext& context) {
    etcdserverpb::MemberAddRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(const auto urls, validate_peer_urls(request.peerurls()));
    command::MemberInfo info;
    // etcd takes seconds, and refuses who was removed and added again within one.
    info.set_id(derive_member_id(urls, std::to_string(call.unix_nanos)).value);
    info.mutable_peer_urls()->Assign(urls.begin(), urls.end());
    info.set_is_learner(request.islearner());
    return propose(command::MEMBER_ADD, info);
}

Result<Intent> on_member_remove(const Call& call, const CallContext& context) {
    etcdserverpb::MemberRemoveRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_id(request.id()));
    command::MemberInfo info;
    info.set_id(request.id());
    return propose(command::MEMBER_REMOVE, info);
}

Result<Intent> on_member_update(const Call& call, const CallContext& context) {
    etcdserverpb::MemberUpdateRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_id(request.id()));
    CAIRN_TRY(const auto urls, validate_peer_urls(request.peerurls()));
    command::MemberInfo info;
    info.set_id(request.id());
    info.mutable_peer_urls()->Assign(urls.begin(), urls.end());
    return propose(command::MEMBER_UPDATE, info);
}

Result<Intent> on_member_promote(const Call& call, const CallContext& context) {
    etcdserverpb::MemberPromoteRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_id(request.id()));
    command::MemberInfo info;
    info.set_id(request.id());
    return propose(command::MEMBER_PROMOTE, info);
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
