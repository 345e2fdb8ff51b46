#include "client/convert.h"

#include <utility>

#include "base/assert.h"

namespace cairn::client {
namespace {

namespace pb = etcdserverpb;

ResponseHeader header_of(const pb::ResponseHeader& message) {
    return {message.cluster_id(), message.member_id(), message.revision(), message.raft_term()};
}

KeyValue key_value_of(mvccpb::KeyValue&& message) {
    KeyValue result;
    result.key = std::move(*message.mutable_key());
    result.value = std::move(*message.mutable_value());
    result.create_revision = message.create_revision();
    result.mod_revision = message.mod_revision();
    result.version = message.version();
    result.lease = message.lease();
    return result;
}

template <class Messages>
std::vector<KeyValue> key_values_of(Messages& messages) {
    std::vector<KeyValue> result;
    result.reserve(static_cast<std::size_t>(messages.size()));
    for (mvccpb::KeyValue& message : messages) {
        result.push_back(key_value_of(std::move(message)));
    }
    return result;
}

pb::Compare to_wire(const Compare& compare) {
    pb::Compare message;
    message.set_key(compare.key);
    message.set_range_end(compare.range_end);
    // The enumerators of both have the wire's numbers, in its order.
    message.set_result(static_cast<pb::Compare::CompareResult>(compare.result));
    message.set_target(static_cast<pb::Compare::CompareTarget>(compare.target));
    switch (compare.target) {
        case CompareTarget::kVersion: message.set_version(compare.number); break;
        case CompareTarget::kCreate: message.set_create_revision(compare.number); break;
        case CompareTarget::kMod: message.set_mod_revision(compare.number); break;
        case CompareTarget::kValue: message.set_value(compare.value); break;
        case CompareTarget::kLease: message.set_lease(compare.number); break;
    }
    return message;
}

struct FillOp {
    pb::RequestOp& message;

    void operator()(const GetOp& op) const {
        *message.mutable_request_range() = client::to_wire(op);
    }
    void operator()(const PutOp& op) const { *message.mutable_request_put() = client::to_wire(op); }
    void operator()(const DeleteOp& op) const {
        *message.mutable_request_delete_range() = client::to_wire(op);
    }
    void operator()(const TxnOp& op) const {
        CAIRN_ASSERT(op != nullptr);
        *message.mutable_request_txn() = client::to_wire(*op);
    }
};

OpResponse op_response_of(pb::ResponseOp&& message) {
    switch (message.response_case()) {
        case pb::ResponseOp::kResponsePut:
            return from_wire(std::move(*message.mutable_response_put()));
        case pb::ResponseOp::kResponseDeleteRange:
            return from_wire(std::move(*message.mutable_response_delete_range()));
        case pb::ResponseOp::kResponseTxn:
            return std::make_shared<const TxnResponse>(
                from_wire(std::move(*message.mutable_response_txn())));
        case pb::ResponseOp::kResponseRange:
        case pb::ResponseOp::RESPONSE_NOT_SET: break;
    }
    return from_wire(std::move(*message.mutable_response_range()));
}

Member member_of(const pb::Member& message) {
    Member member;
    member.id = message.id();
    member.name = message.name();
    member.peer_urls.assign(message.peerurls().begin(), message.peerurls().end());
    member.client_urls.assign(message.clienturls().begin(), message.clienturls().end());
    member.is_learner = message.islearner();
    return member;
}

// Of any message with a header and members.
template <class Message>
MemberListResponse members_of(const Message& message) {
    MemberListResponse result;
    result.header = header_of(message.header());
    for (const pb::Member& member : message.members()) {
        result.members.push_back(member_of(member));
    }
    return result;
}

pb::AlarmType to_wire(AlarmType type) {
    switch (type) {
        case AlarmType::kNone: return pb::NONE;
        case AlarmType::kNoSpace: return pb::NOSPACE;
        case AlarmType::kCorrupt: return pb::CORRUPT;
    }
    return pb::NONE;
}

}  // namespace

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty()) {
        const auto last = static_cast<unsigned char>(end.back());
        if (last < 0xFF) {
            end.back() = static_cast<char>(last + 1);
            return end;
        }
        end.pop_back();
    }
    return std::string(kFromKey);
}

