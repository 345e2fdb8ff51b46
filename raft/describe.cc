#include "raft/describe.h"

#include <cctype>

#include <fmt/format.h>

#include "raft/conf_change.h"

namespace cairn::raft {

namespace {

std::string ids(const std::vector<NodeId>& list) {
    std::string text;
    for (const NodeId id : list) {
        text += fmt::format("{}{}", text.empty() ? "" : ",", id.value);
    }
    return text;
}

// Printable payloads as they are, others by length.
std::string payload_text(const Bytes& payload) {
    for (const char c : payload.view()) {
        if (std::isprint(static_cast<unsigned char>(c)) == 0) {
            return fmt::format("[{} bytes]", payload.size());
        }
    }
    return payload.size() > 32 ? fmt::format("[{} bytes]", payload.size())
                               : fmt::format("\"{}\"", payload.view());
}

std::string conf_change_text(const Bytes& payload) {
    const Result<ConfChange> change = decode_conf_change(payload);
    if (change.has_error()) {
        return "config ?";
    }
    const std::uint64_t node = change.value().node.value;
    switch (change.value().kind) {
        case ConfChangeKind::kBootstrapVoter: return fmt::format("config bootstrap {}", node);
        case ConfChangeKind::kAddVoter: return fmt::format("config add {}", node);
        case ConfChangeKind::kAddLearner: return fmt::format("config add-learner {}", node);
        case ConfChangeKind::kRemove: return fmt::format("config remove {}", node);
        case ConfChangeKind::kUpdate: return fmt::format("config update {}", node);
        case ConfChangeKind::kLeaveJoint: return "config leave-joint";
    }
    return "config ?";
}

std::string proposal_text(EntryKind kind, const Bytes& payload) {
    return kind == EntryKind::kConfig ? conf_change_text(payload) : payload_text(payload);
}

std::string entries_text(const std::vector<Entry>& entries) {
    std::string text = "[";
    for (const Entry& entry : entries) {
        text += (text.size() == 1 ? "" : ", ") + describe(entry);
    }
    return text + "]";
}

const char* yes(bool value) { return value ? "yes" : "no"; }

struct BodyText {
    std::string operator()(const PreVote& m) const { return "last=" + describe(m.last); }
    std::string operator()(const PreVoteReply& m) const {
        return fmt::format("granted={}", yes(m.granted));
    }
    std::string operator()(const Vote& m) const {
        return "last=" + describe(m.last) + (m.transfer ? " transfer" : "");
    }
    std::string operator()(const VoteReply& m) const {
        return fmt::format("granted={}", yes(m.granted));
    }
    std::string operator()(const Append& m) const {
        return fmt::format("prev={} commit={} entries={}", describe(m.prev), m.commit.value,
                           entries_text(m.entries));
    }
    std::string operator()(const AppendReply& m) const {
        return m.success ? fmt::format("match={}", m.match.value)
                         : fmt::format("rejected={} hint={}", m.rejected.value, describe(m.hint));
    }
    std::string operator()(const Heartbeat& m) const {
        return fmt::format("commit={} round={} floor={}", m.commit.value, m.read_round,
                           m.floor.value);
    }
    std::string operator()(const HeartbeatReply& m) const {
        return fmt::format("round={}{}", m.read_round,
                           m.promise_ns > 0 ? fmt::format(" promise={}", m.promise_ns) : "");
    }
    std::string operator()(const TimeoutNow&) const { return ""; }
    std::string operator()(const ForwardProposals& m) const {
        std::string text;
        for (const Forwarded& forward : m.proposals) {
            text += (text.empty() ? "" : ", ") + describe(forward.id) + "=" +
                    proposal_text(forward.kind, forward.payload);
        }
        return "[" + text + "]";
    }
    std::string operator()(const ForwardRefused& m) const {
        std::string text;
        for (const RefusedProposal& refused : m.refused) {
            text += (text.empty() ? "" : ", ") + describe(refused.id) + " " +
                    std::string(errc_name(refused.reason));
        }
        return "[" + text + "]";
    }
    std::string operator()(const ReadIndexRequest& m) const {
        return fmt::format("request={}", m.request);
    }
    std::string operator()(const ReadIndexReply& m) const {
        return m.granted ? fmt::format("request={} index={}", m.request, m.index.value)
                         : fmt::format("request={} refused", m.request);
    }
    std::string operator()(const InstallSnapshot& m) const { return describe(m.snapshot); }
};

struct InputText {
    std::string operator()(const Tick&) const { return "Tick"; }
    std::string operator()(const ClockRead& i) const {
        return fmt::format("ClockRead {}", i.now_ns);
    }
    std::string operator()(const Receive& i) const { return "Receive " + describe(i.message); }
    std::string operator()(const Propose& i) const {
        return "Propose " + describe(i.id) + "=" + proposal_text(i.kind, i.payload);
    }
    std::string operator()(const ReadIndex& i) const {
        return fmt::format("ReadIndex {}", i.request);
    }
    std::string operator()(const Persisted& i) const {
        return fmt::format("Persisted {}", i.seq.value);
    }
    std::string operator()(const Applied& i) const {
        return fmt::format("Applied {}", i.index.value);
    }
    std::string operator()(const Compact& i) const {
        return fmt::format("Compact {}", i.index.value);
    }
    std::string operator()(const PeerUnreachable& i) const {
        return fmt::format("PeerUnreachable {}", i.node.value);
    }
    std::string operator()(const TransferLeader& i) const {
        return fmt::format("TransferLeader {}", i.to.value);
    }
    std::string operator()(const SnapshotSent& i) const {
        return i.last ? fmt::format("SnapshotSent {} index={}", i.to.value, i.last->value)
                      : fmt::format("SnapshotSent {} failed", i.to.value);
    }
    std::string operator()(const SnapshotInstalled& i) const {
        return "SnapshotInstalled " + describe(i.snapshot);
    }
    std::string operator()(const LeaveOffice&) const { return "LeaveOffice"; }
    std::string operator()(const Campaign&) const { return "Campaign"; }
};

// The detail of a trace event in words, where its kind gives it a meaning.
std::string detail_text(const TraceEvent& event) {
    switch (static_cast<TraceKind>(event.kind)) {
        case TraceKind::kBecame: return " " + describe(static_cast<Role>(event.detail));
        case TraceKind::kIgnored:
        case TraceKind::kVoteGranted:
        case TraceKind::kVoteRefused:
            return event.detail == kNotAMessage
                       ? std::string()
                       : " " + describe(static_cast<MessageKind>(event.detail));
        case TraceKind::kTransferEnded: return event.detail == 1 ? " moved" : " not moved";
        case TraceKind::kRefusedProposal:
            return " " + std::string(errc_name(static_cast<Errc>(event.detail)));
        case TraceKind::kAppendRejected:
        case TraceKind::kTruncated:
        case TraceKind::kCommitted:
        case TraceKind::kQuorumLost:
        case TraceKind::kTransferStarted:
        case TraceKind::kCompacted:
        case TraceKind::kSnapshotWanted:
        case TraceKind::kSnapshotRefused:
        case TraceKind::kInstalling:
        case TraceKind::kInstalled:
        case TraceKind::kConfChanged:
        case TraceKind::kLogStalled: break;
    }
    return "";
}

}  // namespace

std::string describe(Role role) {
    switch (role) {
        case Role::kFollower: return "Follower";
        case Role::kPreCandidate: return "PreCandidate";
        case Role::kCandidate: return "Candidate";
        case Role::kLeader: return "Leader";
    }
    return "?";
}

std::string describe(EntryKind kind) {
    switch (kind) {
        case EntryKind::kNoop: return "Noop";
        case EntryKind::kCommand: return "Command";
        case EntryKind::kConfig: return "Config";
    }
    return "?";
}

std::string describe(MessageKind kind) {
    switch (kind) {
        case MessageKind::kPreVote: return "PreVote";
        case MessageKind::kPreVoteReply: return "PreVoteReply";
        case MessageKind::kVote: return "Vote";
        case MessageKind::kVoteReply: return "VoteReply";
        case MessageKind::kAppend: return "Append";
        case MessageKind::kAppendReply: return "AppendReply";
        case MessageKind::kHeartbeat: return "Heartbeat";
        case MessageKind::kHeartbeatReply: return "HeartbeatReply";
        case MessageKind::kTimeoutNow: return "TimeoutNow";
        case MessageKind::kForwardProposals: return "ForwardProposals";
        case MessageKind::kForwardRefused: return "ForwardRefused";
        case MessageKind::kReadIndexRequest: return "ReadIndexRequest";
        case MessageKind::kReadIndexReply: return "ReadIndexReply";
        case MessageKind::kInstallSnapshot: return "InstallSnapshot";
    }
    return "?";
}

std::string describe(TraceKind kind) {
    switch (kind) {
        case TraceKind::kBecame: return "Became";
        case TraceKind::kIgnored: return "Ignored";
        case TraceKind::kVoteGranted: return "VoteGranted";
        case TraceKind::kVoteRefused: return "VoteRefused";
        case TraceKind::kAppendRejected: return "AppendRejected";
        case TraceKind::kTruncated: return "Truncated";
        case TraceKind::kCommitted: return "Committed";
        case TraceKind::kQuorumLost: return "QuorumLost";
        case TraceKind::kTransferStarted: return "TransferStarted";
        case TraceKind::kTransferEnded: return "TransferEnded";
        case TraceKind::kRefusedProposal: return "RefusedProposal";
        case TraceKind::kCompacted: return "Compacted";
        case TraceKind::kSnapshotWanted: return "SnapshotWanted";
        case TraceKind::kSnapshotRefused: return "SnapshotRefused";
        case TraceKind::kInstalling: return "Installing";
        case TraceKind::kInstalled: return "Installed";
        case TraceKind::kConfChanged: return "ConfChanged";
        case TraceKind::kLogStalled: return "LogStalled";
    }
    return "?";
}

std::string describe(EntryId id) { return fmt::format("{}/{}", id.term.value, id.index.value); }

std::string describe(const ProposalId& id) {
    return fmt::format("{}.{}.{}", id.member.value, id.boot, id.sequence);
}

std::string describe(const Entry& entry) {
    const std::string name = describe(entry.id);
    switch (entry.kind) {
        case EntryKind::kNoop: return name + " noop";
        case EntryKind::kCommand: return name + " " + payload_text(entry.payload);
        case EntryKind::kConfig: return name + " " + conf_change_text(entry.payload);
    }
    return name + " ?";
}

std::string describe(const HardState& state) {
    return fmt::format("term={} vote={} commit={}", state.term.value, state.vote.value,
                       state.commit.value);
}

std::string describe(const ConfState& conf) {
    std::string text = "voters=(" + ids(conf.voters) + ")";
    if (!conf.voters_outgoing.empty()) {
        text += " outgoing=(" + ids(conf.voters_outgoing) + ")";
    }
    if (!conf.learners.empty()) {
        text += " learners=(" + ids(conf.learners) + ")";
    }
    if (!conf.learners_next.empty()) {
        text += " learners_next=(" + ids(conf.learners_next) + ")";
    }
    return text + (conf.auto_leave ? " auto_leave" : "");
}

std::string describe(const SnapshotMeta& floor) {
    return describe(floor.last) + " " + describe(floor.conf);
}

std::string describe(const Message& message) {
    const std::string body = std::visit(BodyText{}, message.body);
    return fmt::format("{}->{} {} term={}{}{}", message.from.value, message.to.value,
                       describe(message.kind()), message.term.value, body.empty() ? "" : " ", body);
}

std::string describe(const Input& input) { return std::visit(InputText{}, input); }

std::string describe(const PersistBatch& batch) {
    std::string text = fmt::format("seq={}", batch.seq.value);
    if (batch.floor) {
        text += (batch.restart ? " restart=" : " floor=") + describe(*batch.floor);
    }
    if (batch.hard_state) {
        text += " " + describe(*batch.hard_state);
    }
    if (!batch.entries.empty()) {
        text += " entries=" + entries_text(batch.entries);
    }
    return text;
}

std::string describe(const RoleChange& change) {
    return fmt::format("{} term={} leader={}", describe(change.role), change.term.value,
                       change.leader.value);
}

std::string describe(const TraceEvent& event) {
    std::string text = describe(static_cast<TraceKind>(event.kind)) + detail_text(event);
    if (event.peer) {
        text += fmt::format(" peer={}", event.peer.value);
    }
    if (event.index) {
        text += fmt::format(" index={}", event.index.value);
    }
    return text;
}

std::string describe(const Status& status) {
    std::string text =
        fmt::format("{} {} term={} vote={} leader={} log=({},{}] stable={} commit={} applied={}",
                    status.id.value, describe(status.role), status.term.value, status.vote.value,
                    status.leader.value, status.first.value - 1, status.last.value,
                    status.stable.value, status.commit.value, status.applied.value);
    for (const auto& [id, peer] : status.peers) {
        text += fmt::format("\n  {}: {} match={} next={} inflight={}{}", id.value,
                            peer.needs_snapshot ? "snapshot"
                            : peer.probing      ? "probe"
                                                : "replicate",
                            peer.match.value, peer.next.value, peer.inflight_count,
                            peer.active ? "" : " inactive");
    }
    return text;
}

std::string describe(const Ready& ready) {
    std::string text;
    const auto line = [&](const char* what, const std::string& rest) {
        text += fmt::format("{} {}\n", what, rest);
    };
    if (ready.role) {
        line("role", describe(*ready.role));
    }
    for (const TraceEvent& event : ready.trace) {
        line("trace", describe(event));
    }
    if (ready.persist) {
        line("persist", describe(*ready.persist));
    }
    for (const Message& message : ready.messages) {
        line("send", describe(message));
    }
    for (const SnapshotWanted& wanted : ready.snapshots_wanted) {
        line("snapshot",
             fmt::format("wanted by {} from {}", wanted.to.value, wanted.at_least.value));
    }
    if (ready.install) {
        line("install", describe(*ready.install));
    }
    for (const Entry& entry : ready.committed) {
        line("commit", describe(entry));
    }
    for (const ReadGrant& grant : ready.reads) {
        line("read", fmt::format("request={} index={}", grant.request, grant.index.value));
    }
    for (const ReadRefusal& refusal : ready.reads_refused) {
        line("read-refused",
             fmt::format("request={} {}", refusal.request, errc_name(refusal.reason)));
    }
    if (ready.transfer) {
        line("transfer", fmt::format("to={} {}", ready.transfer->to.value,
                                     ready.transfer->error ? errc_name(*ready.transfer->error)
                                                           : std::string_view("moved")));
    }
    for (const RefusedProposal& refused : ready.refused) {
        line("refused", describe(refused.id) + " " + std::string(errc_name(refused.reason)));
    }
    return text;
}

std::ostream& operator<<(std::ostream& out, const Message& message) {
    return out << describe(message);
}
std::ostream& operator<<(std::ostream& out, const Entry& entry) { return out << describe(entry); }
std::ostream& operator<<(std::ostream& out, const EntryId& id) { return out << describe(id); }
std::ostream& operator<<(std::ostream& out, const HardState& state) {
    return out << describe(state);
}
std::ostream& operator<<(std::ostream& out, const PersistBatch& batch) {
    return out << describe(batch);
}
std::ostream& operator<<(std::ostream& out, const Ready& ready) { return out << describe(ready); }

}  // namespace cairn::raft
