#include <cmath>
#include <ostream>
#include <string>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/go_syntax.h"
#include "client/ctl/json.h"
#include "client/ctl/print.h"
#include "client/ctl/protobuf.h"
#include "client/ctl/style.h"
#include "client/ctl/text_table.h"

namespace cairn::client::ctl {
namespace {

std::string join(const std::vector<std::string>& parts, std::string_view mark) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        text += i == 0 ? std::string_view() : mark;
        text += parts[i];
    }
    return text;
}

std::string yes_no(bool value) { return value ? "true" : "false"; }

std::vector<std::string> member_row(const Member& member) {
    return {fmt::format("{:x}", member.id),
            member.name.empty() ? "unstarted" : "started",
            member.name,
            join(member.peer_urls, ","),
            join(member.client_urls, ","),
            yes_no(member.is_learner)};
}

std::string string_array(const std::vector<std::string>& texts) {
    JsonArray array;
    for (const std::string& text : texts) {
        array.add(json_string(text));
    }
    return array.take();
}

std::string member_json(const Member& member, bool hex) {
    JsonObject object;
    if (hex) {
        // etcdctl 3.5 writes this form by hand: it spells clientURLS so, leaves nothing out, and
        // forgets isLearner, which newer ones have.
        const std::string urls =
            member.client_urls.empty() ? "null" : string_array(member.client_urls);
        object.text("ID", fmt::format("{:x}", member.id))
            .raw("name", json_string(member.name))
            .raw("peerURLs", string_array(member.peer_urls))
            .raw("clientURLS", urls);
    } else {
        object.number("ID", member.id)
            .text("name", member.name)
            .raw("peerURLs", string_array(member.peer_urls));
        if (!member.client_urls.empty()) {
            object.raw("clientURLs", string_array(member.client_urls));
        }
    }
    return object.flag("isLearner", member.is_learner).take();
}

std::string members_array(const std::vector<Member>& list, bool hex = false) {
    JsonArray members;
    for (const Member& member : list) {
        members.add(member_json(member, hex));
    }
    return members.take();
}

std::string members_json(const MemberListResponse& response, bool hex) {
    return JsonObject()
        .raw("header", header_json(response.header, hex))
        .raw("members", members_array(response.members, hex))
        .take();
}

void print_member_fields(const Context& context, const Member& member) {
    std::ostream& out = context.streams.out;
    out << fmt::format("\"ID\" : {}\n", member.id);
    out << fmt::format("\"Name\" : {}\n", quote_go(member.name));
    for (const std::string& url : member.peer_urls) {
        out << fmt::format("\"PeerURL\" : {}\n", quote_go(url));
    }
    for (const std::string& url : member.client_urls) {
        out << fmt::format("\"ClientURL\" : {}\n", quote_go(url));
    }
    out << fmt::format("\"IsLearner\" : {}\n\n", member.is_learner);
}

std::vector<std::string> status_row(const EndpointStatus& entry) {
    const StatusResponse& status = entry.status;
    return {entry.endpoint,
            fmt::format("{:x}", status.header.member_id),
            status.version,
            human_bytes(status.db_size),
            yes_no(status.leader == status.header.member_id),
            yes_no(status.is_learner),
            std::to_string(status.raft_term),
            std::to_string(status.raft_index),
            std::to_string(status.raft_applied_index),
            join(status.errors, ", ")};
}

std::string status_json(const StatusResponse& status) {
    JsonObject object;
    object.raw("header", header_json(status.header, false))
        .text("version", status.version)
        .signed_number("dbSize", status.db_size)
        .number("leader", status.leader)
        .number("raftIndex", status.raft_index)
        .number("raftTerm", status.raft_term)
        .number("raftAppliedIndex", status.raft_applied_index);
    if (!status.errors.empty()) {
        object.raw("errors", string_array(status.errors));
    }
    return object.signed_number("dbSizeInUse", status.db_size_in_use)
        .flag("isLearner", status.is_learner)
        .text("storageVersion", status.storage_version)
        .signed_number("dbSizeQuota", status.db_size_quota)
        .take();
}