pb::RangeRequest to_wire(const GetOp& op) {
    const GetOptions& options = op.options;
    pb::RangeRequest message;
    message.set_key(op.key);
    message.set_range_end(options.range_end);
    message.set_limit(options.limit);
    message.set_revision(options.revision);
    message.set_sort_order(static_cast<pb::RangeRequest::SortOrder>(options.sort_order));
    message.set_sort_target(static_cast<pb::RangeRequest::SortTarget>(options.sort_target));
    message.set_serializable(options.serializable);
    message.set_keys_only(options.keys_only);
    message.set_count_only(options.count_only);
    message.set_min_mod_revision(options.min_mod_revision);
    message.set_max_mod_revision(options.max_mod_revision);
    message.set_min_create_revision(options.min_create_revision);
    message.set_max_create_revision(options.max_create_revision);
    return message;
}

pb::PutRequest to_wire(const PutOp& op) {
    pb::PutRequest message;
    message.set_key(op.key);
    message.set_value(op.value);
    message.set_lease(op.options.lease);
    message.set_prev_kv(op.options.prev_kv);
    message.set_ignore_value(op.options.ignore_value);
    message.set_ignore_lease(op.options.ignore_lease);
    return message;
}

pb::DeleteRangeRequest to_wire(const DeleteOp& op) {
    pb::DeleteRangeRequest message;
    message.set_key(op.key);
    message.set_range_end(op.options.range_end);
    message.set_prev_kv(op.options.prev_kv);
    return message;
}

pb::TxnRequest to_wire(const TxnRequest& txn) {
    pb::TxnRequest message;
    for (const Compare& compare : txn.compares) {
        *message.add_compare() = to_wire(compare);
    }
    for (const Op& op : txn.success) {
        std::visit(FillOp{*message.add_success()}, op);
    }
    for (const Op& op : txn.failure) {
        std::visit(FillOp{*message.add_failure()}, op);
    }
    return message;
}

pb::CompactionRequest to_wire(const CompactRequest& request) {
    pb::CompactionRequest message;
    message.set_revision(request.revision);
    message.set_physical(request.physical);
    return message;
}

pb::MemberListRequest to_wire(const MemberListRequest& request) {
    pb::MemberListRequest message;
    message.set_linearizable(request.linearizable);
    return message;
}

pb::MemberAddRequest to_wire(const MemberAddRequest& request) {
    pb::MemberAddRequest message;
    message.mutable_peerurls()->Assign(request.peer_urls.begin(), request.peer_urls.end());
    message.set_islearner(request.is_learner);
    return message;
}

pb::MemberRemoveRequest to_wire(const MemberRemoveRequest& request) {
    pb::MemberRemoveRequest message;
    message.set_id(request.id);
    return message;
}

pb::MemberUpdateRequest to_wire(const MemberUpdateRequest& request) {
    pb::MemberUpdateRequest message;
    message.set_id(request.id);
    message.mutable_peerurls()->Assign(request.peer_urls.begin(), request.peer_urls.end());
    return message;
}

pb::MemberPromoteRequest to_wire(const MemberPromoteRequest& request) {
    pb::MemberPromoteRequest message;
    message.set_id(request.id);
    return message;
}

pb::StatusRequest to_wire(const StatusRequest&) { return {}; }

pb::HashKVRequest to_wire(const HashKvRequest& request) {
    pb::HashKVRequest message;
    message.set_revision(request.revision);
    return message;
}

pb::HashRequest to_wire(const HashRequest&) { return {}; }

pb::DefragmentRequest to_wire(const DefragmentRequest&) { return {}; }

pb::MoveLeaderRequest to_wire(const MoveLeaderRequest& request) {
    pb::MoveLeaderRequest message;
    message.set_targetid(request.target);
    return message;
}

pb::AlarmRequest to_wire(const AlarmListRequest&) {
    pb::AlarmRequest message;
    message.set_action(pb::AlarmRequest::GET);
    return message;
}

