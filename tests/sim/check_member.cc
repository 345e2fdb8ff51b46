#include "sim/check_member.h"

#include <algorithm>
#include <array>
#include <utility>

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

std::string Pending::describe() const {
    const std::array<std::pair<const char*, std::uint64_t>, 10> all = {{
        {"writes", writes},
        {"applies", applies},
        {"calls", calls},
        {"reads", reads},
        {"proposals", proposals},
        {"collections", collections},
        {"snapshot work", snapshot_work},
        {"sending", sending},
        {"receiving", receiving},
        {"installing", installing},
    }};
    std::string out;
    for (const auto& [name, count] : all) {
        if (count > 0) {
            out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, count);
        }
    }
    for (const std::string& name : files) {
        out += (out.empty() ? "" : ", ") + name;
    }
    return out;
}

void check_quiet(NodeIndex node, const Pending& pending, Verdict& verdict) {
    if (!pending.nothing()) {
        verdict.fail("B2", fmt::format("node {} has not ended: {}", node, pending.describe()));
    }
}

void check_told(NodeIndex node, const Told& before, const Telling& now, Verdict& verdict) {
    const std::int64_t least =
        now.of_store ? std::max(before.revision, before.ever) : before.revision;
    if (now.revision < least) {
        verdict.fail("R2", fmt::format("node {} went back from revision {} to {}", node, least,
                                       now.revision));
    }
}

void OfficeWatch::tick(NodeIndex node, bool is_writing, bool could_leave, Verdict& verdict) {
    constexpr std::uint32_t kOverMax = 2;  // a turn takes time
    write_ticks_ = is_writing ? write_ticks_ + 1 : 0;
    over_ticks_ = write_ticks_ > election_ticks_ && could_leave ? over_ticks_ + 1 : 0;
    if (over_ticks_ > kOverMax) {
        verdict.fail("V5", fmt::format("node {} leads, and has not written for {} ticks", node,
                                       write_ticks_));
    }
}

void QuorumWatch::tick(NodeIndex node, std::optional<Term> led, bool heard, Verdict& verdict) {
    constexpr std::uint32_t kOverMax = 4;  // a turn takes time
    const bool goes_on = led && led == led_ && !heard;
    led_ = led;
    unheard_ticks_ = goes_on ? unheard_ticks_ + 1 : 0;
    // It looks once in an election timeout, and gives everybody one from its election on, also
    // those whom a change of the configuration makes count more.
    if (unheard_ticks_ > 2 * election_ticks_ + kOverMax) {
        verdict.fail("V5", fmt::format("node {} leads, and no quorum has answered for {} ticks",
                                       node, election_ticks_ + unheard_ticks_));
    }
}

}  // namespace cairn::sim
