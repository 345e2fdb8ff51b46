// Answers as etcd's messages, in bytes: what etcdctl -w protobuf prints.
// Pure; any thread.
#pragma once

#include <string>

#include "client/types.h"

namespace cairn::client::ctl {

std::string protobuf_of(const GetResponse& response);
std::string protobuf_of(const PutResponse& response);
std::string protobuf_of(const DeleteResponse& response);
std::string protobuf_of(const TxnResponse& response);
std::string protobuf_of(const MemberListResponse& response);
std::string protobuf_of(const MemberAddResponse& response);
std::string protobuf_of(const AlarmListResponse& response);

}  // namespace cairn::client::ctl