void print_status_fields(const Context& context, const EndpointStatus& entry) {
    const StatusResponse& status = entry.status;
    print_header_fields(context, status.header);
    context.streams.out << fmt::format(
        "\"Version\" : {}\n\"DBSize\" : {}\n\"Leader\" : {}\n\"IsLearner\" : {}\n"
        "\"RaftIndex\" : {}\n\"RaftTerm\" : {}\n\"RaftAppliedIndex\" : {}\n\"Errors\" : [{}]\n"
        "\"Endpoint\" : {}\n\n",
        quote_go(status.version), status.db_size, status.leader, status.is_learner,
        status.raft_index, status.raft_term, status.raft_applied_index, join(status.errors, " "),
        quote_go(entry.endpoint));
}

std::string took_text(const EndpointHealth& health) {
    return format_go_duration(health.took.count());
}

std::string hash_json(const HashKvResponse& hash) {
    return JsonObject()
        .raw("header", header_json(hash.header, false))
        .number("hash", hash.hash)
        .signed_number("compact_revision", hash.compact_revision)
        .signed_number("hash_revision", hash.hash_revision)
        .take();
}

void print_health_line(const Context& context, const EndpointHealth& health) {
    const Terminal& terminal = context.streams.terminal;
    if (health.healthy) {
        context.streams.out << fmt::format(
            "{} is {}: successfully committed proposal: took = {}\n", health.endpoint,
            painted(terminal.colours_out, Paint::kGreen, "healthy"), took_text(health));
    } else {
        context.streams.error << fmt::format(
            "{} is {}: failed to commit proposal: {}\n", health.endpoint,
            painted(terminal.colours_error, Paint::kRed, "unhealthy"), health.error);
    }
}

void print_lines(const Context& context, const std::vector<std::vector<std::string>>& rows) {
    for (const auto& row : rows) {
        context.streams.out << join(row, ", ") << "\n";
    }
}

}  // namespace

std::string human_bytes(std::int64_t bytes) {
    constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 10) {
        return fmt::format("{} B", bytes);
    }
    std::size_t unit = 0;
    double scaled = static_cast<double>(bytes);
    while (scaled >= 1000) {
        scaled /= 1000;
        ++unit;
    }
    const double rounded = std::floor(scaled * 10 + 0.5) / 10;
    return rounded < 10 ? fmt::format("{:.1f} {}", rounded, kUnits[unit])
                        : fmt::format("{:.0f} {}", rounded, kUnits[unit]);
}

std::string_view alarm_name(AlarmType type) {
    switch (type) {
        case AlarmType::kNoSpace: return "NOSPACE";
        case AlarmType::kCorrupt: return "CORRUPT";
        case AlarmType::kNone: return "NONE";
    }
    return "UNKNOWN";
}

std::string header_json(const ResponseHeader& header, bool hex) {
    JsonObject object;
    if (hex) {
        object.text("cluster_id", fmt::format("{:x}", header.cluster_id));
        object.text("member_id", fmt::format("{:x}", header.member_id));
    } else {
        object.number("cluster_id", header.cluster_id).number("member_id", header.member_id);
    }
    return object.signed_number("revision", header.revision)
        .number("raft_term", header.raft_term)
        .take();
}

void print_header_fields(const Context& context, const ResponseHeader& header) {
    context.streams.out << fmt::format(
        "\"ClusterID\" : {}\n\"MemberID\" : {}\n\"Revision\" : {}\n\"RaftTerm\" : {}\n",
        header.cluster_id, header.member_id, header.revision, header.raft_term);
}

void print_members(const Context& context, const MemberListResponse& response) {
    std::vector<std::vector<std::string>> rows;
    for (const Member& member : response.members) {
        rows.push_back(member_row(member));
    }
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kSimple: print_lines(context, rows); return;
        case Output::kTable:
            out << draw_table(context.streams.terminal.colours_out,
                              {"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"},
                              rows);
            return;
        case Output::kJson: out << members_json(response, context.hex) << "\n"; return;
        case Output::kProtobuf: out << protobuf_of(response); return;
        case Output::kFields:
            print_header_fields(context, response.header);
            for (const Member& member : response.members) {
                print_member_fields(context, member);
            }
            return;
    }
}

