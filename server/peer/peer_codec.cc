#include "server/peer/peer_codec.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "proto/cairn/peer.pb.h"
#include "server/peer/peer_frame.h"

namespace cairn::server::peer {
namespace {

namespace pb = ::cairn::peer;

void put(raft::EntryId id, pb::EntryId& out) {
    out.set_term(id.term.value);
    out.set_index(id.index.value);
}

raft::EntryId get(const pb::EntryId& id) { return {Term{id.term()}, Index{id.index()}}; }

void put(const ProposalId& id, pb::ProposalId& out) {
    out.set_member(id.member.value);
    out.set_boot(id.boot);
    out.set_sequence(id.sequence);
}

ProposalId get(const pb::ProposalId& id) { return {NodeId{id.member()}, id.boot(), id.sequence()}; }

void put(const std::vector<NodeId>& ids, google::protobuf::RepeatedField<std::uint64_t>& out) {
    for (const NodeId id : ids) {
        out.Add(id.value);
    }
}

std::vector<NodeId> get(const google::protobuf::RepeatedField<std::uint64_t>& ids) {
    std::vector<NodeId> nodes;
    nodes.reserve(static_cast<std::size_t>(ids.size()));
    for (const std::uint64_t id : ids) {
        nodes.push_back(NodeId{id});
    }
    return nodes;
}

void put(const raft::ConfState& conf, pb::ConfState& out) {
    put(conf.voters, *out.mutable_voters());
    put(conf.voters_outgoing, *out.mutable_voters_outgoing());
    put(conf.learners, *out.mutable_learners());
    put(conf.learners_next, *out.mutable_learners_next());
    out.set_auto_leave(conf.auto_leave);
}

// One overload of `put` for each body, into the message's own field.
struct BodyEncoder {
    pb::Message& out;

