// Text forms of the core's types, one line each, for tests, dumps and the interaction scripts.
// Pure functions; any thread. The only place of raft/ that formats text.
// Never part of any format: wording may change.
#pragma once

#include <ostream>
#include <string>

#include "raft/input.h"
#include "raft/raft.h"
#include "raft/ready.h"

namespace cairn::raft {

std::string describe(Role role);
std::string describe(EntryKind kind);
std::string describe(MessageKind kind);
std::string describe(TraceKind kind);
std::string describe(EntryId id);  // "term/index"
std::string describe(const ProposalId& id);
std::string describe(const Entry& entry);
std::string describe(const HardState& state);
std::string describe(const ConfState& conf);
std::string describe(const SnapshotMeta& floor);
std::string describe(const Message& message);
std::string describe(const Input& input);
std::string describe(const PersistBatch& batch);
std::string describe(const RoleChange& change);
std::string describe(const TraceEvent& event);
std::string describe(const Status& status);
// Several lines, each ending in a newline; "" for an empty Ready.
std::string describe(const Ready& ready);

// What Catch2 prints when a comparison fails.
std::ostream& operator<<(std::ostream& out, const Message& message);
std::ostream& operator<<(std::ostream& out, const Entry& entry);
std::ostream& operator<<(std::ostream& out, const EntryId& id);
std::ostream& operator<<(std::ostream& out, const HardState& state);
std::ostream& operator<<(std::ostream& out, const PersistBatch& batch);
std::ostream& operator<<(std::ostream& out, const Ready& ready);

}  // namespace cairn::raft
