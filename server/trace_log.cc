#include "server/trace_log.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "raft/ready.h"

namespace cairn::server {
namespace {

constexpr std::array<std::string_view, raft::kRoleCount> kRoleNames{"follower", "pre-candidate",
                                                                    "candidate", "leader"};

std::string hex(NodeId id) { return fmt::format("{:x}", id.value); }

std::string_view role_name(std::uint16_t role) {
    return role < kRoleNames.size() ? kRoleNames[role] : "?";
}

// Events of one connection or election; those of every entry are not worth a line.
void log_one(const TraceEvent& event) {
    const auto term = [&] { return std::to_string(event.term.value); };
    const auto index = [&] { return std::to_string(event.index.value); };
    switch (static_cast<raft::TraceKind>(event.kind)) {
        case raft::TraceKind::kBecame:
            log_line(LogLevel::kInfo, "raft role changed",
                     {{"role", std::string(role_name(event.detail))},
                      {"term", term()},
                      {"member", hex(event.node)}});
            break;
        case raft::TraceKind::kVoteGranted:
        case raft::TraceKind::kVoteRefused:
            log_line(LogLevel::kInfo,
                     event.kind == static_cast<std::uint16_t>(raft::TraceKind::kVoteGranted)
                         ? "raft vote granted"
                         : "raft vote refused",
                     {{"candidate", hex(event.peer)}, {"term", term()}});
            break;
        case raft::TraceKind::kTruncated:
            log_line(LogLevel::kInfo, "raft log suffix replaced",
                     {{"from-index", index()}, {"term", term()}});
            break;
        case raft::TraceKind::kQuorumLost:
            log_line(LogLevel::kWarn, "raft quorum lost, leader steps down", {{"term", term()}});
            break;
        case raft::TraceKind::kLogStalled:
            log_line(LogLevel::kWarn,
                     "raft log: no write has ended for an election timeout, leader steps down",
                     {{"term", term()}});
            break;
        case raft::TraceKind::kTransferStarted:
            log_line(LogLevel::kInfo, "leadership transfer started", {{"to", hex(event.peer)}});
            break;
        case raft::TraceKind::kTransferEnded:
            log_line(LogLevel::kInfo, "leadership transfer ended",
                     {{"moved", event.detail == 1 ? "true" : "false"}});
            break;
        case raft::TraceKind::kCompacted:
            log_line(LogLevel::kDebug, "raft log compacted", {{"floor", index()}});
            break;
        case raft::TraceKind::kRefusedProposal:
            log_line(LogLevel::kDebug, "proposal refused",
                     {{"reason", std::string(errc_name(static_cast<Errc>(event.detail)))}});
            break;
        case raft::TraceKind::kSnapshotWanted:
            log_line(LogLevel::kInfo, "a member needs a snapshot", {{"member", hex(event.peer)}});
            break;
        case raft::TraceKind::kSnapshotRefused:
            log_line(LogLevel::kInfo, "a snapshot is of no use here", {{"index", index()}});
            break;
        case raft::TraceKind::kInstalling:
        case raft::TraceKind::kInstalled:
            log_line(LogLevel::kInfo,
                     event.kind == static_cast<std::uint16_t>(raft::TraceKind::kInstalled)
                         ? "snapshot installed"
                         : "snapshot is being installed",
                     {{"index", index()}});
            break;
        case raft::TraceKind::kConfChanged:
            log_line(LogLevel::kInfo, "raft configuration changed", {{"index", index()}});
            break;
        case raft::TraceKind::kIgnored:
        case raft::TraceKind::kAppendRejected:
        case raft::TraceKind::kCommitted: break;
    }
}

}  // namespace

namespace {

struct NoteText {
    LogLevel level = LogLevel::kInfo;
    std::string_view text;
};

NoteText text_of(SnapshotNoteKind kind) {
    switch (kind) {
        case SnapshotNoteKind::kBuildBegun: return {LogLevel::kInfo, "snapshot is being built"};
        case SnapshotNoteKind::kSendBegun: return {LogLevel::kInfo, "snapshot is being sent"};
        case SnapshotNoteKind::kSendResumed: return {LogLevel::kInfo, "snapshot sending goes on"};
        case SnapshotNoteKind::kSendDone: return {LogLevel::kInfo, "snapshot sent"};
        case SnapshotNoteKind::kSendFailed: return {LogLevel::kWarn, "snapshot not sent"};
        case SnapshotNoteKind::kReceiveBegun:
            return {LogLevel::kInfo, "snapshot is being received"};
        case SnapshotNoteKind::kReceiveResumed:
            return {LogLevel::kInfo, "snapshot receiving goes on"};
        case SnapshotNoteKind::kReceiveFailed: return {LogLevel::kWarn, "snapshot not received"};
        case SnapshotNoteKind::kInstallBegun:
            return {LogLevel::kInfo, "snapshot received, it becomes this member's data"};
        case SnapshotNoteKind::kInstalled: return {LogLevel::kInfo, "snapshot in use"};
    }
    return {LogLevel::kInfo, "snapshot"};
}

}  // namespace

void log_snapshot(const SnapshotNote& note) {
    const NoteText line = text_of(note.kind);
    const std::string index = std::to_string(note.index.value);
    const std::string bytes = std::to_string(note.bytes);
    if (note.reason == Errc{}) {
        log_line(line.level, line.text,
                 {{"peer", hex(note.peer)}, {"index", index}, {"bytes", bytes}});
    } else {
        log_line(line.level, line.text,
                 {{"peer", hex(note.peer)},
                  {"reason", std::string(errc_name(note.reason))},
                  {"index", index},
                  {"bytes", bytes}});
    }
}

void log_snapshot_error(const Error& error) {
    log_line(LogLevel::kWarn, "snapshot work failed",
             {{"reason", std::string(errc_name(error.code))}, {"error", error.detail}});
}

void log_trace(const std::vector<TraceEvent>& events) {
    for (const auto& event : events) {
        log_one(event);
    }
}

}  // namespace cairn::server