    void operator()(const raft::PreVote& body) const {
        put(body.last, *out.mutable_pre_vote()->mutable_last());
    }
    void operator()(const raft::PreVoteReply& body) const {
        out.mutable_pre_vote_reply()->set_granted(body.granted);
    }
    void operator()(const raft::Vote& body) const {
        put(body.last, *out.mutable_vote()->mutable_last());
        out.mutable_vote()->set_transfer(body.transfer);
    }
    void operator()(const raft::VoteReply& body) const {
        out.mutable_vote_reply()->set_granted(body.granted);
    }
    void operator()(const raft::Append& body) const {
        auto& append = *out.mutable_append();
        put(body.prev, *append.mutable_prev());
        append.set_commit(body.commit.value);
        for (const auto& entry : body.entries) {
            auto& slot = *append.add_entries();
            slot.set_kind(static_cast<std::uint32_t>(entry.kind));
            slot.set_term(entry.id.term.value);
            slot.set_payload(entry.payload.data(), entry.payload.size());
        }
    }
    void operator()(const raft::AppendReply& body) const {
        auto& reply = *out.mutable_append_reply();
        reply.set_success(body.success);
        reply.set_match(body.match.value);
        reply.set_rejected(body.rejected.value);
        put(body.hint, *reply.mutable_hint());
    }
    void operator()(const raft::Heartbeat& body) const {
        auto& heartbeat = *out.mutable_heartbeat();
        heartbeat.set_commit(body.commit.value);
        heartbeat.set_read_round(body.read_round);
        heartbeat.set_floor(body.floor.value);
    }
    void operator()(const raft::HeartbeatReply& body) const {
        out.mutable_heartbeat_reply()->set_read_round(body.read_round);
        out.mutable_heartbeat_reply()->set_promise_ns(body.promise_ns);
    }
    void operator()(const raft::TimeoutNow&) const { out.mutable_timeout_now(); }
    void operator()(const raft::ForwardProposals& body) const {
        auto& forward = *out.mutable_forward_proposals();
        for (const auto& proposal : body.proposals) {
            const bool change = proposal.kind == raft::EntryKind::kConfig;
            auto& slot = change ? *forward.add_changes() : *forward.add_proposals();
            put(proposal.id, *slot.mutable_id());
            slot.set_payload(proposal.payload.data(), proposal.payload.size());
        }
    }
    void operator()(const raft::ForwardRefused& body) const {
        auto& forward = *out.mutable_forward_refused();
        for (const auto& refusal : body.refused) {
            auto& slot = *forward.add_refused();
            put(refusal.id, *slot.mutable_id());
            slot.set_reason(static_cast<std::uint32_t>(refusal.reason));
        }
    }
    void operator()(const raft::ReadIndexRequest& body) const {
        out.mutable_read_index_request()->set_request(body.request);
    }
    void operator()(const raft::ReadIndexReply& body) const {
        auto& reply = *out.mutable_read_index_reply();
        reply.set_request(body.request);
        reply.set_granted(body.granted);
        reply.set_index(body.index.value);
    }
    void operator()(const raft::InstallSnapshot& body) const {
        auto& install = *out.mutable_install_snapshot();
        put(body.snapshot.last, *install.mutable_last());
        put(body.snapshot.conf, *install.mutable_conf());
    }
};

Error malformed(const char* what) {
    return {Errc::kMalformed, std::string("peer message: ") + what};
}

Result<raft::MessageBody> decode_append(const pb::Append& in) {
    raft::Append append;
    append.prev = get(in.prev());
    append.commit = Index{in.commit()};
    append.entries.reserve(static_cast<std::size_t>(in.entries_size()));
    raft::EntryId last = append.prev;
    for (const auto& slot : in.entries()) {
        if (slot.kind() > static_cast<std::uint32_t>(raft::EntryKind::kConfig)) {
            return malformed("an entry of unknown kind");
        }
        const raft::EntryId id{Term{slot.term()}, last.index + 1};
        if (id.term < last.term) {
            return malformed("entry terms fall");
        }
        append.entries.push_back(
            {id, static_cast<raft::EntryKind>(slot.kind()), Bytes::copy_of(slot.payload())});
        last = id;
    }
    return raft::MessageBody{std::move(append)};
}

raft::MessageBody decode_forward(const pb::ForwardProposals& in) {
    raft::ForwardProposals forward;
    forward.proposals.reserve(static_cast<std::size_t>(in.proposals_size() + in.changes_size()));
    const auto take = [&](const pb::Forwarded& slot, raft::EntryKind kind) {
        forward.proposals.push_back({get(slot.id()), Bytes::copy_of(slot.payload()), kind});
    };
    for (const auto& slot : in.proposals()) {
        take(slot, raft::EntryKind::kCommand);
    }
    for (const auto& slot : in.changes()) {
        take(slot, raft::EntryKind::kConfig);
    }
    return forward;
}

Result<raft::MessageBody> decode_install(const pb::InstallSnapshot& in) {
    const raft::ConfState conf{.voters = get(in.conf().voters()),
                               .voters_outgoing = get(in.conf().voters_outgoing()),
                               .learners = get(in.conf().learners()),
                               .learners_next = get(in.conf().learners_next()),
                               .auto_leave = in.conf().auto_leave()};
    if (!raft::is_well_formed(conf)) {
        return malformed("the members of a configuration are not in order");
    }
    return raft::MessageBody{raft::InstallSnapshot{{get(in.last()), conf}}};
}

// One that a newer build knows and this one does not still says that the proposal was not taken.
Errc refusal_reason(std::uint32_t number) {
    const auto reason = static_cast<Errc>(static_cast<std::uint16_t>(number));
    const bool known =
        number <= std::numeric_limits<std::uint16_t>::max() && errc_name(reason) != "?";
    return known ? reason : Errc::kLeaderChanged;
}

raft::MessageBody decode_refused(const pb::ForwardRefused& in) {
    raft::ForwardRefused refused;
    refused.refused.reserve(static_cast<std::size_t>(in.refused_size()));
    for (const auto& slot : in.refused()) {
        refused.refused.push_back({get(slot.id()), refusal_reason(slot.reason())});
    }
    return refused;
}

Result<raft::MessageBody> decode_body(const pb::Message& in) {
    switch (in.body_case()) {
        case pb::Message::kPreVote:
            return raft::MessageBody{raft::PreVote{get(in.pre_vote().last())}};
        case pb::Message::kPreVoteReply:
            return raft::MessageBody{raft::PreVoteReply{in.pre_vote_reply().granted()}};
        case pb::Message::kVote:
            return raft::MessageBody{raft::Vote{get(in.vote().last()), in.vote().transfer()}};
        case pb::Message::kVoteReply:
            return raft::MessageBody{raft::VoteReply{in.vote_reply().granted()}};
        case pb::Message::kAppend: return decode_append(in.append());
        case pb::Message::kAppendReply: {
            const auto& reply = in.append_reply();
            return raft::MessageBody{raft::AppendReply{reply.success(), Index{reply.match()},
                                                       Index{reply.rejected()}, get(reply.hint())}};
        }
        case pb::Message::kHeartbeat: {
            const auto& heartbeat = in.heartbeat();
            return raft::MessageBody{raft::Heartbeat{
                Index{heartbeat.commit()}, heartbeat.read_round(), Index{heartbeat.floor()}}};
        }
        case pb::Message::kHeartbeatReply:
            return raft::MessageBody{raft::HeartbeatReply{in.heartbeat_reply().read_round(),
                                                          in.heartbeat_reply().promise_ns()}};
        case pb::Message::kTimeoutNow: return raft::MessageBody{raft::TimeoutNow{}};
        case pb::Message::kForwardProposals: return decode_forward(in.forward_proposals());
        case pb::Message::kForwardRefused: return decode_refused(in.forward_refused());
        case pb::Message::kReadIndexRequest:
            return raft::MessageBody{raft::ReadIndexRequest{in.read_index_request().request()}};
        case pb::Message::kReadIndexReply: {
            const auto& reply = in.read_index_reply();
            return raft::MessageBody{
                raft::ReadIndexReply{reply.request(), reply.granted(), Index{reply.index()}}};
        }
        case pb::Message::kInstallSnapshot: return decode_install(in.install_snapshot());
        case pb::Message::BODY_NOT_SET: return malformed("no body");
    }
    return malformed("an unknown body");
}

// The largest term or index that a body names.
struct LargestNumber {
    std::uint64_t operator()(raft::EntryId id) const {
        return std::max(id.term.value, id.index.value);
    }
    std::uint64_t operator()(const raft::PreVote& body) const { return (*this)(body.last); }
    std::uint64_t operator()(const raft::Vote& body) const { return (*this)(body.last); }
    std::uint64_t operator()(const raft::Append& body) const {
        const Term last = body.entries.empty() ? Term{} : body.entries.back().id.term;
        return std::max({(*this)(body.prev), body.commit.value, last.value});
    }
    std::uint64_t operator()(const raft::AppendReply& body) const {
        return std::max({body.match.value, body.rejected.value, (*this)(body.hint)});
    }
    std::uint64_t operator()(const raft::Heartbeat& body) const {
        return std::max(body.commit.value, body.floor.value);
    }
    std::uint64_t operator()(const raft::ReadIndexReply& body) const { return body.index.value; }
    std::uint64_t operator()(const raft::InstallSnapshot& body) const {
        return (*this)(body.snapshot.last);
    }
    template <class Other>
    std::uint64_t operator()(const Other& /*body*/) const {
        return 0;
    }
};

pb::Message to_proto(const raft::Message& message) {
    pb::Message encoded;
    encoded.set_from(message.from.value);
    encoded.set_to(message.to.value);
    encoded.set_term(message.term.value);
    std::visit(BodyEncoder{encoded}, message.body);
    return encoded;
}

void append(const pb::Message& encoded, std::string& out) {
    const bool written = encoded.AppendToString(&out);
    CAIRN_ASSERT(written);
}

}  // namespace

void encode_message(const raft::Message& message, std::string& out) {
    append(to_proto(message), out);
}

bool append_message_frame(const raft::Message& message, std::size_t room, std::string& out) {
    const pb::Message encoded = to_proto(message);
    const std::size_t bytes = encoded.ByteSizeLong();
    if (bytes > kFrameBytesMax || kFrameHeaderBytes + bytes > room) {
        return false;
    }
    const std::size_t begin = begin_frame(out);
    append(encoded, out);
    finish_frame(begin, out);
    return true;
}

Result<raft::Message> decode_message(ByteView bytes) {
    pb::Message encoded;
    if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
        !encoded.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return malformed("does not parse");
    }
    CAIRN_TRY(auto body, decode_body(encoded));
    if (std::max(encoded.term(), std::visit(LargestNumber{}, body)) > kTermOrIndexMax) {
        return malformed("a term or an index out of range");
    }
    return raft::Message{NodeId{encoded.from()}, NodeId{encoded.to()}, Term{encoded.term()},
                         std::move(body)};
}

}  // namespace cairn::server::peer
