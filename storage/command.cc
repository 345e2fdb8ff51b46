#include "storage/command.h"

#include <algorithm>

#include "base/assert.h"
#include "storage/coding.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kIdOffset = 2;  // behind version and kind
constexpr std::size_t kUserBytesMax = 65535;

bool take_id(ByteView& in, ProposalId& id) {
    return take_u64_be(in, id.member.value) && take_u64_be(in, id.boot) &&
           take_u64_be(in, id.sequence);
}

}  // namespace

Bytes encode_command(const Command& command) {
    CAIRN_ASSERT(command.kind != command::UNKNOWN && command.user.size() <= kUserBytesMax);
    std::string head;
    head.reserve(44 + command.user.size());
    head.push_back(static_cast<char>(kCommandVersion));
    head.push_back(static_cast<char>(command.kind));
    append_u64_be(head, command.id.member.value);
    append_u64_be(head, command.id.boot);
    append_u64_be(head, command.id.sequence);
    append_u64_be(head, command.decided_in.value);
    append_u64_be(head, command.auth_revision);
    head.push_back(static_cast<char>(command.user.size() >> 8U));
    head.push_back(static_cast<char>(command.user.size()));
    head += command.user;
    return Bytes::concat(head, command.request.view());
}

Result<Command> decode_command(const Bytes& payload) {
    ByteView in = payload.view();
    if (in.size() < kIdOffset) {
        return Error(Errc::kMalformed, "command: cut short");
    }
    const auto version = static_cast<unsigned char>(in[0]);
    const auto kind = static_cast<unsigned char>(in[1]);
    if (version != kCommandVersion) {
        return Error(Errc::kUnsupportedVersion, "command of version " + std::to_string(version) +
                                                    ", this build knows " +
                                                    std::to_string(kCommandVersion));
    }
    if (kind == command::UNKNOWN || !command::CommandKind_IsValid(kind)) {
        return Error(Errc::kUnsupportedVersion, "command of unknown kind " + std::to_string(kind));
    }
    Command command;
    command.kind = static_cast<command::CommandKind>(kind);
    in.remove_prefix(kIdOffset);
    if (!take_id(in, command.id) || !take_u64_be(in, command.decided_in.value) ||
        !take_u64_be(in, command.auth_revision) || in.size() < 2) {
        return Error(Errc::kMalformed, "command: cut short");
    }
    const std::size_t user_bytes =
        (static_cast<std::size_t>(static_cast<unsigned char>(in[0])) << 8U) |
        static_cast<unsigned char>(in[1]);
    in.remove_prefix(2);
    if (in.size() < user_bytes) {
        return Error(Errc::kMalformed, "command: cut short");
    }
    command.user = in.substr(0, user_bytes);
    in.remove_prefix(user_bytes);
    command.request = payload.slice(payload.size() - in.size(), in.size());
    return command;
}

Result<ProposalId> decode_command_id(ByteView payload) {
    ProposalId id;
    if (payload.size() < kIdOffset) {
        return Error(Errc::kMalformed, "command: cut short");
    }
    payload.remove_prefix(kIdOffset);
    if (!take_id(payload, id)) {
        return Error(Errc::kMalformed, "command: cut short");
    }
    return id;
}

}  // namespace cairn::storage
