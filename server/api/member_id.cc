#include "server/api/member_id.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <openssl/evp.h>

#include "base/assert.h"

namespace cairn::server {
namespace {

// The first eight bytes of the SHA-1 of `text`, as a big-endian number.
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

}  // namespace

NodeId derive_member_id(std::vector<std::string> peer_urls, std::string_view salt) {
    std::sort(peer_urls.begin(), peer_urls.end());
    std::string text;
    for (const std::string& url : peer_urls) {
        text += url;
    }
    text += salt;
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

}  // namespace cairn::server
