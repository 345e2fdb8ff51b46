// What a client of etcd reads in a reply, and nothing but what the reply says.
// Pure functions; the one thread of a world.
// Never takes a text or code from server/api: those are what it judges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "proto/wire/grpc_method.h"
#include "server/api/dispatcher.h"

namespace cairn::sim {

struct Answer {
    std::optional<Errc> error{};
    bool certain = false;  // the error says that the call had no effect
    std::optional<etcdserverpb::ResponseHeader> header{};  // of a success, where etcd gives one
    std::string body{};  // the response without its header, in protobuf's own order
    etcdserverpb::MemberListResponse members{};  // of an answer about members, also of a change
    std::uint64_t added{};                       // the id of a new member
    etcdserverpb::StatusResponse status{};
};

// None when it is nothing that an etcd client can hear from such a call, once the request passed
// the checks that need no state.
std::optional<Answer> read_reply(wire::MethodId method, const server::api::Reply& reply);

}  // namespace cairn::sim
