#include "server/api/read_gate.h"

#include "base/mutant.h"

namespace cairn::server::api {
namespace {

bool is_of_the_store(ReadKind kind) {
    return kind == ReadKind::kRange || kind == ReadKind::kTxn || kind == ReadKind::kMemberList;
}

}  // namespace

bool ReadGate::needs_grant(const Read& read) const {
    return read.linearizable ||
           (!open_ && is_of_the_store(read.kind) && !CAIRN_MUTANT(serial_read_before_replay));
}

}  // namespace cairn::server::api
