// Answers as etcdctl prints them, in each output format, byte for byte.
// Each writes to the context's output stream; one thread.
// Must never decide about an exit code, nor print an error.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "client/ctl/command.h"
#include "client/types.h"

namespace cairn::client::ctl {

struct EndpointStatus {
    std::string endpoint;
    StatusResponse status;
};

struct EndpointHealth {
    std::string endpoint;
    bool healthy = false;
    std::chrono::nanoseconds took{0};
    std::string error;
};

struct SnapshotStatus {
    std::uint32_t hash = 0;
    std::int64_t revision = 0;
    std::int64_t keys = 0;
    std::int64_t bytes = 0;
};

struct EndpointHash {
    std::string endpoint;
    HashKvResponse hash;
};

// `value_only`: the simple format leaves the keys out.
void print_get(const Context& context, const GetResponse& response, bool value_only);
void print_put(const Context& context, const PutResponse& response);
void print_del(const Context& context, const DeleteResponse& response);
void print_txn(const Context& context, const TxnResponse& response);
void print_members(const Context& context, const MemberListResponse& response);
// `name` and `peer_urls`: as the command line has them.
void print_member_added(const Context& context, const MemberAddResponse& response,
                        const std::string& name, const std::string& peer_urls);
// `what`: "removed from", "updated in", "promoted in".
void print_member_change(const Context& context, std::string_view what, std::uint64_t id,
                         const MemberListResponse& response);
void print_leader_moved(const Context& context, std::uint64_t from, std::uint64_t to);
void print_status(const Context& context, const std::vector<EndpointStatus>& list);
// In the simple format, those that are not healthy go to the error stream.
void print_health(const Context& context, const std::vector<EndpointHealth>& list);
void print_hashes(const Context& context, const std::vector<EndpointHash>& list);
void print_alarms(const Context& context, const AlarmListResponse& response);
void print_snapshot(const Context& context, const SnapshotStatus& status);

// The shared parts.
std::string header_json(const ResponseHeader& header, bool hex);
void print_header_fields(const Context& context, const ResponseHeader& header);
std::string_view alarm_name(AlarmType type);
// "20 kB": powers of 1000, one decimal below ten, as go-humanize writes sizes.
std::string human_bytes(std::int64_t bytes);

}  // namespace cairn::client::ctl
