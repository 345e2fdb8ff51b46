#include "storage/command.h"

#include <algorithm>

#include "base/assert.h"
#include "storage/coding.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kIdOffset = 2;  // behind version and kind
constexpr std::size_t kUserBytesMax = 65535;
// Version, kind, id, term, auth revision and the user's length.
constexpr std::size_t kFixedBytes = kIdOffset + 3 * 8 + 8 + 8 + 2;
// What stands before the request in a bounded one.
constexpr std::size_t kBoundBytes = 8 + 1;

// At the front of `in`, which has two bytes.
std::size_t u16_be(ByteView in) {
    return (static_cast<std::size_t>(static_cast<unsigned char>(in[0])) << 8U) |
           static_cast<unsigned char>(in[1]);
}

// Writes one thing behind the other into a buffer that has room for all.
class Writer {
  public:
    explicit Writer(char* out) : out_(out) {}

    void u8(std::uint64_t value) { *out_++ = static_cast<char>(value); }
    void u64_be(std::uint64_t value) {
        for (unsigned shift = 64; shift > 0; shift -= 8) {
            u8(value >> (shift - 8));
        }
    }
    void bytes(ByteView view) { out_ = std::copy(view.begin(), view.end(), out_); }

  private:
    char* out_;
};

bool take_id(ByteView& in, ProposalId& id) {
    return take_u64_be(in, id.member.value) && take_u64_be(in, id.boot) &&
           take_u64_be(in, id.sequence);
}

}  // namespace

Bytes encode_command(const Command& command) {
    CAIRN_ASSERT(command.kind != command::UNKNOWN && command.user.size() <= kUserBytesMax);
    const ByteView request = command.request.view();
    // One buffer, written once: this is what a put costs in allocations.
    return Bytes::build(kFixedBytes + command.user.size() + request.size(), [&](char* out) {
        Writer writer(out);
        writer.u8(kCommandVersion);
        writer.u8(static_cast<std::uint64_t>(command.kind));
        writer.u64_be(command.id.member.value);
        writer.u64_be(command.id.boot);
        writer.u64_be(command.id.sequence);
        writer.u64_be(command.decided_in.value);
        writer.u64_be(command.auth_revision);
        writer.u8(command.user.size() >> 8U);
        writer.u8(command.user.size());
        writer.bytes(command.user);
        writer.bytes(request);
    });
}

Bytes encode_bounded(const BoundedRequest& bounded) {
    return Bytes::build(kBoundBytes + bounded.request.size(), [&](char* out) {
        Writer writer(out);
        writer.u64_be(bounded.answer_bytes_max);
        writer.u8(static_cast<std::uint64_t>(bounded.kind));
        writer.bytes(bounded.request);
    });
}

Result<BoundedRequest> decode_bounded(ByteView bytes) {
    BoundedRequest bounded;
    if (bytes.size() < kBoundBytes || !take_u64_be(bytes, bounded.answer_bytes_max)) {
        return Errc::kMalformedRequest;
    }
    bounded.kind = static_cast<command::CommandKind>(static_cast<unsigned char>(bytes[0]));
    bounded.request = bytes.substr(1);
    if (bounded.kind != command::PUT && bounded.kind != command::DELETE_RANGE &&
        bounded.kind != command::TXN) {
        return Errc::kMalformedRequest;
    }
    return bounded;
}

bool is_member_change(command::CommandKind kind) {
    return kind == command::MEMBER_ADD || kind == command::MEMBER_REMOVE ||
           kind == command::MEMBER_UPDATE || kind == command::MEMBER_PROMOTE;
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
    const std::size_t user_bytes = u16_be(in);
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

std::uint64_t answer_bytes_max(ByteView payload) {
    if (payload.size() < kFixedBytes ||
        static_cast<unsigned char>(payload[1]) != static_cast<unsigned>(command::BOUNDED)) {
        return 0;
    }
    payload.remove_prefix(kFixedBytes - 2);
    const std::size_t user_bytes = u16_be(payload);
    payload.remove_prefix(2);
    std::uint64_t most = 0;
    if (payload.size() < user_bytes) {
        return 0;
    }
    payload.remove_prefix(user_bytes);
    return take_u64_be(payload, most) ? most : 0;
}

}  // namespace cairn::storage
