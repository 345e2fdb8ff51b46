#include "storage/member_store.h"

#include <functional>
#include <string>
#include <utility>

#include "base/assert.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "storage/coding.h"
#include "storage/command.h"
#include "storage/schema.h"

namespace cairn::storage {
namespace {

Result<command::MemberInfo> parse(ByteView bytes) {
    command::MemberInfo info;
    if (!info.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return Error(Errc::kCorrupt, "engine: bad member record");
    }
    return info;
}

void put_member(mvcc::Overlay& overlay, const command::MemberInfo& info) {
    overlay.put(ColumnFamily::kMembers, schema::member_key(NodeId{info.id()}),
                info.SerializeAsString());
}

Result<command::MemberInfo> stored_member(const EngineReader& reader, NodeId id) {
    CAIRN_TRY(const auto stored, reader.get(ColumnFamily::kMembers, schema::member_key(id)));
    if (!stored) {
        return Errc::kMemberNotFound;
    }
    return parse(*stored);
}

std::string removed_key(NodeId id) {
    std::string key(schema::kMetaRemovedPrefix);
    append_u64_be(key, id.value);
    return key;
}

etcdserverpb::Member to_api_member(const command::MemberInfo& info) {
    etcdserverpb::Member member;
    member.set_id(info.id());
    member.set_name(info.name());
    *member.mutable_peerurls() = info.peer_urls();
    *member.mutable_clienturls() = info.client_urls();
    member.set_islearner(info.is_learner());
    return member;
}

// Every answer to a change lists the members as they are behind it.
template <class Response>
Result<void> answer(
    mvcc::Overlay& overlay, std::string& body,
    const std::function<void(Response&)>& fill = [](Response&) {}) {
    Response response;
    fill(response);
    CAIRN_TRY(const auto members, list_members(overlay));
    for (const command::MemberInfo& info : members) {
        *response.add_members() = to_api_member(info);
    }
    response.AppendToString(&body);
    return ok();
}

}  // namespace

Result<std::vector<command::MemberInfo>> list_members(const EngineReader& reader) {
    std::vector<command::MemberInfo> members;
    auto it = reader.iterate(ColumnFamily::kMembers, {}, {});
    for (; it->valid(); it->next()) {
        CAIRN_TRY(auto info, parse(it->value()));
        members.push_back(std::move(info));
    }
    CAIRN_TRY(it->status());
    return members;
}

Result<std::optional<command::MemberInfo>> member_of(const raft::ConfChange& change) {
    Bytes bytes = change.context;
    switch (change.kind) {
        case raft::ConfChangeKind::kBootstrapVoter: break;
        case raft::ConfChangeKind::kAddVoter:
        case raft::ConfChangeKind::kAddLearner: {
            CAIRN_TRY(const Command command, decode_command(change.context));
            if (command.kind != command::MEMBER_ADD) {
                return std::optional<command::MemberInfo>();  // a promotion
            }
            bytes = command.request;
            break;
        }
        case raft::ConfChangeKind::kRemove:
        case raft::ConfChangeKind::kUpdate:
        case raft::ConfChangeKind::kLeaveJoint: return std::optional<command::MemberInfo>();
    }
    command::MemberInfo info;
    if (!info.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return Error(Errc::kMalformed, "configuration entry: its member does not parse");
    }
    // The entry's own word is the one the core counts by.
    info.set_id(change.node.value);
    return std::optional(std::move(info));
}

Result<std::vector<NodeId>> list_removed_members(const EngineReader& reader) {
    std::vector<NodeId> removed;
    std::string upper(schema::kMetaRemovedPrefix);
    ++upper.back();
    auto it = reader.iterate(ColumnFamily::kMeta, schema::kMetaRemovedPrefix, upper);
    for (; it->valid(); it->next()) {
        ByteView key = it->key();
        key.remove_prefix(schema::kMetaRemovedPrefix.size());
        NodeId id;
        if (!take_u64_be(key, id.value) || !key.empty()) {
            return Error(Errc::kCorrupt, "engine: bad key of a removed member");
        }
        removed.push_back(id);
    }
    CAIRN_TRY(it->status());
    return removed;
}

Result<std::shared_ptr<const Membership>> load_membership(const EngineReader& reader) {
    auto membership = std::make_shared<Membership>();
    CAIRN_TRY(membership->members, list_members(reader));
    CAIRN_TRY(membership->removed, list_removed_members(reader));
    return std::shared_ptr<const Membership>(std::move(membership));
}

Result<void> apply_bootstrap_member(mvcc::Overlay& overlay, const raft::ConfChange& change) {
    CAIRN_TRY(auto info, member_of(change));
    info->set_is_learner(false);
    put_member(overlay, *info);
    return ok();
}

Result<void> apply_member_change(mvcc::Overlay& overlay, command::CommandKind kind,
                                 const command::MemberInfo& info, std::string& body) {
    if (kind == command::MEMBER_ADD) {
        put_member(overlay, info);
        overlay.remove(ColumnFamily::kMeta, removed_key(NodeId{info.id()}));
        return answer<etcdserverpb::MemberAddResponse>(
            overlay, body, [&](etcdserverpb::MemberAddResponse& response) {
                *response.mutable_member() = to_api_member(info);
            });
    }
    CAIRN_TRY(command::MemberInfo member, stored_member(overlay, NodeId{info.id()}));
    if (kind == command::MEMBER_REMOVE) {
        overlay.remove(ColumnFamily::kMembers, schema::member_key(NodeId{info.id()}));
        overlay.put(ColumnFamily::kMeta, removed_key(NodeId{info.id()}), {});
        return answer<etcdserverpb::MemberRemoveResponse>(overlay, body);
    }
    if (kind == command::MEMBER_PROMOTE) {
        member.set_is_learner(false);
        put_member(overlay, member);
        return answer<etcdserverpb::MemberPromoteResponse>(overlay, body);
    }
    CAIRN_ASSERT(kind == command::MEMBER_UPDATE);
    *member.mutable_peer_urls() = info.peer_urls();
    put_member(overlay, member);
    return answer<etcdserverpb::MemberUpdateResponse>(overlay, body);
}

Result<void> apply_member_attributes(mvcc::Overlay& overlay, const command::MemberInfo& info) {
    CAIRN_TRY(auto member, stored_member(overlay, NodeId{info.id()}));
    member.set_name(info.name());
    *member.mutable_client_urls() = info.client_urls();
    put_member(overlay, member);
    return ok();
}

}  // namespace cairn::storage
