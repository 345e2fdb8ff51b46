// Everything one member's core says to another's.
// Values; server/peer turns them into bytes. Never carries addresses or times.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "raft/types.h"

namespace cairn::raft {

// "Would you vote for me in `term`?" Promises nothing (dissertation §9.6). Message::term is the
// term the sender would campaign in, not its own.
struct PreVote {
    EntryId last;  // the sender's last entry
    bool operator==(const PreVote&) const = default;
};

// On a grant Message::term is the asked term, and the reply leaves at once. On a refusal it is the
// voter's own, so that a candidate that has fallen behind catches up; it waits for that term to be
// durable here like any other message that carries it.
struct PreVoteReply {
    bool granted = false;
    bool operator==(const PreVoteReply&) const = default;
};

// RequestVote (Raft paper §5.2, §5.4.1).
struct Vote {
    EntryId last;
    bool transfer =
        false;  // asked for by the old leader: overrules the leader lease (§4.2.3, §3.10)
    bool operator==(const Vote&) const = default;
};

struct VoteReply {
    bool granted = false;
    bool operator==(const VoteReply&) const = default;
};

// AppendEntries with entries, or empty as a probe (Raft paper §5.3).
struct Append {
    EntryId prev;  // the entry just before entries[0]
    Index commit;  // the leader's commit index
    std::vector<Entry> entries;
    bool operator==(const Append&) const = default;
};

// On success `match` is the last index known equal and durable at the sender.
// On refusal `match` is unused and (hint_term, hint_index) is the sender's last entry that may
// still match: index <= rejected prev, the largest one whose term <= the refused prev.term.
// A prev below the receiver's floor is a success with match = min(commit, stable). A hint below the
// leader's floor, or a refusal at or below match, means the sender lost its disk: the leader keeps
// probing at its floor and lowers nothing; it is never an assert.
struct AppendReply {
    bool success = false;
    Index match;
    Index rejected;  // the prev.index that was refused: tells a stale refusal from a fresh one
    EntryId hint;
    bool operator==(const AppendReply&) const = default;
};

// Sent every heartbeat interval, and at once for a new read round.
struct Heartbeat {
    Index commit;                // never above what the receiver is known to have
    std::uint64_t read_round{};  // the leader's newest ReadIndex round; rounds are unique in a term
    Index floor;                 // every member has everything up to here: the receiver may compact
    bool operator==(const Heartbeat&) const = default;
};

struct HeartbeatReply {
    std::uint64_t read_round{};  // echoed: confirms leadership for all rounds up to it
    std::uint64_t promise_ns{};  // Config::lease_promise_ns of who answers
    bool operator==(const HeartbeatReply&) const = default;
};

// "Campaign now, without a pre-vote" (leadership transfer, dissertation §3.10).
struct TimeoutNow {
    bool operator==(const TimeoutNow&) const = default;
};

// A proposal on its way from a follower to the leader it knew in Message::term.
// Only the node that leads that very term answers; everybody else drops it without a word (the
// proposal then ends by the term rule or by its timeout). The leader decides each id once a term:
// a repeat of a taken id is dropped, a repeat of a refused one is refused again or dropped, so a
// proposal enters at most one place of one term's log however the network repeats it. What it
// remembers is kept by (member, boot) until the term ends; an id older than what it remembers is
// dropped, never refused and never taken.
// At most Config::append_bytes_max of payload in one message; one proposal always fits.
struct Forwarded {
    ProposalId id;
    Bytes payload;
    EntryKind kind = EntryKind::kCommand;  // or kConfig
    // Set by the leader's replica, never sent: it has looked at the change and will not have it.
    std::optional<Errc> refusal{};
    bool operator==(const Forwarded&) const = default;
};
struct ForwardProposals {
    std::vector<Forwarded> proposals;
    bool operator==(const ForwardProposals&) const = default;
};

// Refusals only: an accepted proposal is answered by its entry being applied. Sent only by the
// leader of Message::term, for ids that it has not taken and in this term never will.
struct RefusedProposal {
    ProposalId id;
    Errc reason{};
    bool operator==(const RefusedProposal&) const = default;
};
struct ForwardRefused {
    std::vector<RefusedProposal> refused;
    bool operator==(const ForwardRefused&) const = default;
};

// A follower's batched linearizable reads (dissertation §6.4). `request` is unique for the sender
// across its restarts (it counts from a random start), or a late reply to an earlier run could
// grant a read of this one at an index that is too old.
struct ReadIndexRequest {
    std::uint64_t request{};
    bool operator==(const ReadIndexRequest&) const = default;
};
struct ReadIndexReply {
    std::uint64_t request{};
    bool granted = false;
    Index index;  // when granted: reads are linearizable once this is applied
    bool operator==(const ReadIndexReply&) const = default;
};

// InstallSnapshot (Raft paper §7) without the bytes, which travel outside of the core: the files of
// this snapshot are whole, verified and durable at the receiver. Answered by an AppendReply.
struct InstallSnapshot {
    SnapshotMeta snapshot;
    bool operator==(const InstallSnapshot&) const = default;
};

using MessageBody = std::variant<PreVote, PreVoteReply, Vote, VoteReply, Append, AppendReply,
                                 Heartbeat, HeartbeatReply, TimeoutNow, ForwardProposals,
                                 ForwardRefused, ReadIndexRequest, ReadIndexReply, InstallSnapshot>;

// The position in MessageBody; also the number on the wire (docs/formats/peer.md): append only.
enum class MessageKind : std::uint8_t {
    kPreVote,
    kPreVoteReply,
    kVote,
    kVoteReply,
    kAppend,
    kAppendReply,
    kHeartbeat,
    kHeartbeatReply,
    kTimeoutNow,
    kForwardProposals,
    kForwardRefused,
    kReadIndexRequest,
    kReadIndexReply,
    kInstallSnapshot,
};
inline constexpr std::uint8_t kMessageKindCount = std::variant_size_v<MessageBody>;

struct Message {
    NodeId from;
    NodeId to;
    Term term;  // the sender's term (PreVote and a granted PreVoteReply: the asked one)
    MessageBody body;

    [[nodiscard]] MessageKind kind() const { return static_cast<MessageKind>(body.index()); }
    bool operator==(const Message&) const = default;
};

}  // namespace cairn::raft
