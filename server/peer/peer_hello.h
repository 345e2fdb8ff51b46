// The first words of a peer connection: who speaks, of which cluster, in which protocol.
// Pure functions; any thread. Never lets a member of another cluster past.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/cairn/command.pb.h"

namespace cairn::server::peer {

// A greeting is at most this long: a stranger must not make us buffer more.
inline constexpr std::size_t kHelloBytesMax = 1024;
// The answer to who asks for the members.
inline constexpr std::size_t kMembersReplyBytesMax = 256U * 1024U;
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
    std::vector<std::string> peer_urls{};  // of the sender; left out when they do not fit
    bool ask_members = false;
    std::uint32_t newest_command{};  // the newest command::CommandKind that the sender knows

    bool operator==(const Hello&) const = default;
};

struct HelloReply {
    bool accepted = false;
    std::string reason;  // for people; empty when accepted
    std::uint32_t protocol = kPeerProtocol;
    ClusterId cluster;
    NodeId from;
    bool removed = false;                        // the greeter, for good
    std::vector<command::MemberInfo> members{};  // for Hello::ask_members: as applied,
    Index applied_index{};                       // up to here at least
};

std::string encode_hello(const Hello& hello);
Result<Hello> decode_hello(ByteView bytes);
std::string encode_hello_reply(const HelloReply& reply);
Result<HelloReply> decode_hello_reply(ByteView bytes, std::size_t bytes_max = kHelloBytesMax);

// What the receiver of a greeting knows of its sender.
enum class Standing : std::uint8_t {
    kMember,
    kNewcomer,  // not a member that this one knows of, but it can be answered
    kStranger,
    kRemoved,
};

// Whether `hello` may talk to member `self` of `cluster`, on a Lane; else kProtocol,
// kClusterIdMismatch or kMemberNotFound with a reason that names both sides.
Result<void> check_hello(const Hello& hello, ClusterId cluster, NodeId self, Standing standing);
// Whether `reply` lets us talk to member `peer` of `cluster`, the one that was dialled; else
// kProtocol, kClusterIdMismatch or kMemberNotFound with a reason.
Result<void> check_hello_reply(const HelloReply& reply, ClusterId cluster, NodeId peer);

}  // namespace cairn::server::peer
