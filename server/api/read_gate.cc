#include "server/api/read_gate.h"

#include "base/mutant.h"

namespace cairn::server::api {
namespace {

bool is_of_the_store(ReadKind kind) {
    return kind != ReadKind::kStatus && kind != ReadKind::kHealth;
}

}  // namespace

bool ReadGate::needs_grant(const Read& read) const {
    return read.linearizable || (is_of_the_store(read.kind) && keeps_back());
}

bool ReadGate::needs_grant(const SendSnapshot& /*snapshot*/) const { return keeps_back(); }

bool ReadGate::keeps_back() const { return !open_ && !CAIRN_MUTANT(serial_read_before_replay); }

}  // namespace cairn::server::api
