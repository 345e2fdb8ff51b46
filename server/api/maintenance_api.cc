#include "server/api/maintenance_api.h"

#include "base/mutant.h"
#include "server/api/api_error.h"

namespace cairn::server::api {

namespace {

// An alarm as etcd prints it in Status: protobuf's text form with a space behind each field.
std::string describe(const etcdserverpb::AlarmMember& alarm) {
    std::string text;
    if (alarm.memberid() != 0) {
        text += "memberID:" + std::to_string(alarm.memberid()) + " ";
    }
    if (alarm.alarm() != etcdserverpb::NONE) {
        text += "alarm:" + etcdserverpb::AlarmType_Name(alarm.alarm()) + " ";
    }
    return text;
}

}  // namespace

Result<Intent> on_status(const Call& call, const CallContext& context) {
    etcdserverpb::StatusRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kServed));
    return Intent{Read{
        .kind = ReadKind::kStatus, .linearizable = false, .point = true, .request = call.request}};
}

Result<Intent> on_hash(const Call& call, const CallContext& context) {
    etcdserverpb::HashRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    return Intent{Read{.kind = ReadKind::kHash, .linearizable = false, .request = call.request}};
}

Result<Intent> on_hash_kv(const Call& call, const CallContext& context) {
    etcdserverpb::HashKVRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    return Intent{Read{.kind = ReadKind::kHashKv, .linearizable = false, .request = call.request}};
}

// etcd sends GET through the log, too; a linearizable read says the same.
Result<Intent> on_alarm(const Call& call, const CallContext& context) {
    etcdserverpb::AlarmRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    CAIRN_TRY(validate_alarm(request));
    if (request.action() == etcdserverpb::AlarmRequest::GET) {
        return Intent{Read{.kind = ReadKind::kAlarmList,
                           .linearizable = true,
                           .point = true,
                           .request = call.request}};
    }
    CAIRN_TRY(validate_request_size(call.request.size(), context.limits));
    return Intent{Propose{.kind = command::ALARM, .request = call.request}};
}

Result<Intent> on_move_leader(const Call& call, const CallContext& context) {
    etcdserverpb::MoveLeaderRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    if (!context.node.is_leader) {
        return Errc::kNotLeader;
    }
    // For the core it would be anybody.
    if (request.targetid() == 0) {
        return Errc::kBadLeaderTransferee;
    }
    return Intent{MoveLeader{NodeId{request.targetid()}}};
}

Result<Intent> on_defragment(const Call& call, const CallContext& context) {
    etcdserverpb::DefragmentRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    CAIRN_TRY(admit(call, context.node, Learner::kRefused));
    return Intent{ReplyNow{.body = {}, .stamp_header = false}};
}

// As of every stream, etcd looks at the metadata before it reads the message.
Result<Intent> on_snapshot(const Call& call, const CallContext& context) {
    CAIRN_TRY(admit(call, context.node, Learner::kServed));
    etcdserverpb::SnapshotRequest request;
    CAIRN_TRY(parse_request(call.request.view(), request));
    if (!call.native_snapshot) {
        return Error{
            Errc::kUnimplemented,
            "cairn: snapshots in etcd's own format are not made here; use \"cairn snapshot "
            "save\", which asks for cairn's (metadata cairn-snapshot-format: native)"};
    }
    return Intent{SendSnapshot{}};
}

void append_status(const NodeView& node, const StoreSize& size,
                   std::span<const etcdserverpb::AlarmMember> alarms, std::string& reply) {
    etcdserverpb::StatusResponse response;
    response.set_version(std::string(kEtcdVersion));
    response.set_dbsize(size.allocated_bytes);
    response.set_dbsizeinuse(size.used_bytes);
    response.set_dbsizequota(size.quota_bytes);
    response.set_leader(node.leader.value);
    response.set_raftindex(node.commit.value);
    response.set_raftappliedindex(node.applied.value);
    response.set_raftterm(node.term.value);
    response.set_islearner(node.is_learner);
    if (node.leader == NodeId{}) {
        response.add_errors(std::string(api_error(Errc::kNoLeader).text));
    }
    for (const auto& alarm : alarms) {
        response.add_errors(describe(alarm));
    }
    response.AppendToString(&reply);
}

void append_alarms(const etcdserverpb::AlarmRequest& request,
                   std::span<const etcdserverpb::AlarmMember> alarms, std::string& reply) {
    etcdserverpb::AlarmResponse response;
    for (const auto& alarm : alarms) {
        if (request.alarm() == etcdserverpb::NONE || request.alarm() == alarm.alarm() ||
            CAIRN_MUTANT(api_alarm_filter_ignored)) {
            *response.add_alarms() = alarm;
        }
    }
    response.AppendToString(&reply);
}

void append_hash(std::uint32_t hash, std::string& reply) {
    etcdserverpb::HashResponse response;
    response.set_hash(hash);
    response.AppendToString(&reply);
}

void append_hash_kv(const KvHash& hash, std::string& reply) {
    etcdserverpb::HashKVResponse response;
    response.set_hash(hash.hash);
    response.set_compact_revision(hash.compact_revision == 0 ? -1 : hash.compact_revision);
    response.set_hash_revision(hash.hash_revision);
    response.AppendToString(&reply);
}

}  // namespace cairn::server::api
