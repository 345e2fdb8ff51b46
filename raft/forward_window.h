// Which forwarded proposals this leader has already decided on in its term.
// Owned by the core, on the replica's thread.
// Never says "new" twice for one id within a term, whatever the network repeats: what it can no
// longer tell apart it calls old.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace cairn::raft {

class ForwardWindow {
  public:
    // Sequence numbers that may be on their way at once from one run of a member.
    static constexpr std::size_t kSequences = 65'536;
    // Runs of one member whose windows are kept; an older run is closed: its process is dead.
    static constexpr std::size_t kOpenRunsMax = 4;
    // Runs of all members in one term, 16 bytes each.
    static constexpr std::size_t kRunsMax = 4096;

    enum class Verdict : std::uint8_t {
        kNew,   // decide on it now; from here on it is old
        kOld,   // decided before, or too late to tell: say nothing
        kFull,  // never seen, and never will be taken: a run beyond kRunsMax. Refuse.
    };

    // A new term of leadership begins.
    void reset();
    Verdict take(const ProposalId& id);

  private:
    struct Run {
        NodeId member;
        std::uint64_t boot{};
        std::uint64_t last_use{};
        std::uint64_t highest{};          // the largest sequence seen
        std::vector<std::uint64_t> seen;  // one bit per sequence modulo kSequences; empty: closed
    };

    Run* open(const ProposalId& id);
    void close_oldest(NodeId member);
    static void advance(Run& run, std::uint64_t sequence);

    std::vector<Run> runs_;  // sorted by (member, boot)
    std::uint64_t uses_ = 0;
};

}  // namespace cairn::raft
