// The first words of a peer connection: who speaks, of which cluster, in which protocol.
// Pure functions; any thread. Never lets a member of another cluster past.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace cairn::server::peer {

// A greeting is at most this long: a stranger must not make us buffer more.
inline constexpr std::size_t kHelloBytesMax = 1024;
inline constexpr std::uint32_t kPeerProtocol = 1;
// What a connection is for. The values go between members: append only.
enum class Lane : std::uint8_t {
    kMessages = 0,
    kSnapshots = 1,  // a member of protocol 1 would take it for the first: so it greets with 2
};
inline constexpr std::uint32_t kLaneProtocol = 2;
constexpr std::uint32_t protocol_of(Lane lane) {
    return lane == Lane::kMessages ? kPeerProtocol : kLaneProtocol;
}

struct Hello {
    std::uint32_t protocol = kPeerProtocol;
    ClusterId cluster;
    NodeId from;
    NodeId to;
    std::string version;  // of the program; for log lines only
    std::uint32_t lane{};

    bool operator==(const Hello&) const = default;
};

struct HelloReply {
    bool accepted = false;
    std::string reason;  // for people; empty when accepted
    std::uint32_t protocol = kPeerProtocol;
    ClusterId cluster;
    NodeId from;

    bool operator==(const HelloReply&) const = default;
};

std::string encode_hello(const Hello& hello);
Result<Hello> decode_hello(ByteView bytes);
std::string encode_hello_reply(const HelloReply& reply);
Result<HelloReply> decode_hello_reply(ByteView bytes);

// Whether `hello` may talk to member `self` of `cluster`, on a Lane; else kProtocol or
// kClusterIdMismatch with a reason that names both sides. `known` says whether its sender is a
// member.
Result<void> check_hello(const Hello& hello, ClusterId cluster, NodeId self, bool known);
// Whether `reply` lets us talk to member `peer` of `cluster`, the one that was dialled; else
// kProtocol or kClusterIdMismatch with a reason.
Result<void> check_hello_reply(const HelloReply& reply, ClusterId cluster, NodeId peer);

}  // namespace cairn::server::peer
