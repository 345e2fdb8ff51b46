#include "server/bootstrap.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "proto/cairn/command.pb.h"

namespace cairn::server {
namespace {

// The first eight bytes of the SHA-1 of `text`, as a big-endian number. Not for security: etcd
// chose it, and the ids must be etcd's.
std::uint64_t id_of(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    const int done =
        EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
    CAIRN_ASSERT(done == 1 && size >= 8);
    std::uint64_t id = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        id = id << 8U | digest[i];
    }
    return id;
}

Bytes member_context(NodeId id, const std::vector<std::string>& peer_urls) {
    command::MemberInfo info;
    info.set_id(id.value);
    for (const std::string& url : peer_urls) {
        info.add_peer_urls(url);
    }
    return Bytes::copy_of(info.SerializeAsString());
}

}  // namespace

NodeId derive_member_id(std::vector<std::string> peer_urls, std::string_view token) {
    std::sort(peer_urls.begin(), peer_urls.end());
    std::string text;
    for (const std::string& url : peer_urls) {
        text += url;
    }
    text += token;
    return NodeId{id_of(text)};
}

ClusterId derive_cluster_id(std::vector<NodeId> members) {
    std::sort(members.begin(), members.end());
    std::string text;
    for (const NodeId member : members) {
        for (int shift = 56; shift >= 0; shift -= 8) {
            text += static_cast<char>(member.value >> static_cast<unsigned>(shift) & 0xFFU);
        }
    }
    return ClusterId{id_of(text)};
}

Result<Bootstrap> plan_bootstrap(const ServerConfig& config) {
    if (config.initial_error) {
        return *config.initial_error;
    }
    if (config.initial_cluster_state == ClusterState::kExisting) {
        return Error(Errc::kInvalidConfig,
                     fmt::format("--initial-cluster-state=existing, but there is no data in {}: "
                                 "joining a running cluster is not supported yet",
                                 config.data_dir));
    }
    Bootstrap plan;
    std::vector<NodeId> ids;
    for (const InitialMember& member : config.initial_cluster) {
        const NodeId id = derive_member_id(member.peer_urls, config.initial_cluster_token);
        if (member.name == config.name) {
            plan.self = id;
        }
        ids.push_back(id);
        plan.members.push_back({id, member_context(id, member.peer_urls)});
    }
    plan.cluster = derive_cluster_id(std::move(ids));
    std::sort(
        plan.members.begin(), plan.members.end(),
        [](const raft::BootstrapMember& a, const raft::BootstrapMember& b) { return a.id < b.id; });
    return plan;
}

}  // namespace cairn::server
