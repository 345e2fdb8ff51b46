#include "server/bootstrap.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/bytes.h"
#include "proto/cairn/command.pb.h"
#include "server/api/member_id.h"

namespace cairn::server {
namespace {

// As in etcd, whoever is named at the beginning counts as started from then on.
Bytes member_context(NodeId id, const InitialMember& member) {
    command::MemberInfo info;
    info.set_id(id.value);
    info.set_name(member.name);
    for (const std::string& url : member.peer_urls) {
        info.add_peer_urls(url);
    }
    return Bytes::copy_of(info.SerializeAsString());
}

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& texts) {
    return fmt::format("[{}]", fmt::join(texts, " "));
}

// As etcd prints it.
std::string describe(const RunningCluster& running) {
    std::vector<std::string> members;
    for (const command::MemberInfo& member : running.members) {
        members.push_back(
            fmt::format("&{{ID:{:x} RaftAttributes:{{PeerURLs:{} IsLearner:{}}} "
                        "Attributes:{{Name:{} ClientURLs:{}}}}}",
                        member.id(), joined(member.peer_urls()), member.is_learner(), member.name(),
                        joined(member.client_urls())));
    }
    return fmt::format("{{ClusterID:{:x} Members:[{}] RemovedMemberIDs:[]}}", running.cluster.value,
                       fmt::join(members, " "));
}

// Members say where clients reach them as soon as they have started.
Result<void> check_is_new(const command::MemberInfo& member) {
    if (!member.client_urls().empty()) {
        return Error{Errc::kInvalidConfig,
                     fmt::format("member {:x} has already been bootstrapped, and its data is not "
                                 "here: remove it from the cluster, add it anew, and start that "
                                 "one with an empty data directory",
                                 member.id())};
    }
    return ok();
}

}  // namespace

Result<void> check_unstarted(const ServerConfig& config, const Bootstrap& plan,
                             const RunningCluster& running) {
    for (const command::MemberInfo& member : running.members) {
        const std::vector<std::string> urls(member.peer_urls().begin(), member.peer_urls().end());
        if (NodeId{member.id()} == plan.self ||
            same_urls(config.initial_advertise_peer_urls, urls)) {
            CAIRN_TRY(check_is_new(member));
        }
    }
    return ok();
}

Result<NodeId> plan_join(const ServerConfig& config, const RunningCluster& running) {
    const auto invalid = [&](const std::string& why) {
        return Error{Errc::kInvalidConfig,
                     fmt::format("error validating peerURLs {}: {}", describe(running), why)};
    };
    if (running.members.size() != config.initial_cluster.size()) {
        return invalid("member count is unequal");
    }
    const command::MemberInfo* self = nullptr;
    for (const command::MemberInfo& member : running.members) {
        const std::vector<std::string> urls(member.peer_urls().begin(), member.peer_urls().end());
        const auto found = std::find_if(
            config.initial_cluster.begin(), config.initial_cluster.end(),
            [&](const InitialMember& named) { return same_urls(named.peer_urls, urls); });
        if (found == config.initial_cluster.end()) {
            return invalid(
                fmt::format("PeerURLs: no match found for existing member ({:x}, {}), last "
                            "resolver error ({})",
                            member.id(), joined(member.peer_urls()),
                            url_difference(urls, config.initial_cluster.back().peer_urls)));
        }
        if (found->name == config.name) {
            self = &member;
        }
    }
    if (self == nullptr) {
        return invalid(fmt::format("no member has the URLs of {}", config.name));
    }
    CAIRN_TRY(check_is_new(*self));
    return NodeId{self->id()};
}

Result<Bootstrap> plan_bootstrap(const ServerConfig& config) {
    if (config.initial_error) {
        return *config.initial_error;
    }
    Bootstrap plan;
    std::vector<NodeId> ids;
    for (const InitialMember& member : config.initial_cluster) {
        const NodeId id = derive_member_id(member.peer_urls, config.initial_cluster_token);
        if (member.name == config.name) {
            plan.self = id;
        }
        ids.push_back(id);
        plan.members.push_back({id, member_context(id, member)});
    }
    plan.cluster = derive_cluster_id(std::move(ids));
    std::sort(
        plan.members.begin(), plan.members.end(),
        [](const raft::BootstrapMember& a, const raft::BootstrapMember& b) { return a.id < b.id; });
    return plan;
}

}  // namespace cairn::server
