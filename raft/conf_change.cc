#include "raft/conf_change.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace cairn::raft {

namespace {

// conf-change := version kind node context            (docs/formats/conf_change.md)
//   version: one byte, 1.  kind: one byte, ConfChangeKind.
//   node: the member id, 8 bytes, little-endian, not 0.  context: the rest.
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 10;
// What a member says of itself; far below any append limit.
constexpr std::size_t kContextBytesMax = 64U * 1024U;

bool insert_sorted(std::vector<NodeId>& ids, NodeId id) {
    const auto place = std::lower_bound(ids.begin(), ids.end(), id);
    if (place != ids.end() && *place == id) {
        return false;
    }
    ids.insert(place, id);
    return true;
}

bool contains(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

}  // namespace

Bytes encode_conf_change(const ConfChange& change) {
    CAIRN_ASSERT(change.node && change.context.size() <= kContextBytesMax);
    return Bytes::build(kHeaderBytes + change.context.size(), [&](char* out) {
        out[0] = static_cast<char>(kVersion);
        out[1] = static_cast<char>(change.kind);
        for (std::size_t i = 0; i < 8; ++i) {
            out[2 + i] = static_cast<char>((change.node.value >> (8 * i)) & 0xffU);
        }
        if (!change.context.empty()) {
            std::memcpy(out + kHeaderBytes, change.context.data(), change.context.size());
        }
    });
}

Result<ConfChange> decode_conf_change(const Bytes& payload) {
    if (payload.size() < kHeaderBytes) {
        return Error{Errc::kMalformed, "conf change: shorter than its header"};
    }
    if (payload.size() > kHeaderBytes + kContextBytesMax) {
        return Error{Errc::kMalformed, "conf change: the context is too long"};
    }
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(payload.data()[at]); };
    if (byte(0) != kVersion) {
        return Error{Errc::kMalformed, "conf change: unknown version"};
    }
    if (byte(1) != static_cast<std::uint8_t>(ConfChangeKind::kAddVoter)) {
        return Error{Errc::kMalformed, "conf change: unknown kind"};
    }
    ConfChange change;
    for (std::size_t i = 0; i < 8; ++i) {
        change.node.value |= static_cast<std::uint64_t>(byte(2 + i)) << (8 * i);
    }
    if (!change.node) {
        return Error{Errc::kMalformed, "conf change: member id 0"};
    }
    change.context = payload.slice(kHeaderBytes, payload.size() - kHeaderBytes);
    return change;
}

Result<ConfState> apply_conf_change(const ConfState& conf, const ConfChange& change) {
    if (!conf.voters_outgoing.empty()) {
        return Error{Errc::kMalformed, "conf change: the configuration is joint"};
    }
    ConfState next = conf;
    switch (change.kind) {
        case ConfChangeKind::kAddVoter:
            if (contains(conf.learners, change.node) || !insert_sorted(next.voters, change.node)) {
                return Error{Errc::kMalformed, "conf change: the member is already in"};
            }
            break;
    }
    return next;
}

PersistBatch bootstrap_batch(std::vector<BootstrapMember> members) {
    std::sort(members.begin(), members.end(),
              [](const BootstrapMember& a, const BootstrapMember& b) { return a.id < b.id; });
    const Term term{1};
    PersistBatch batch;
    batch.seq = PersistSeq{1};
    batch.hard_state = HardState{.term = term, .vote = {}, .commit = Index{members.size()}};
    batch.entries.reserve(members.size());
    for (BootstrapMember& member : members) {
        CAIRN_ASSERT(batch.entries.empty() || member.id != members[batch.entries.size() - 1].id);
        const ConfChange change{ConfChangeKind::kAddVoter, member.id, std::move(member.context)};
        batch.entries.push_back({.id = {term, Index{batch.entries.size() + 1}},
                                 .kind = EntryKind::kConfig,
                                 .payload = encode_conf_change(change)});
    }
    return batch;
}

}  // namespace cairn::raft
