#include "storage/conf_codec.h"

#include <vector>

namespace cairn::storage {
namespace {

void put(const std::vector<NodeId>& ids, google::protobuf::RepeatedField<std::uint64_t>& out) {
    for (const NodeId id : ids) {
        out.Add(id.value);
    }
}

std::vector<NodeId> get(const google::protobuf::RepeatedField<std::uint64_t>& ids) {
    std::vector<NodeId> nodes;
    for (const std::uint64_t id : ids) {
        nodes.push_back(NodeId{id});
    }
    return nodes;
}

}  // namespace

void to_proto(const raft::ConfState& conf, snapshot::ConfState& out) {
    put(conf.voters, *out.mutable_voters());
    put(conf.voters_outgoing, *out.mutable_voters_outgoing());
    put(conf.learners, *out.mutable_learners());
    put(conf.learners_next, *out.mutable_learners_next());
    out.set_auto_leave(conf.auto_leave);
}

raft::ConfState from_proto(const snapshot::ConfState& in) {
    return {.voters = get(in.voters()),
            .voters_outgoing = get(in.voters_outgoing()),
            .learners = get(in.learners()),
            .learners_next = get(in.learners_next()),
            .auto_leave = in.auto_leave()};
}

std::string encode_conf(const raft::ConfState& conf) {
    snapshot::ConfState message;
    to_proto(conf, message);
    return message.SerializeAsString();
}

Result<raft::ConfState> decode_conf(ByteView bytes) {
    snapshot::ConfState message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return Error(Errc::kCorrupt, "engine: bad configuration");
    }
    raft::ConfState conf = from_proto(message);
    if (!raft::is_well_formed(conf)) {
        return Error(Errc::kCorrupt, "engine: the members of a configuration are not in order");
    }
    return conf;
}

}  // namespace cairn::storage
