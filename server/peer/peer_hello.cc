#include "server/peer/peer_hello.h"

#include <fmt/format.h>

#include "proto/cairn/peer.pb.h"

namespace cairn::server::peer {
namespace {

template <class Proto>
Result<Proto> parse(ByteView bytes, std::size_t bytes_max, const char* what) {
    Proto parsed;
    if (bytes.size() > bytes_max ||
        !parsed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return Error{Errc::kMalformed,
                     fmt::format("{} of {} bytes does not parse", what, bytes.size())};
    }
    return parsed;
}

}  // namespace

std::string encode_hello(const Hello& hello) {
    ::cairn::peer::Hello encoded;
    encoded.set_protocol(hello.protocol);
    encoded.set_cluster_id(hello.cluster.value);
    encoded.set_from(hello.from.value);
    encoded.set_to(hello.to.value);
    encoded.set_version(hello.version);
    encoded.set_lane(hello.lane);
    encoded.set_ask_members(hello.ask_members);
    encoded.set_newest_command(hello.newest_command);
    encoded.mutable_peer_urls()->Assign(hello.peer_urls.begin(), hello.peer_urls.end());
    if (encoded.ByteSizeLong() > kHelloBytesMax) {
        encoded.clear_peer_urls();
    }
    return encoded.SerializeAsString();
}

Result<Hello> decode_hello(ByteView bytes) {
    CAIRN_TRY(const auto encoded, parse<::cairn::peer::Hello>(bytes, kHelloBytesMax, "peer hello"));
    return Hello{encoded.protocol(),
                 ClusterId{encoded.cluster_id()},
                 NodeId{encoded.from()},
                 NodeId{encoded.to()},
                 encoded.version(),
                 encoded.lane(),
                 {encoded.peer_urls().begin(), encoded.peer_urls().end()},
                 encoded.ask_members(),
                 encoded.newest_command()};
}

std::string encode_hello_reply(const HelloReply& reply) {
    ::cairn::peer::HelloReply encoded;
    encoded.set_accepted(reply.accepted);
    encoded.set_reason(reply.reason);
    encoded.set_protocol(reply.protocol);
    encoded.set_cluster_id(reply.cluster.value);
    encoded.set_from(reply.from.value);
    encoded.set_removed(reply.removed);
    encoded.mutable_members()->Assign(reply.members.begin(), reply.members.end());
    encoded.set_applied_index(reply.applied_index.value);
    return encoded.SerializeAsString();
}

Result<HelloReply> decode_hello_reply(ByteView bytes, std::size_t bytes_max) {
    CAIRN_TRY(const auto encoded,
              parse<::cairn::peer::HelloReply>(bytes, bytes_max, "peer hello reply"));
    return HelloReply{encoded.accepted(),
                      encoded.reason(),
                      encoded.protocol(),
                      ClusterId{encoded.cluster_id()},
                      NodeId{encoded.from()},
                      encoded.removed(),
                      {encoded.members().begin(), encoded.members().end()},
                      Index{encoded.applied_index()}};
}

Result<void> check_hello(const Hello& hello, ClusterId cluster, NodeId self, Standing standing) {
    if (hello.protocol != kPeerProtocol && hello.protocol != kLaneProtocol) {
        return Error{Errc::kProtocol, fmt::format("peer protocol {}, this member speaks {} and {}",
                                                  hello.protocol, kPeerProtocol, kLaneProtocol)};
    }
    if (hello.lane > static_cast<std::uint32_t>(Lane::kSnapshots) ||
        hello.protocol != protocol_of(static_cast<Lane>(hello.lane))) {
        return Error{Errc::kProtocol, fmt::format("peer protocol {} has no lane {} here",
                                                  hello.protocol, hello.lane)};
    }
    if (hello.cluster != cluster) {
        return Error{Errc::kClusterIdMismatch,
                     fmt::format("cluster id {:x} of the peer is not this cluster's {:x}",
                                 hello.cluster.value, cluster.value)};
    }
    if (hello.to != self) {
        return Error{Errc::kProtocol, fmt::format("the peer wants member {:x}, this is {:x}",
                                                  hello.to.value, self.value)};
    }
    if (standing == Standing::kRemoved) {
        return Error{Errc::kMemberNotFound,
                     fmt::format("{:x} was removed from the cluster", hello.from.value)};
    }
    if (standing == Standing::kStranger || hello.from == self) {
        return Error{Errc::kProtocol,
                     fmt::format("{:x} is not another member of this cluster", hello.from.value)};
    }
    return ok();
}

Result<void> check_hello_reply(const HelloReply& reply, ClusterId cluster, NodeId peer) {
    // Only its own cluster can throw a member out, and who is not even the one that was dialled
    // knows nothing of it.
    if (reply.removed && reply.cluster == cluster && reply.from == peer) {
        return Error{Errc::kMemberNotFound, "refused: " + reply.reason};
    }
    if (!reply.accepted) {
        return Error{Errc::kProtocol, "refused: " + reply.reason};
    }
    if (reply.cluster != cluster) {
        return Error{Errc::kClusterIdMismatch,
                     fmt::format("a member of cluster {:x} answers, this is cluster {:x}",
                                 reply.cluster.value, cluster.value)};
    }
    if (reply.from != peer) {
        return Error{Errc::kProtocol, fmt::format("member {:x} answers, {:x} was dialled",
                                                  reply.from.value, peer.value)};
    }
    return ok();
}

}  // namespace cairn::server::peer