void print_member_added(const Context& context, const MemberAddResponse& response,
                        const std::string& name, const std::string& peer_urls) {
    std::ostream& out = context.streams.out;
    if (context.output == Output::kProtobuf) {
        out << protobuf_of(response);
        return;
    }
    if (context.output == Output::kJson) {
        out << JsonObject()
                   .raw("header", header_json(response.header, false))
                   .raw("member", member_json(response.member, false))
                   .raw("members", members_array(response.members))
                   .take()
            << "\n";
        return;
    }
    std::vector<std::string> cluster;
    for (const Member& member : response.members) {
        for (const std::string& url : member.peer_urls) {
            const bool added = member.id == response.member.id;
            cluster.push_back((added ? name : member.name) + "=" + url);
        }
    }
    out << fmt::format(
        "Member {:16x} added to cluster {:16x}\n\nETCD_NAME={}\nETCD_INITIAL_CLUSTER={}\n"
        "ETCD_INITIAL_ADVERTISE_PEER_URLS={}\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        response.member.id, response.header.cluster_id, quote_go(name),
        quote_go(join(cluster, ",")), quote_go(peer_urls));
}

void print_member_change(const Context& context, std::string_view what, std::uint64_t id,
                         const MemberListResponse& response) {
    std::ostream& out = context.streams.out;
    if (context.output == Output::kProtobuf) {
        out << protobuf_of(response);
    } else if (context.output == Output::kJson) {
        out << members_json(response, false) << "\n";
    } else {
        out << fmt::format("Member {:16x} {} cluster {:16x}\n", id, what,
                           response.header.cluster_id);
    }
}

void print_leader_moved(const Context& context, std::uint64_t from, std::uint64_t to) {
    if (context.output == Output::kJson) {
        context.streams.out << "{}\n";
    } else if (context.output == Output::kSimple) {
        context.streams.out << fmt::format("Leadership transferred from {:x} to {:x}\n", from, to);
    }
}

void print_status(const Context& context, const std::vector<EndpointStatus>& list) {
    std::vector<std::vector<std::string>> rows;
    JsonArray array;
    for (const EndpointStatus& entry : list) {
        rows.push_back(status_row(entry));
        array.add(JsonObject()
                      .raw("Endpoint", json_string(entry.endpoint))
                      .raw("Status", status_json(entry.status))
                      .take());
    }
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kSimple: print_lines(context, rows); return;
        case Output::kTable:
            out << draw_table(context.streams.terminal.colours_out,
                              {"Endpoint", "ID", "Version", "DB Size", "Is Leader", "Is Learner",
                               "Raft Term", "Raft Index", "Raft Applied Index", "Errors"},
                              rows);
            return;
        case Output::kJson: out << array.take() << "\n"; return;
        case Output::kFields:
            for (const EndpointStatus& entry : list) {
                print_status_fields(context, entry);
            }
            return;
        case Output::kProtobuf: CAIRN_UNREACHABLE();
    }
}

void print_health(const Context& context, const std::vector<EndpointHealth>& list) {
    std::vector<std::vector<std::string>> rows;
    JsonArray array;
    std::string fields;
    for (const EndpointHealth& entry : list) {
        const std::string took = took_text(entry);
        rows.push_back({entry.endpoint, yes_no(entry.healthy), took, entry.error});
        array.add(JsonObject()
                      .raw("endpoint", json_string(entry.endpoint))
                      .raw("health", yes_no(entry.healthy))
                      .raw("took", json_string(took))
                      .text("error", entry.error)
                      .take());
        fields +=
            fmt::format("\"Endpoint\" : {}\n\"Health\" : {}\n\"Took\" : {}\n\"Error\" : {}\n\n",
                        quote_go(entry.endpoint), entry.healthy, took, entry.error);
    }
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kSimple:
            for (const EndpointHealth& entry : list) {
                print_health_line(context, entry);
            }
            return;
        case Output::kTable:
            out << draw_table(context.streams.terminal.colours_out,
                              {"Endpoint", "Health", "Took", "Error"}, rows);
            return;
        case Output::kJson: out << array.take() << "\n"; return;
        case Output::kFields: out << fields; return;
        case Output::kProtobuf: CAIRN_UNREACHABLE();
    }
}

