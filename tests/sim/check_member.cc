#include "sim/check_member.h"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::sim {

void check_halt(NodeIndex node, const server::Effects& effects, bool is_due, Verdict& verdict) {
    if (!effects.halt) {
        if (is_due) {
            verdict.fail("D4", fmt::format("node {} goes on after a failed write", node));
        }
        return;
    }
    // But for a leader's word to its successor.
    const bool talks =
        std::any_of(effects.send.begin(), effects.send.end(), [](const raft::Message& message) {
            return message.kind() != raft::MessageKind::kTimeoutNow;
        });
    if (talks || effects.persist || !effects.apply.empty() || !effects.completions.empty() ||
        effects.install) {
        verdict.fail("D4", fmt::format("node {} speaks after its halt", node));
    }
}

void check_told(NodeIndex node, const Told& before, std::int64_t revision, Verdict& verdict) {
    if (revision < before.revision) {
        verdict.fail("R2", fmt::format("node {} went back from revision {} to {}", node,
                                       before.revision, revision));
    }
}

}  // namespace cairn::sim
