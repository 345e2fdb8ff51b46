#include "sim/member_history.h"

#include <cstddef>

namespace cairn::sim {

void MemberHistory::apply(Index index, command::CommandKind kind, const command::MemberInfo& info) {
    if (kind == command::MEMBER_REMOVE) {
        members_.erase(info.id());
    } else {
        etcdserverpb::Member& member = members_[info.id()];
        member.set_id(info.id());
        if (kind == command::MEMBER_PROMOTE) {
            member.set_islearner(false);
        } else {
            *member.mutable_peerurls() = info.peer_urls();
        }
        if (kind == command::MEMBER_ADD) {
            member.set_islearner(info.is_learner());
        }
    }
    etcdserverpb::MemberListResponse all;
    for (const auto& [id, member] : members_) {
        *all.add_members() = member;
    }
    states_.push_back({.since = index, .members = all.SerializeAsString()});
}

std::optional<Index> MemberHistory::since(const etcdserverpb::MemberListResponse& members,
                                          Index first, Index last) const {
    const std::string wanted = members.SerializeAsString();
    for (std::size_t at = 0; at < states_.size() && states_[at].since <= last; ++at) {
        const bool over = at + 1 < states_.size() && states_[at + 1].since <= first;
        if (!over && states_[at].members == wanted) {
            return states_[at].since;
        }
    }
    return std::nullopt;
}

}  // namespace cairn::sim