void print_hashes(const Context& context, const std::vector<EndpointHash>& list) {
    std::vector<std::vector<std::string>> rows;
    JsonArray array;
    for (const EndpointHash& entry : list) {
        rows.push_back({entry.endpoint, std::to_string(entry.hash.hash)});
        array.add(JsonObject()
                      .raw("Endpoint", json_string(entry.endpoint))
                      .raw("HashKV", hash_json(entry.hash))
                      .take());
    }
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kSimple: print_lines(context, rows); return;
        case Output::kTable:
            out << draw_table(context.streams.terminal.colours_out, {"Endpoint", "Hash"}, rows);
            return;
        case Output::kJson: out << array.take() << "\n"; return;
        case Output::kFields:
            for (const EndpointHash& entry : list) {
                print_header_fields(context, entry.hash.header);
                out << fmt::format("\"Endpoint\" : {}\n\"Hash\" : {}\n\n", quote_go(entry.endpoint),
                                   entry.hash.hash);
            }
            return;
        case Output::kProtobuf: CAIRN_UNREACHABLE();
    }
}

void print_alarms(const Context& context, const AlarmListResponse& response) {
    JsonArray array;
    std::string simple;
    std::string fields;
    for (const Alarm& alarm : response.alarms) {
        array.add(JsonObject()
                      .number("memberID", alarm.member_id)
                      .number("alarm", static_cast<std::uint64_t>(alarm.type))
                      .take());
        simple += fmt::format("memberID:{} alarm:{} \n", alarm.member_id, alarm_name(alarm.type));
        fields += fmt::format("\"MemberID\" : {}\n\"AlarmType\" : {}\n\n", alarm.member_id,
                              alarm_name(alarm.type));
    }
    std::ostream& out = context.streams.out;
    if (context.output == Output::kJson) {
        JsonObject object;
        object.raw("header", header_json(response.header, false));
        if (!array.empty()) {
            object.raw("alarms", array.take());
        }
        out << object.take() << "\n";
    } else if (context.output == Output::kProtobuf) {
        out << protobuf_of(response);
    } else if (context.output == Output::kFields) {
        print_header_fields(context, response.header);
        out << fields;
    } else {
        out << simple;
    }
}

// As etcdutl, whose numbers mean the same but for the hash, which is HashKV's here, and the keys,
// which are those that live.
void print_snapshot(const Context& context, const SnapshotStatus& status) {
    const std::vector<std::vector<std::string>> rows = {
        {fmt::format("{:x}", status.hash), std::to_string(status.revision),
         std::to_string(status.keys), human_bytes(status.bytes)}};
    std::ostream& out = context.streams.out;
    switch (context.output) {
        case Output::kSimple: print_lines(context, rows); return;
        case Output::kTable:
            out << draw_table(context.streams.terminal.colours_out,
                              {"Hash", "Revision", "Total Keys", "Total Size"}, rows);
            return;
        case Output::kJson:
            out << JsonObject()
                       .raw("hash", std::to_string(status.hash))
                       .raw("revision", std::to_string(status.revision))
                       .raw("totalKey", std::to_string(status.keys))
                       .raw("totalSize", std::to_string(status.bytes))
                       .take()
                << "\n";
            return;
        case Output::kFields:
            out << fmt::format("\"Hash\" : {}\n\"Revision\" : {}\n\"Keys\" : {}\n\"Size\" : {}\n",
                               status.hash, status.revision, status.keys, status.bytes);
            return;
        case Output::kProtobuf: CAIRN_UNREACHABLE();
    }
}

}  // namespace cairn::client::ctl
