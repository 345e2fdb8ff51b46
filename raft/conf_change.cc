#include "raft/conf_change.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/mutant.h"

namespace cairn::raft {

namespace {

// conf-change := version kind node context            (docs/formats/conf_change.md)
//   version: one byte, 1.  kind: one byte, ConfChangeKind.
//   node: the member id, 8 bytes, little-endian, 0 for kLeaveJoint alone.  context: the rest.
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

bool erase_sorted(std::vector<NodeId>& ids, NodeId id) {
    const auto place = std::lower_bound(ids.begin(), ids.end(), id);
    if (place == ids.end() || *place != id) {
        return false;
    }
    ids.erase(place);
    return true;
}

bool contains(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

Error senseless(const char* why) { return {Errc::kMalformed, std::string("conf change: ") + why}; }

// The voters are about to change: from now on both sets decide.
void become_joint(ConfState& conf) {
    conf.voters_outgoing = conf.voters;
    conf.auto_leave = true;
}

Result<void> add_voter(ConfState& conf, NodeId node) {
    become_joint(conf);
    if (!insert_sorted(conf.voters, node)) {
        return senseless("the member is a voter already");
    }
    if (!CAIRN_MUTANT(promoted_stays_learner)) {
        erase_sorted(conf.learners, node);
    }
    return ok();
}

Result<void> add_learner(ConfState& conf, NodeId node) {
    if (contains(conf.voters, node) || !insert_sorted(conf.learners, node)) {
        return senseless("the member is already in");
    }
    return ok();
}

Result<void> remove_member(ConfState& conf, NodeId node) {
    if (erase_sorted(conf.learners, node)) {
        return ok();
    }
    become_joint(conf);
    if (!erase_sorted(conf.voters, node)) {
        return senseless("the member is not in");
    }
    if (conf.voters.empty() && !CAIRN_MUTANT(last_voter_removed)) {
        return senseless("it would remove the last voter");
    }
    return ok();
}

Result<void> leave_joint(ConfState& conf) {
    conf.voters_outgoing.clear();
    for (const NodeId node : conf.learners_next) {
        insert_sorted(conf.learners, node);
    }
    conf.learners_next.clear();
    conf.auto_leave = false;
    return ok();
}

Result<void> change_conf(ConfState& conf, const ConfChange& change) {
    const bool joint = !conf.voters_outgoing.empty();
    if (joint != (change.kind == ConfChangeKind::kLeaveJoint)) {
        return senseless(joint ? "the configuration is joint" : "the configuration is not joint");
    }
    switch (change.kind) {
        case ConfChangeKind::kBootstrapVoter:
            if (contains(conf.learners, change.node) || !insert_sorted(conf.voters, change.node)) {
                return senseless("the member is already in");
            }
            return ok();
        case ConfChangeKind::kAddVoter: return add_voter(conf, change.node);
        case ConfChangeKind::kAddLearner: return add_learner(conf, change.node);
        case ConfChangeKind::kRemove: return remove_member(conf, change.node);
        case ConfChangeKind::kUpdate:
            if (!contains(conf.voters, change.node) && !contains(conf.learners, change.node)) {
                return senseless("the member is not in");
            }
            return ok();
        case ConfChangeKind::kLeaveJoint: return leave_joint(conf);
    }
    return senseless("unknown kind");
}

}  // namespace

Bytes encode_conf_change(const ConfChange& change) {
    CAIRN_ASSERT(static_cast<bool>(change.node) == (change.kind != ConfChangeKind::kLeaveJoint));
    CAIRN_ASSERT(change.context.size() <= kContextBytesMax);
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
    if (byte(1) < static_cast<std::uint8_t>(ConfChangeKind::kBootstrapVoter) ||
        byte(1) > static_cast<std::uint8_t>(ConfChangeKind::kLeaveJoint)) {
        return Error{Errc::kMalformed, "conf change: unknown kind"};
    }
    ConfChange change;
    change.kind = static_cast<ConfChangeKind>(byte(1));
    for (std::size_t i = 0; i < 8; ++i) {
        change.node.value |= static_cast<std::uint64_t>(byte(2 + i)) << (8 * i);
    }
    if (static_cast<bool>(change.node) != (change.kind != ConfChangeKind::kLeaveJoint)) {
        return Error{Errc::kMalformed, change.node ? "conf change: a member id where none belongs"
                                                   : "conf change: member id 0"};
    }
    change.context = payload.slice(kHeaderBytes, payload.size() - kHeaderBytes);
    return change;
}

Result<ConfState> apply_conf_change(const ConfState& conf, const ConfChange& change) {
    ConfState next = conf;
    CAIRN_TRY(change_conf(next, change));
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
        const ConfChange change{ConfChangeKind::kBootstrapVoter, member.id,
                                std::move(member.context)};
        batch.entries.push_back({.id = {term, Index{batch.entries.size() + 1}},
                                 .kind = EntryKind::kConfig,
                                 .payload = encode_conf_change(change)});
    }
    return batch;
}

PersistBatch joining_batch() {
    PersistBatch batch;
    batch.seq = PersistSeq{1};
    batch.hard_state = HardState{.term = Term{1}, .vote = {}, .commit = {}};
    return batch;
}

}  // namespace cairn::raft