pb::AlarmRequest to_wire(const AlarmDisarmRequest& request) {
    pb::AlarmRequest message;
    message.set_action(pb::AlarmRequest::DEACTIVATE);
    message.set_memberid(request.alarm.member_id);
    message.set_alarm(to_wire(request.alarm.type));
    return message;
}

pb::DowngradeRequest to_wire(const DowngradeRequest& request) {
    pb::DowngradeRequest message;
    // The enumerators of both have the wire's numbers, in its order.
    message.set_action(static_cast<pb::DowngradeRequest::DowngradeAction>(request.action));
    message.set_version(request.version);
    return message;
}

GetResponse from_wire(pb::RangeResponse message) {
    GetResponse result;
    result.header = header_of(message.header());
    result.kvs = key_values_of(*message.mutable_kvs());
    result.more = message.more();
    result.count = message.count();
    return result;
}

PutResponse from_wire(pb::PutResponse message) {
    PutResponse result;
    result.header = header_of(message.header());
    if (message.has_prev_kv()) {
        result.prev_kv = key_value_of(std::move(*message.mutable_prev_kv()));
    }
    return result;
}

DeleteResponse from_wire(pb::DeleteRangeResponse message) {
    DeleteResponse result;
    result.header = header_of(message.header());
    result.deleted = message.deleted();
    result.prev_kvs = key_values_of(*message.mutable_prev_kvs());
    return result;
}

TxnResponse from_wire(pb::TxnResponse message) {
    TxnResponse result;
    result.header = header_of(message.header());
    result.succeeded = message.succeeded();
    for (pb::ResponseOp& response : *message.mutable_responses()) {
        result.responses.push_back(op_response_of(std::move(response)));
    }
    return result;
}

CompactResponse from_wire(const pb::CompactionResponse& message) {
    return {header_of(message.header())};
}

MemberListResponse from_wire(const pb::MemberListResponse& message) { return members_of(message); }

MemberAddResponse from_wire(const pb::MemberAddResponse& message) {
    MemberListResponse all = members_of(message);
    return {all.header, member_of(message.member()), std::move(all.members)};
}

MemberListResponse from_wire(const pb::MemberRemoveResponse& message) {
    return members_of(message);
}

MemberListResponse from_wire(const pb::MemberUpdateResponse& message) {
    return members_of(message);
}

MemberListResponse from_wire(const pb::MemberPromoteResponse& message) {
    return members_of(message);
}

StatusResponse from_wire(const pb::StatusResponse& message) {
    StatusResponse result;
    result.header = header_of(message.header());
    result.version = message.version();
    result.db_size = message.dbsize();
    result.db_size_in_use = message.dbsizeinuse();
    result.leader = message.leader();
    result.raft_index = message.raftindex();
    result.raft_term = message.raftterm();
    result.raft_applied_index = message.raftappliedindex();
    result.errors.assign(message.errors().begin(), message.errors().end());
    result.is_learner = message.islearner();
    result.storage_version = message.storageversion();
    result.db_size_quota = message.dbsizequota();
    return result;
}

HashKvResponse from_wire(const pb::HashKVResponse& message) {
    return {header_of(message.header()), message.hash(), message.compact_revision(),
            message.hash_revision()};
}

HashResponse from_wire(const pb::HashResponse& message) {
    return {header_of(message.header()), message.hash()};
}

DefragmentResponse from_wire(const pb::DefragmentResponse& message) {
    return {header_of(message.header())};
}

MoveLeaderResponse from_wire(const pb::MoveLeaderResponse& message) {
    return {header_of(message.header())};
}

DowngradeResponse from_wire(const pb::DowngradeResponse& message) {
    return {header_of(message.header()), message.version()};
}

AlarmListResponse from_wire(const pb::AlarmResponse& message) {
    AlarmListResponse result;
    result.header = header_of(message.header());
    for (const pb::AlarmMember& alarm : message.alarms()) {
        result.alarms.push_back(
            {alarm.memberid(), alarm.alarm() == pb::NOSPACE   ? AlarmType::kNoSpace
                               : alarm.alarm() == pb::CORRUPT ? AlarmType::kCorrupt
                                                              : AlarmType::kNone});
    }
    return result;
}

}  // namespace cairn::client
