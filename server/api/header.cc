#include "server/api/header.h"

#include <array>
#include <cstddef>
#include <string_view>

#include "base/mutant.h"

namespace cairn::server::api {

namespace {

// Wire type 0 (varint) fields 1..4 of ResponseHeader, and its own place in every reply.
constexpr char kClusterIdTag = 0x08;
constexpr char kMemberIdTag = 0x10;
constexpr char kRevisionTag = 0x18;
constexpr char kRaftTermTag = 0x20;
constexpr char kHeaderTag = 0x0a;

constexpr std::size_t kVarintBytesMax = 10;
constexpr std::size_t kHeaderBytesMax = 2 + 4 * (1 + kVarintBytesMax);
static_assert(kHeaderBytesMax - 2 < 0x80, "the header's length takes one byte");

class HeaderWriter {
  public:
    explicit HeaderWriter(const HeaderFields& fields) {
        add(kClusterIdTag, fields.identity.cluster.value);
        add(kMemberIdTag, fields.identity.member.value);
        add(kRevisionTag, static_cast<std::uint64_t>(fields.revision));
        add(kRaftTermTag, fields.term.value);
        bytes_[0] = kHeaderTag;
        bytes_[1] = static_cast<char>(size_ - 2);
    }

    [[nodiscard]] ByteView view() const { return {bytes_.data(), size_}; }

  private:
    // A zero is left out, as proto3 does.
    void add(char tag, std::uint64_t value) {
        if (value == 0) {
            return;
        }
        bytes_[size_++] = tag;
        for (; value >= 0x80 + (CAIRN_MUTANT(api_varint_bound) ? 1U : 0U); value >>= 7U) {
            bytes_[size_++] = static_cast<char>((value & 0x7fU) | 0x80U);
        }
        bytes_[size_++] = static_cast<char>(value);
    }

    std::array<char, kHeaderBytesMax> bytes_{};
    std::size_t size_ = 2;  // tag and length come first
};

}  // namespace

void append_header(const HeaderFields& fields, std::string& reply) {
    reply += HeaderWriter(fields).view();
}

Bytes with_header(const HeaderFields& fields, ByteView body) {
    return Bytes::concat(HeaderWriter(fields).view(), body);
}

}  // namespace cairn::server::api
