#include "storage/member_store.h"

#include <string>
#include <utility>

#include "raft/conf_change.h"
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

Result<void> apply_member_change(mvcc::Overlay& overlay, const Bytes& payload) {
    CAIRN_TRY(const raft::ConfChange change, raft::decode_conf_change(payload));
    command::MemberInfo info;
    const ByteView context = change.context.view();
    if (!info.ParseFromArray(context.data(), static_cast<int>(context.size()))) {
        return Error(Errc::kMalformed, "configuration entry: its member does not parse");
    }
    // The entry's own word is the one the core counts by.
    info.set_id(change.node.value);
    switch (change.kind) {
        case raft::ConfChangeKind::kAddVoter: info.set_is_learner(false); break;
    }
    put_member(overlay, info);
    return ok();
}

Result<void> apply_member_attributes(mvcc::Overlay& overlay, const command::MemberInfo& info) {
    CAIRN_TRY(const auto stored,
              overlay.get(ColumnFamily::kMembers, schema::member_key(NodeId{info.id()})));
    if (!stored) {
        return Errc::kMemberNotFound;
    }
    CAIRN_TRY(auto member, parse(*stored));
    member.set_name(info.name());
    *member.mutable_client_urls() = info.client_urls();
    put_member(overlay, member);
    return ok();
}

}  // namespace cairn::storage
