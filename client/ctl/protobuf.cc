#include "client/ctl/protobuf.h"

#include <memory>

#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"

namespace cairn::client::ctl {
namespace {

namespace pb = etcdserverpb;

// Present even when all of it is zero, as every server sends it.
void fill(pb::ResponseHeader& message, const ResponseHeader& header) {
    message.set_cluster_id(header.cluster_id);
    message.set_member_id(header.member_id);
    message.set_revision(header.revision);
    message.set_raft_term(header.raft_term);
}

void fill(mvccpb::KeyValue& message, const KeyValue& kv) {
    message.set_key(kv.key);
    message.set_value(kv.value);
    message.set_create_revision(kv.create_revision);
    message.set_mod_revision(kv.mod_revision);
    message.set_version(kv.version);
    message.set_lease(kv.lease);
}

void fill(pb::RangeResponse& message, const GetResponse& response) {
    fill(*message.mutable_header(), response.header);
    for (const KeyValue& kv : response.kvs) {
        fill(*message.add_kvs(), kv);
    }
    message.set_more(response.more);
    message.set_count(response.count);
}

void fill(pb::PutResponse& message, const PutResponse& response) {
    fill(*message.mutable_header(), response.header);
    if (response.prev_kv) {
        fill(*message.mutable_prev_kv(), *response.prev_kv);
    }
}

void fill(pb::DeleteRangeResponse& message, const DeleteResponse& response) {
    fill(*message.mutable_header(), response.header);
    message.set_deleted(response.deleted);
    for (const KeyValue& kv : response.prev_kvs) {
        fill(*message.add_prev_kvs(), kv);
    }
}

void fill(pb::TxnResponse& message, const TxnResponse& response);

void fill(pb::ResponseOp& message, const OpResponse& response) {
    if (const auto* get = std::get_if<GetResponse>(&response)) {
        fill(*message.mutable_response_range(), *get);
    } else if (const auto* put = std::get_if<PutResponse>(&response)) {
        fill(*message.mutable_response_put(), *put);
    } else if (const auto* del = std::get_if<DeleteResponse>(&response)) {
        fill(*message.mutable_response_delete_range(), *del);
    } else {
        fill(*message.mutable_response_txn(),
             *std::get<std::shared_ptr<const TxnResponse>>(response));
    }
}

void fill(pb::TxnResponse& message, const TxnResponse& response) {
    fill(*message.mutable_header(), response.header);
    message.set_succeeded(response.succeeded);
    for (const OpResponse& op : response.responses) {
        fill(*message.add_responses(), op);
    }
}

void fill(pb::Member& message, const Member& member) {
    message.set_id(member.id);
    message.set_name(member.name);
    for (const std::string& url : member.peer_urls) {
        message.add_peerurls(url);
    }
    for (const std::string& url : member.client_urls) {
        message.add_clienturls(url);
    }
    message.set_islearner(member.is_learner);
}

void fill(pb::MemberListResponse& message, const MemberListResponse& response) {
    fill(*message.mutable_header(), response.header);
    for (const Member& member : response.members) {
        fill(*message.add_members(), member);
    }
}

void fill(pb::MemberAddResponse& message, const MemberAddResponse& response) {
    fill(*message.mutable_header(), response.header);
    fill(*message.mutable_member(), response.member);
    for (const Member& member : response.members) {
        fill(*message.add_members(), member);
    }
}

void fill(pb::AlarmResponse& message, const AlarmListResponse& response) {
    fill(*message.mutable_header(), response.header);
    for (const Alarm& alarm : response.alarms) {
        pb::AlarmMember& to = *message.add_alarms();
        to.set_memberid(alarm.member_id);
        to.set_alarm(static_cast<pb::AlarmType>(alarm.type));
    }
}

template <class Message, class Response>
std::string bytes_of(const Response& response) {
    Message message;
    fill(message, response);
    return message.SerializeAsString();
}

}  // namespace

std::string protobuf_of(const GetResponse& response) {
    return bytes_of<pb::RangeResponse>(response);
}

std::string protobuf_of(const PutResponse& response) { return bytes_of<pb::PutResponse>(response); }

std::string protobuf_of(const DeleteResponse& response) {
    return bytes_of<pb::DeleteRangeResponse>(response);
}

std::string protobuf_of(const TxnResponse& response) { return bytes_of<pb::TxnResponse>(response); }

std::string protobuf_of(const MemberListResponse& response) {
    return bytes_of<pb::MemberListResponse>(response);
}

std::string protobuf_of(const MemberAddResponse& response) {
    return bytes_of<pb::MemberAddResponse>(response);
}

std::string protobuf_of(const AlarmListResponse& response) {
    return bytes_of<pb::AlarmResponse>(response);
}

}  // namespace cairn::client::ctl
